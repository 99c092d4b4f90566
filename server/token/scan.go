package token

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/server/authz"
)

// maxDepth is how deeply objects and arrays may nest, the outermost included.
const maxDepth = 16

// minExponent is the smallest exponent of ten that a number may have, well below
// float64's smallest: 1e-99999999 is zero to one reader, and to another a
// fraction that takes minutes to write out.
const minExponent = -999

// scanObject checks that data is one JSON object that every reader understands
// alike: strict RFC 8259 grammar, valid UTF-8, no lone surrogate, no member twice
// in one object (compared as decoded), no number beyond float64 or longer than
// [authz.MaxNumber], no more than [maxDepth] levels, nothing after it. It decodes
// nothing that it need not.
//
// visit, unless nil, gets each member of the outermost object: its decoded name
// and its value's JSON text. Both are valid during the call only. It is called
// before the rest of data has been checked.
func scanObject(data []byte, visit func(name, value []byte)) error {
	if !utf8.Valid(data) {
		return refuse(authz.TokenMalformed, "its JSON is not valid UTF-8")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return refuse(authz.TokenMalformed, "header or claims are not a JSON object")
	}
	if err := s.object(visit); err != nil {
		return err
	}
	s.space()
	if s.at < len(data) {
		return refuse(authz.TokenMalformed, "something follows the JSON object")
	}
	return nil
}

type scanner struct {
	data  []byte
	at    int
	depth int
}

// peek returns 0 at the end; a NUL byte is nowhere allowed in JSON, so the two
// need not be told apart.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next consumes c, which must come next after white space.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return refuse(authz.TokenMalformed, "its JSON is nested too deeply")
	}
	s.at++ // the bracket
	return nil
}

func (s *scanner) object(visit func(name, value []byte)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.next('}') {
		return nil
	}
	var seen nameSet
	for {
		s.space()
		name, err := s.name()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return refuse(authz.TokenMalformed, "a JSON object has the same member twice")
		}
		if !s.next(':') {
			return errSyntax()
		}
		s.space()
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		if visit != nil {
			visit(name, s.data[start:s.at])
		}
		if s.next(',') {
			continue
		}
		if s.next('}') {
			return nil
		}
		return errSyntax()
	}
}

func (s *scanner) array() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.next(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		if s.next(',') {
			continue
		}
		if s.next(']') {
			return nil
		}
		return errSyntax()
	}
}

func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array()
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return errSyntax()
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.at:], []byte(word)) {
		return errSyntax()
	}
	s.at += len(word)
	return nil
}

// name reads a member's name and decodes it.
func (s *scanner) name() ([]byte, error) {
	start := s.at
	escaped, err := s.text()
	if err != nil {
		return nil, err
	}
	if !escaped {
		return s.data[start+1 : s.at-1], nil
	}
	decoded, ok := decodeText(s.data[start:s.at])
	if !ok {
		return nil, errSyntax()
	}
	return []byte(decoded), nil
}

// text passes over a string and reports whether it has escapes.
func (s *scanner) text() (escaped bool, err error) {
	if s.peek() != '"' {
		return false, errSyntax()
	}
	s.at++
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return escaped, nil
		case c < 0x20:
			return false, errSyntax()
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return false, err
			}
		default:
			s.at++
		}
	}
	return false, errSyntax()
}

// escape passes over one escape, or over two that are one surrogate pair.
func (s *scanner) escape() error {
	s.at++ // the backslash
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
		s.at--
	default:
		return errSyntax()
	}
	first, ok := s.unit()
	if !ok {
		return errSyntax()
	}
	if !utf16.IsSurrogate(first) {
		return nil
	}
	// Some decoders replace a lone surrogate, others keep it: two strings would
	// be one to this reader and not to that.
	second, ok := s.unit()
	if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
		return refuse(authz.TokenMalformed, "a string has half of a surrogate pair")
	}
	return nil
}

// unit reads \uXXXX.
func (s *scanner) unit() (rune, bool) {
	const length = len(`\uXXXX`)
	if len(s.data)-s.at < length || s.data[s.at] != '\\' || s.data[s.at+1] != 'u' {
		return 0, false
	}
	var unit rune
	for _, c := range s.data[s.at+2 : s.at+length] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	s.at += length
	return unit, true
}

