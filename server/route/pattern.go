package route

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type segmentKind int

const (
	literal segmentKind = iota
	parameter
	rest
)

// patternSegment is one segment of a declared pattern.
type patternSegment struct {
	kind segmentKind
	// text is a literal, decoded, or a parameter's name.
	text string
}

// isEmpty reports whether s is what a trailing slash makes.
func (s patternSegment) isEmpty() bool { return s.kind == literal && s.text == "" }

// parsePattern reads a pattern such as "/items/{id}" or "api.example.com/items/{id}".
func parsePattern(pattern string) (host string, _ []patternSegment, _ error) {
	written, path := SplitPattern(pattern)
	host, err := parseHost(written)
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("route pattern %q: %w", pattern, err)
	case path == "":
		return "", nil, fmt.Errorf("route pattern %q: must begin with a slash, or with a host name and a slash", pattern)
	}
	parts := strings.Split(path[1:], "/")
	segments := make([]patternSegment, len(parts))
	names := make(map[string]bool)
	for i, part := range parts {
		last := i == len(parts)-1
		segment, err := parsePatternSegment(part, last)
		if err != nil {
			return "", nil, fmt.Errorf("route pattern %q: %w", pattern, err)
		}
		if segment.kind != literal {
			if names[segment.text] {
				return "", nil, fmt.Errorf("route pattern %q: parameter {%s} appears twice; rename one", pattern, segment.text)
			}
			names[segment.text] = true
		}
		segments[i] = segment
	}
	return host, segments, nil
}

func parsePatternSegment(part string, last bool) (patternSegment, error) {
	if !strings.ContainsAny(part, "{}") {
		text, err := parseLiteral(part, last)
		return patternSegment{kind: literal, text: text}, err
	}
	if !strings.HasPrefix(part, "{") || !strings.HasSuffix(part, "}") {
		return patternSegment{}, fmt.Errorf("a parameter must be a whole segment, as in /items/{id}; got %q", part)
	}
	name, isRest := strings.CutSuffix(part[1:len(part)-1], "...")
	if !isName(name) {
		return patternSegment{}, fmt.Errorf("parameter %q needs a name of letters, digits, hyphens and underscores", part)
	}
	if !isRest {
		return patternSegment{kind: parameter, text: name}, nil
	}
	if !last {
		return patternSegment{}, fmt.Errorf("%q matches the rest of a path, so it must be the last segment", part)
	}
	return patternSegment{kind: rest, text: name}, nil
}

// parseLiteral decodes a literal and refuses one that no canonical target has.
// Characters that a target must encode may be written either way.
func parseLiteral(part string, last bool) (string, error) {
	if part == "" && !last {
		return "", fmt.Errorf("has an empty segment, which no request can match; remove the doubled slash")
	}
	if part == "." || part == ".." {
		return "", fmt.Errorf("has a dot segment, which no request can match")
	}
	var text strings.Builder
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			text.WriteByte(part[i])
			continue
		}
		if i+2 >= len(part) || !isHex(part[i+1]) || !isHex(part[i+2]) {
			return "", fmt.Errorf("has a percent sign that two hex digits do not follow; write it as %%25")
		}
		c := unhex(part[i+1])<<4 | unhex(part[i+2])
		if refused := checkEscaped(c); refused != nil {
			return "", fmt.Errorf("no request can match it: %s", refused.Detail)
		}
		text.WriteByte(c)
		i += 2
	}
	decoded := text.String()
	if !utf8.ValidString(decoded) {
		return "", fmt.Errorf("is not valid UTF-8")
	}
	for i, r := range decoded {
		switch {
		case r == '?' && strings.Contains(part, "?"), r == '#' && strings.Contains(part, "#"):
			return "", fmt.Errorf("a pattern has no query and no fragment; write %q as a percent escape", r)
		case r == '\\', r == ';', unicode.IsControl(r):
			return "", fmt.Errorf("has the character %q, which no request's path may contain", r)
		case r == '%' && i+2 < len(decoded) && isHex(decoded[i+1]) && isHex(decoded[i+2]):
			return "", fmt.Errorf("is encoded twice, which no request's path may be")
		}
	}
	return decoded, nil
}

func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != ""
}
