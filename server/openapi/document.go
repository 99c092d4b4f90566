package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// MaxBytes bounds a document. The largest public ones have some 12 MiB.
const MaxBytes = 32 << 20

// Error says why a document can't be read at all.
type Error struct {
	// Line counts from 1; 0 where it is not known.
	Line    int
	Message string
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return e.Message
}

func refuse(at *yaml.Node, format string, args ...any) *Error {
	e := &Error{Message: fmt.Sprintf(format, args...)}
	if at != nil {
		e.Line = at.Line
	}
	return e
}

// parse reads a document's text into nodes that know their lines. Aliases are not
// followed here, so a text can't become more than it is.
func parse(text []byte) (*yaml.Node, error) {
	if len(text) > MaxBytes {
		return nil, refuse(nil, "has more than %d MiB", MaxBytes>>20)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var inJSON error
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		var root *yaml.Node
		if root, inJSON = parseJSON(text); inJSON == nil {
			return root, nil
		}
	}
	root, err := parseYAML(text)
	if err != nil && inJSON != nil {
		return nil, inJSON
	}
	return root, err
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

func parseYAML(text []byte) (_ *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	err = decoder.Decode(&document)
	switch {
	case errors.Is(err, io.EOF):
		return nil, refuse(nil, "is empty")
	case err != nil:
		refused := &Error{Message: strings.TrimPrefix(err.Error(), "yaml: ")}
		if m := yamlLine.FindStringSubmatch(refused.Message); m != nil {
			refused.Line, _ = strconv.Atoi(m[1])
			refused.Message = refused.Message[len(m[0]):]
		}
		return nil, refused
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, refuse(nil, "has more than one document; keep one")
	}
	if len(document.Content) == 0 {
		return nil, refuse(nil, "is empty")
	}
	return document.Content[0], nil
}

// parseJSON reads JSON as such: the YAML library refuses some of it, such as the
// surrogate pairs that many programs write for an emoji, and takes forty times the
// memory for what is not looked at.
func parseJSON(text []byte) (*yaml.Node, error) {
	j := jsonReader{text: text, line: 1}
	// What comes twice matters where it is read, and is refused there.
	j.Decoder = jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))
	root, err := j.value(nil)
	if err == nil {
		if _, err = j.ReadToken(); errors.Is(err, io.EOF) {
			return root, nil
		}
		if err == nil {
			err = errors.New("something follows the document's end")
		}
	}
	refused := &Error{Message: err.Error()}
	offset := j.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		offset = syntax.ByteOffset
		refused.Message = "is not JSON: " + syntax.Err.Error()
	}
	refused.Line = 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
	return nil, refused
}

type jsonReader struct {
	*jsontext.Decoder
	text []byte
	// line is the one in which the byte at counted lies.
	line, counted int
}

// maxNesting bounds how deep what is looked at may lie, for each level holds the path
// that leads to it. A document's own members are less than ten deep.
const maxNesting = 100

// value reads the value that a path of names leads to.
func (j *jsonReader) value(path []string) (*yaml.Node, error) {
	if len(path) > maxNesting {
		return nil, fmt.Errorf("is nested more than %d deep", maxNesting)
	}
	token, err := j.ReadToken()
	if err != nil {
		return nil, err
	}
	offset := int(j.InputOffset())
	j.line += bytes.Count(j.text[j.counted:offset], []byte("\n"))
	j.counted = offset
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: j.line, Value: token.String()}
	switch token.Kind() {
	case '{':
		node.Kind, node.Tag, node.Value = yaml.MappingNode, "!!map", ""
		for j.PeekKind() != '}' {
			key, err := j.value(nil)
			if err != nil {
				return nil, err
			}
			below := append(slices.Clip(path), key.Value)
			if !looksAt(below) {
				if err := j.SkipValue(); err != nil {
					return nil, err
				}
				continue
			}
			value, err := j.value(below)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, key, value)
		}
		_, err = j.ReadToken()
	case '[':
		node.Kind, node.Tag, node.Value = yaml.SequenceNode, "!!seq", ""
		for j.PeekKind() != ']' {
			item, err := j.value(append(slices.Clip(path), "[]"))
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, item)
		}
		_, err = j.ReadToken()
	case '"':
	case 'n':
		node.Tag = "!!null"
	default:
		node.Tag = "!!other" // a number or a boolean: nothing here is one
	}
	return node, err
}

// looksAt reports whether the member at a path of names can say who may call what.
func looksAt(path []string) bool {
	switch {
	case len(path) == 1:
		return slices.Contains([]string{"openapi", "swagger", "info", "servers", "security", "paths", "components"}, path[0])
	case path[0] == "components" && len(path) == 2:
		return path[1] == "securitySchemes" || path[1] == "pathItems"
	case path[0] == "components" && path[1] == "pathItems" && len(path) > 3:
		return inPathItem(path[3:])
	case path[0] == "paths" && len(path) > 2:
		return inPathItem(path[2:])
	}
	return true
}

// inPathItem is looksAt from a path item on.
func inPathItem(path []string) bool {
	if path[0] == "additionalOperations" && len(path) > 1 {
		path = path[1:]
	}
	switch {
	case len(path) == 1:
		return path[0] != "parameters"
	case path[0] == "servers":
		return true
	}
	return isSecurity(path[1]) || path[1] == "servers" || path[1] == "$ref"
}
