package route

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// parseQuery decodes a query that every parser reads alike.
func parseQuery(raw string) (map[string][]string, *TargetError) {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '#':
			return nil, refuse(CodeFragment, "the target has a fragment, which is never sent; encode a number sign as %23")
		case c == ';':
			return nil, refuse(CodeQuery, "the query has a semicolon; separate with & and encode a semicolon as %3B")
		case c <= 0x20 || c >= 0x7f:
			return nil, refuse(CodeQuery, "the query has a character that must be percent-encoded")
		}
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, refuse(CodeQuery, "the query does not decode as a form; encode a percent sign as %25")
	}
	for name, values := range query {
		if !isText(name) {
			return nil, refuse(CodeQuery, "the query does not decode to valid UTF-8 without NUL")
		}
		for _, value := range values {
			if !isText(value) {
				return nil, refuse(CodeQuery, "the query does not decode to valid UTF-8 without NUL")
			}
		}
	}
	return query, nil
}

func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
