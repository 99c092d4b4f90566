package route

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Target is a request's canonical target (RFC 9112 section 3.2.1, origin form).
type Target struct {
	// Path is the encoded path, byte for byte as it was received.
	Path string
	// Segments are the path's segments, decoded once. "/" has one, which is
	// empty; "/items/" has two, "items" and "". No other segment is empty.
	Segments []string
	// RawQuery is what followed the question mark, as it was received.
	RawQuery string
	// Query is RawQuery decoded as a form; nil when there is none.
	Query map[string][]string
}

// The codes of a [TargetError].
const (
	CodeForm              = "not_origin_form"
	CodeEmptySegment      = "empty_segment"
	CodeDotSegment        = "dot_segment"
	CodeEncodedSlash      = "encoded_slash"
	CodeBackslash         = "backslash"
	CodeSemicolon         = "semicolon"
	CodeControl           = "control_character"
	CodeFragment          = "fragment"
	CodeForbidden         = "forbidden_character"
	CodeBadEscape         = "bad_escape"
	CodeLowerHex          = "lower_case_hex"
	CodeEncodedUnreserved = "encoded_unreserved"
	CodeDoubleEncoding    = "double_encoding"
	CodeUTF8              = "invalid_utf8"
	CodeQuery             = "bad_query"
	CodeHost              = "bad_host"
)

// TargetError says why a target, or a Host, is not canonical. The request that carried it
// is to be answered 400 and looked at no further.
type TargetError struct {
	// Code is one of the codes above.
	Code string
	// Detail says what to send instead. It repeats nothing of the target.
	Detail string
}

func (e *TargetError) Error() string { return "request target refused: " + e.Detail }

func refuse(code, detail string) *TargetError { return &TargetError{Code: code, Detail: detail} }

// ParseTarget reads a request line's target ([net/http.Request.RequestURI]).
// There is one spelling of each path, and any other is a *[TargetError]:
//
//   - absolute, authority and asterisk forms (RFC 9112 section 3.2);
//   - empty and dot segments, but for the empty one that a trailing slash makes;
//   - slash, backslash and semicolon inside a segment, raw or encoded;
//   - characters that RFC 3986 section 3.3 does not allow in a path, raw; a
//     fragment; control characters, raw or encoded;
//   - an encoded unreserved character, lower-case hex digits (RFC 3986 section
//     6.2.2), a broken escape, an escape that decodes to another escape;
//   - octets that are not valid UTF-8, overlong forms included.
//
// Reserved characters such as "@" and ":" may be encoded or not (clients do
// both); they are the same once decoded, and Segments is what is matched and
// decided by.
//
// A query must decode as application/x-www-form-urlencoded to valid UTF-8
// without NUL; raw space, control and non-ASCII characters, "#", and ";" (which
// some parsers take for a separator) are refused.
func ParseTarget(requestURI string) (Target, error) {
	return ParseTargetInto(requestURI, nil)
}

// ParseTargetInto is [ParseTarget] for a caller that has room for the segments:
// they lie in it, from its beginning, if its capacity suffices.
func ParseTargetInto(requestURI string, room []string) (Target, error) {
	if requestURI == "" || requestURI[0] != '/' {
		return Target{}, refuse(CodeForm, "send the path alone, beginning with a slash")
	}
	path, rawQuery, _ := strings.Cut(requestURI, "?")
	segments, refused := splitPath(path, room[:0])
	if refused != nil {
		return Target{}, refused
	}
	target := Target{Path: path, Segments: segments, RawQuery: rawQuery}
	if rawQuery != "" {
		query, refused := parseQuery(rawQuery)
		if refused != nil {
			return Target{}, refused
		}
		target.Query = query
	}
	return target, nil
}

