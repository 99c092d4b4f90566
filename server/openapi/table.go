package openapi

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/route"
)

// maxRoutes bounds the patterns of one document.
const maxRoutes = 10_000

// claim is what the document says of one method of a path. One without a method is for
// the path alone.
type claim struct {
	path, method string
	line         int
	condition    Condition
	denied       bool // it could not be translated, which has been told
}

// table is the routes while they are put together.
type table struct {
	entries map[string]*entry
}

// entry is a pattern, with the claims to it in the document's order.
type entry struct {
	pattern string
	line    int
	claims  []claim
}

// claim adds a claim to a pattern.
func (t *table) claim(pattern string, c claim) error {
	e := t.entries[pattern]
	if e == nil {
		if len(t.entries) == maxRoutes {
			return &Error{c.line, fmt.Sprintf("has more than %d paths", maxRoutes)}
		}
		e = &entry{pattern: pattern, line: c.line}
		if t.entries == nil {
			t.entries = map[string]*entry{}
		}
		t.entries[pattern] = e
	}
	e.claims = append(e.claims, c)
	return nil
}

// sorted are the patterns in their order.
func (t *table) sorted() []string { return slices.Sorted(maps.Keys(t.entries)) }

// deny closes the methods for which match says so, and tells why of those that were
// open.
func (in *importer) deny(e *entry, why untranslated, match func(claim) bool) {
	for i, c := range e.claims {
		if !match(c) || c.denied {
			continue
		}
		e.claims[i].denied = true
		why.line = c.line
		in.leave(c.path, c.method, &why)
	}
}

func all(claim) bool { return true }

// routes are the table's, sorted. Claims to one method have been made to agree.
func (t *table) routes() []Route {
	list := make([]Route, 0, len(t.entries))
	for _, pattern := range t.sorted() {
		e := t.entries[pattern]
		r := Route{Pattern: pattern, Line: e.line, Methods: map[string]Condition{}}
		for _, c := range e.claims {
			if !c.denied {
				r.Methods[c.method] = c.condition
			}
		}
		list = append(list, r)
	}
	return list
}

// shape is a pattern's segments, literals decoded, and parameters as what no literal
// is.
func shape(pattern string) []string {
	parts := strings.Split(pattern[1:], "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = anything
		} else if decoded, err := url.PathUnescape(part); err == nil {
			parts[i] = decoded
		}
	}
	return parts
}

const anything = "\x00"

// refuseSpellings leaves out patterns that no request's path can match, and closes the
// path that is meant, for requests to it come in its own spelling.
func (in *importer) refuseSpellings() error {
	for _, pattern := range in.table.sorted() {
		_, err := route.NewMatcher([]string{pattern})
		if err == nil {
			continue
		}
		e := in.table.entries[pattern]
		in.deny(e, untranslated{reason: "is no route: " + err.Error(), advice: "spell the path as requests have it"}, all)
		delete(in.table.entries, pattern)
		meant := respelled(pattern)
		if meant == "" {
			continue
		}
		for _, c := range e.claims {
			if err := in.table.claim(meant, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// respelled is a pattern with its escapes resolved and without empty and dot segments
// (RFC 3986 section 6.2.2); empty where no request's path can match that either.
func respelled(pattern string) string {
	parts := strings.Split(pattern[1:], "/")
	for i, part := range parts {
		if decoded, err := url.PathUnescape(part); err == nil && !strings.ContainsAny(decoded, "/{}%") {
			parts[i] = decoded
		}
	}
	meant := path.Clean("/" + strings.Join(parts, "/"))
	if strings.HasSuffix(pattern, "/") && meant != "/" {
		meant += "/"
	}
	if _, err := route.NewMatcher([]string{meant}); err != nil {
		return ""
	}
	return meant
}

// refuseBuiltIn leaves out what the server itself serves.
func (in *importer) refuseBuiltIn() error {
	if in.options.BuiltIn == nil {
		return nil
	}
	var gone []string
	for _, pattern := range in.table.sorted() {
		over := in.options.BuiltIn(pattern)
		if over == "" {
			continue
		}
		in.deny(in.table.entries[pattern], untranslated{reason: "is a path of the server's own, " + over, advice: "give the API a base path, or a host of its own"}, all)
		delete(in.table.entries, pattern)
		gone = append(gone, pattern)
	}
	rest := in.table.sorted()
	shapes := make([][]string, len(rest))
	for i, pattern := range rest {
		shapes[i] = shape(pattern)
	}
	for _, pattern := range gone {
		if !strings.Contains(pattern, "{") {
			// The server's own declaration of the very path, if there is one, is merged
			// with this; else nothing else opens it.
			in.table.entries[pattern] = &entry{pattern: pattern}
			continue
		}
		narrow := shape(pattern)
		for i, wider := range rest {
			if includes(shapes[i], narrow) {
				in.deny(in.table.entries[wider], untranslated{reason: "would also take the requests to " + pattern + ", which can't be declared", advice: "give the API a base path, or a host of its own"}, all)
			}
		}
	}
	return nil
}

// includes reports whether every path of b is one of a.
func includes(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && (a[i] != anything || b[i] == "") {
			return false
		}
	}
	return true
}
