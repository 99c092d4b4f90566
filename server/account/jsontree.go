package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// maxImportDepth bounds nesting, so that a file can't exhaust the stack.
const maxImportDepth = 64

// jsonNode is a JSON value that remembers where it stood. encoding/json alone
// would take the last of repeated members, match names in any case, and forget
// the lines.
type jsonNode struct {
	line    int
	scalar  any          // string, json.Number, bool or nil
	members []jsonMember // of an object, repeated ones too
	items   []*jsonNode  // of an array
	kind    json.Delim   // '{', '[' or 0
}

type jsonMember struct {
	name  string
	line  int
	value *jsonNode
}

// jsonTree parses a whole file.
type jsonTree struct {
	decoder *json.Decoder
	breaks  []int // offsets of the line breaks
}

// jsonFileError is a fault that makes the file unreadable from there on.
type jsonFileError struct {
	line int
	err  error
}

func (e *jsonFileError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *jsonFileError) Unwrap() error { return e.err }

func parseJSON(content []byte) (*jsonNode, error) {
	t := &jsonTree{decoder: json.NewDecoder(bytes.NewReader(content))}
	t.decoder.UseNumber()
	for offset, c := range content {
		if c == '\n' {
			t.breaks = append(t.breaks, offset)
		}
	}
	node, err := t.value(0)
	if err == nil {
		if _, err = t.decoder.Token(); err == nil {
			err = errors.New("something follows after the end of the JSON document")
		} else if errors.Is(err, io.EOF) {
			return node, nil
		}
	}
	line := t.line()
	if errors.Is(err, io.EOF) {
		err = errors.New("the JSON document ends too early")
		line = 1 + len(t.breaks)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line = t.lineAt(syntax.Offset)
	}
	return nil, &jsonFileError{line, err}
}

// line is the line of the token that was read last.
func (t *jsonTree) line() int { return t.lineAt(t.decoder.InputOffset()) }

func (t *jsonTree) lineAt(offset int64) int {
	return 1 + sort.SearchInts(t.breaks, max(int(offset)-1, 0))
}

func (t *jsonTree) value(depth int) (*jsonNode, error) {
	if depth > maxImportDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxImportDepth)
	}
	token, err := t.decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &jsonNode{line: t.line()}
	delim, isDelim := token.(json.Delim)
	if !isDelim {
		node.scalar = token
		return node, nil
	}
	node.kind = delim
	for t.decoder.More() {
		var member jsonMember
		if delim == '{' {
			name, err := t.decoder.Token()
			if err != nil {
				return nil, err
			}
			// Only strings come here: the decoder checks.
			member.name, _ = name.(string)
			member.line = t.line()
		}
		if member.value, err = t.value(depth + 1); err != nil {
			return nil, err
		}
		if delim == '{' {
			node.members = append(node.members, member)
		} else {
			node.items = append(node.items, member.value)
		}
	}
	_, err = t.decoder.Token() // the closing one
	return node, err
}

// isNull reports a null, which counts as a member left out.
func (n *jsonNode) isNull() bool { return n.kind == 0 && n.scalar == nil }

// repeated returns the members whose names came before in the same object, in
// this value and everything inside it.
func (n *jsonNode) repeated() []jsonMember {
	var repeats []jsonMember
	seen := make(map[string]bool, len(n.members))
	for _, member := range n.members {
		if seen[member.name] {
			repeats = append(repeats, member)
		}
		seen[member.name] = true
		repeats = append(repeats, member.value.repeated()...)
	}
	for _, item := range n.items {
		repeats = append(repeats, item.repeated()...)
	}
	return repeats
}

// plain is the value as encoding/json would decode it.
func (n *jsonNode) plain() any {
	switch n.kind {
	case '{':
		object := make(map[string]any, len(n.members))
		for _, member := range n.members {
			object[member.name] = member.value.plain()
		}
		return object
	case '[':
		array := make([]any, 0, len(n.items))
		for _, item := range n.items {
			array = append(array, item.plain())
		}
		return array
	}
	return n.scalar
}

// strings is an array of strings, or false.
func (n *jsonNode) strings() ([]string, bool) {
	if n.kind != '[' {
		return nil, false
	}
	texts := make([]string, 0, len(n.items))
	for _, item := range n.items {
		text, isString := item.scalar.(string)
		if !isString {
			return nil, false
		}
		texts = append(texts, text)
	}
	return slices.Clip(texts), true
}