// splitPath splits a path that begins with a slash, decodes its segments, and
// appends them.
func splitPath(path string, segments []string) ([]string, *TargetError) {
	for rest, more := path[1:], true; more; {
		var raw string
		raw, rest, more = strings.Cut(rest, "/")
		switch {
		case raw == "" && more:
			return nil, refuse(CodeEmptySegment, "the path has an empty segment; remove the doubled slash")
		case raw == "." || raw == "..":
			return nil, refuse(CodeDotSegment, "the path has a dot segment; send the path that it leads to")
		}
		segment, refused := decodeSegment(raw)
		if refused != nil {
			return nil, refused
		}
		segments = append(segments, segment)
	}
	return slices.Clip(segments), nil
}

// decodeSegment decodes a segment once. It returns raw itself where nothing in
// it is encoded.
func decodeSegment(raw string) (string, *TargetError) {
	encoded := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%':
			encoded = true
		case !isPathChar(c):
			return "", refuseRaw(c)
		}
	}
	if !encoded {
		return raw, nil
	}

	decoded := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			decoded = append(decoded, raw[i])
			continue
		}
		if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
			return "", refuse(CodeBadEscape, "the path has a percent sign that two hex digits do not follow; encode it as %25")
		}
		if isLowerHex(raw[i+1]) || isLowerHex(raw[i+2]) {
			return "", refuse(CodeLowerHex, "the path has a lower-case percent escape; use upper-case hex digits")
		}
		c := unhex(raw[i+1])<<4 | unhex(raw[i+2])
		if refused := checkEscaped(c); refused != nil {
			return "", refused
		}
		decoded = append(decoded, c)
		i += 2
	}
	segment := string(decoded)
	if !utf8.ValidString(segment) {
		return "", refuse(CodeUTF8, "the path does not decode to valid UTF-8")
	}
	for i, r := range segment {
		switch {
		case unicode.IsControl(r):
			return "", refuseControl()
		case r == '%' && i+2 < len(segment) && isHex(segment[i+1]) && isHex(segment[i+2]):
			return "", refuse(CodeDoubleEncoding, "the path is encoded twice; encode it once")
		}
	}
	return segment, nil
}

// checkEscaped says whether a path may hold c as a percent escape.
func checkEscaped(c byte) *TargetError {
	switch {
	case c == '/':
		return refuse(CodeEncodedSlash, "the path has an encoded slash, which no segment may contain")
	case c == '\\':
		return refuse(CodeBackslash, "the path has a backslash, which no segment may contain")
	case c == ';':
		return refuse(CodeSemicolon, "the path has a semicolon; path parameters are not supported")
	case c < 0x20 || c == 0x7f:
		return refuseControl()
	case isUnreserved(c):
		return refuse(CodeEncodedUnreserved, "the path has an encoded letter, digit, hyphen, dot, underscore or tilde; send it as it is")
	}
	return nil
}

// refuseRaw says why c may not stand in a path as it is.
func refuseRaw(c byte) *TargetError {
	switch {
	case c == '#':
		return refuse(CodeFragment, "the target has a fragment, which is never sent; encode a number sign as %23")
	case c == '\\':
		return refuse(CodeBackslash, "the path has a backslash, which no segment may contain")
	case c == ';':
		return refuse(CodeSemicolon, "the path has a semicolon; path parameters are not supported")
	case c < 0x20 || c == 0x7f:
		return refuseControl()
	}
	return refuse(CodeForbidden, "the path has a character that must be percent-encoded")
}

func refuseControl() *TargetError {
	return refuse(CodeControl, "the path has a control character")
}

// isPathChar reports whether c may stand in a segment as it is: RFC 3986's
// pchar without the semicolon.
func isPathChar(c byte) bool {
	if isUnreserved(c) {
		return true
	}
	switch c {
	case '!', '$', '&', '\'', '(', ')', '*', '+', ',', '=', ':', '@':
		return true
	}
	return false
}

// isUnreserved is RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

func isLowerHex(c byte) bool { return 'a' <= c && c <= 'f' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || isLowerHex(c)
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
