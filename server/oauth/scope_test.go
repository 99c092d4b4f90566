package oauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	var many []string
	for i := range maxScopeTokens + 1 {
		many = append(many, fmt.Sprint("s", i))
	}
	tests := []struct {
		name, raw string
		want      []string
		ok        bool
	}{
		{"none", "", nil, true},
		{"one", "items:read", []string{"items:read"}, true},
		{"order is the request's", "b a", []string{"b", "a"}, true},
		{"a repetition counts once", "a b a", []string{"a", "b"}, true},
		{"case matters", "a A", []string{"a", "A"}, true},
		{"every character allowed", "!#[]~", []string{"!#[]~"}, true},
		{"256 scopes", strings.Join(many[:maxScopeTokens], " "), many[:maxScopeTokens], true},
		{"257 scopes", strings.Join(many, " "), nil, false},
		{"two spaces", "a  b", nil, false},
		{"a leading space", " a", nil, false},
		{"a trailing space", "a ", nil, false},
		{"a tab", "a\tb", nil, false},
		{"a newline", "a\nb", nil, false},
		{"a quote", `a"b`, nil, false},
		{"a backslash", `a\b`, nil, false},
		{"DEL", "a\x7f", nil, false},
		{"non-ASCII", "é", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseScope(tt.raw)
			if !tt.ok {
				if err == nil || asError(err).Code != codeInvalidScope {
					t.Fatalf("got %v, %v; want invalid_scope", got, err)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Fatalf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestDescribableHoldsTheCharset(t *testing.T) {
	for r := range rune(0x100) {
		for _, out := range describable("a" + string(r)) {
			if out < 0x20 || out > 0x7E || out == '"' || out == '\\' {
				t.Errorf("%q lets %q through", r, out)
			}
		}
	}
	if got := describable(`say "no" to C:\`); got != `say 'no' to C:/` {
		t.Errorf("got %s", got)
	}
}
