package server

import (
	"bytes"
	"debug/elf"
	"strings"
)

// programID identifies the running program down to its last instruction: the id
// that Go's linker leaves in it, the last part of which is a hash of its content
// (cmd/internal/buildid). It is empty where there is none: on systems without
// ELF files, or when something else than `go build` has linked the program.
func programID() string {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer file.Close()
	section := file.Section(".note.go.buildid")
	if section == nil {
		return ""
	}
	note, err := section.Data()
	if err != nil {
		return ""
	}
	return buildID(note, file.ByteOrder.Uint32)
}

// buildID reads an ELF note: the sizes of name and content, a kind, the name,
// the content.
func buildID(note []byte, number func([]byte) uint32) string {
	const head, name = 12, "Go\x00\x00"
	if len(note) < head+len(name) || !bytes.HasPrefix(note[head:], []byte(name)) {
		return ""
	}
	id, size := note[head+len(name):], number(note[4:])
	if uint64(size) > uint64(len(id)) {
		return ""
	}
	// Made by `go build` it has four hashes: of the commands and the content of
	// package main, and of those of the program. What others put there, such as
	// "redacted", may be the same for every program.
	const hashes, hash = 4, 20
	parts := strings.Split(string(id[:size]), "/")
	if len(parts) != hashes {
		return ""
	}
	for _, part := range parts {
		if len(part) != hash {
			return ""
		}
	}
	return string(id[:size])
}
