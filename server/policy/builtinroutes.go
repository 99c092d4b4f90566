package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/route"
)

// UnderBuiltIn returns a function that says of a pattern which of the built-in ones it
// takes a part of, or the whole; empty where there is none. An error names a built-in
// pattern that is none.
func UnderBuiltIn(patterns []string) (func(pattern string) string, error) {
	b, err := newBuiltIn(patterns)
	if err != nil {
		return nil, err
	}
	return b.under, nil
}

// builtIn are the patterns that the server itself serves.
type builtIn struct {
	patterns []string
	matcher  *route.Matcher
	byShape  map[string]string
}

func newBuiltIn(patterns []string) (*builtIn, error) {
	b := &builtIn{patterns: patterns, byShape: map[string]string{}}
	for _, p := range patterns {
		b.byShape[shape(p)] = p
	}
	var err error
	b.matcher, err = route.NewMatcher(patterns)
	return b, err
}

// under returns the built-in pattern of which a pattern takes a part or the whole;
// empty where there is none. A pattern that takes in more than a built-in one, such
// as /{path...}, is not over it: where both are declared, the built-in one wins, as
// the more specific.
func (b *builtIn) under(pattern string) string {
	if same := b.byShape[shape(pattern)]; same != "" {
		return same
	}
	// Does the built-in table take some path of the pattern? One that stands for
	// them all will do: its parameters have a value that is no literal.
	if match, ok := b.matcher.Match("", sample(pattern)); ok {
		return match.Pattern
	}
	// Or do they cross, as /a/{x}/c and /a/b/{y} do?
	if !strings.Contains(pattern, "{") {
		return ""
	}
	if _, err := route.NewMatcher(append(slices.Clone(b.patterns), pattern)); err != nil {
		for _, p := range b.patterns {
			if strings.Contains(err.Error(), fmt.Sprintf("%q", p)) {
				return p
			}
		}
		return "some paths of it"
	}
	return ""
}

// shape is a pattern without the names of its parameters.
func shape(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, "{") && strings.HasSuffix(part, "...}"):
			parts[i] = "{...}"
		case strings.HasPrefix(part, "{"):
			parts[i] = "{}"
		default:
			if decoded, err := url.PathUnescape(part); err == nil {
				parts[i] = decoded
			}
		}
	}
	return strings.Join(parts, "/")
}

// sample is the segments of some path that a pattern matches.
func sample(pattern string) []string {
	parts := strings.Split(strings.TrimPrefix(shape(pattern), "/"), "/")
	for i, part := range parts {
		if part == "{}" || part == "{...}" {
			parts[i] = "\x00" // in no path, so no literal is it
		}
	}
	return parts
}
