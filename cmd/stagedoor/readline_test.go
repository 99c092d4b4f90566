package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadLine(t *testing.T) {
	for _, c := range []struct{ name, input, line, rest string }{
		{"one line", "secret\n", "secret", ""},
		{"without an end", "secret", "secret", ""},
		{"from Windows", "secret\r\nx", "secret", "x"},
		{"the rest is left", "secret\nanother\n", "secret", "another\n"},
		{"spaces belong to it", "  se cret \n", "  se cret ", ""},
		{"empty", "\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := strings.NewReader(c.input)
			line, err := readLine(r)
			rest, _ := io.ReadAll(r)
			if line != c.line || string(rest) != c.rest || err != nil {
				t.Errorf("got %q, %v, then %q", line, err, rest)
			}
		})
	}
	if _, err := readLine(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", longestLine+1))); err == nil {
		t.Error("an endless line was read")
	}
}