func (s *scanner) number() error {
	start, exponent := s.at, s.at
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return errSyntax()
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return errSyntax()
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if exponent = s.at; !s.digits() {
			return errSyntax()
		}
	}
	if s.at-start > authz.MaxNumber {
		return refuse(authz.TokenMalformed, "a number is too long")
	}
	if exponent > start && s.data[exponent-1] == '-' {
		if e, err := strconv.Atoi(string(s.data[exponent:s.at])); err != nil || -e < minExponent {
			return refuse(authz.TokenMalformed, "a number is out of range")
		}
	}
	// Few readers survive 1e999999999 unharmed.
	if f, err := strconv.ParseFloat(string(s.data[start:s.at]), 64); err != nil || math.IsInf(f, 0) {
		return refuse(authz.TokenMalformed, "a number is out of range")
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// decodeText decodes the JSON text of a string; false when it is something else.
// The text must have passed the scanner, so there is only one way to decode it.
func decodeText(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var decoded string
	if err := json.Unmarshal(value, &decoded); err != nil {
		return "", false
	}
	return decoded, true
}

// nameSet is the set of one object's member names. Small ones need no memory of
// their own, large ones no quadratic time.
type nameSet struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

// add reports whether the name is new.
func (s *nameSet) add(name []byte) bool {
	if s.many != nil {
		if _, known := s.many[string(name)]; known {
			return false
		}
		s.many[string(name)] = struct{}{}
		return true
	}
	for _, known := range s.few[:s.n] {
		if bytes.Equal(known, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = map[string]struct{}{string(name): {}}
	for _, known := range s.few {
		s.many[string(known)] = struct{}{}
	}
	return true
}

func errSyntax() error { return refuse(authz.TokenMalformed, "its JSON is malformed") }

// decodeObject decodes what has passed [scanObject], to what encoding/json makes of
// it, with numbers as [json.Number].
func decodeObject(data []byte) (map[string]any, error) {
	d := decoder{scanner: scanner{data: data}, text: string(data)}
	d.space()
	if d.peek() != '{' {
		return nil, errSyntax()
	}
	return d.object()
}

// decoder decodes what a scanner has passed, of which there is but one
// understanding. Its texts are parts of one, so that they are allocated at once.
type decoder struct {
	scanner
	text string // all of data
}

// string decodes a name or a text.
func (d *decoder) string() (string, error) {
	start := d.at
	escaped, err := d.scanner.text()
	if err != nil {
		return "", err
	}
	if !escaped {
		return d.text[start+1 : d.at-1], nil
	}
	decoded, ok := decodeText(d.data[start:d.at])
	if !ok {
		return "", errSyntax()
	}
	return decoded, nil
}

func (d *decoder) object() (map[string]any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer func() { d.depth-- }()
	object := map[string]any{}
	if d.next('}') {
		return object, nil
	}
	for {
		d.space()
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		if !d.next(':') {
			return nil, errSyntax()
		}
		if object[name], err = d.value(); err != nil {
			return nil, err
		}
		if d.next(',') {
			continue
		}
		if d.next('}') {
			return object, nil
		}
		return nil, errSyntax()
	}
}

func (d *decoder) array() ([]any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer func() { d.depth-- }()
	list := []any{}
	if d.next(']') {
		return list, nil
	}
	for {
		element, err := d.value()
		if err != nil {
			return nil, err
		}
		list = append(list, element)
		if d.next(',') {
			continue
		}
		if d.next(']') {
			return list, nil
		}
		return nil, errSyntax()
	}
}

func (d *decoder) value() (any, error) {
	d.space()
	start := d.at
	switch c := d.peek(); {
	case c == '{':
		return d.object()
	case c == '[':
		return d.array()
	case c == '"':
		return d.string()
	case c == '-' || isDigit(c):
		if err := d.number(); err != nil {
			return nil, err
		}
		return json.Number(d.text[start:d.at]), nil
	case c == 't':
		return true, d.literal("true")
	case c == 'f':
		return false, d.literal("false")
	case c == 'n':
		return nil, d.literal("null")
	}
	return nil, errSyntax()
}
