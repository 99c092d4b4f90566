package server

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

func TestProgramID(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("programs have an id in ELF files")
	}
	id := programID()
	if id == "" || id != programID() {
		t.Errorf("programID() = %q, want this test binary's", id)
	}
}

func TestBuildID(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 20)
	good := strings.Join([]string{hash, hash, hash, hash}, "/")
	note := func(name, id string, size int) []byte {
		head := make([]byte, 12)
		binary.LittleEndian.PutUint32(head[0:], uint32(len(name)))
		binary.LittleEndian.PutUint32(head[4:], uint32(size))
		return append(append(head, name...), id...)
	}
	tests := map[string]struct {
		note []byte
		want string
	}{
		"go build":     {note("Go\x00\x00", good, len(good)), good},
		"padded":       {note("Go\x00\x00", good+"\x00", len(good)), good},
		"empty":        {nil, ""},
		"cut off":      {note("Go\x00\x00", good[:40], len(good)), ""},
		"no head":      {make([]byte, 11), ""},
		"of GNU":       {note("GNU\x00", good, len(good)), ""},
		"redacted":     {note("Go\x00\x00", "redacted", 8), ""},
		"go tool link": {note("Go\x00\x00", hash+"/"+hash, 41), ""},
		"empty hashes": {note("Go\x00\x00", "///", 3), ""},
		"endless":      {note("Go\x00\x00", good, 1<<31), ""},
	}
	for name, test := range tests {
		if got := buildID(test.note, binary.LittleEndian.Uint32); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
