package openapi

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/route"
)

// segments of the templates of random documents, with the segments of paths that each
// of them takes.
var segmentKinds = map[string][]string{
	"a": {"a"}, "b": {"b"}, "v.j": {"v.j"}, "{x}": pathSegments, "{y}": pathSegments, "{x}.j": {"v.j", "w.j"},
}

var pathSegments = []string{"a", "b", "c", "v.j", "w.j"}

// securities of random operations, with the condition that they are; empty where there
// is none.
var securities = map[string]string{"[]": "public", "[{o: [s]}]": "s", "[{o: [t]}]": "t", "[{o: []}]": "authenticated", "[{k: []}]": "", "oops": ""}

// TestNothingIsOpenedByAWiderRoute holds, for random documents and all paths, that what
// a request is asked for is what the document says of the narrowest paths that take it,
// all of them; whatever was left out, and for whatever reason.
func TestNothingIsOpenedByAWiderRoute(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(m map[string][]string) string {
		return slices.Sorted(maps.Keys(m))[random.IntN(len(m))]
	}
	kinds := slices.Sorted(maps.Keys(securities))
	opened := 0
	for range 5000 {
		operations := map[string]map[string]string{} // by template and method: security
		var document strings.Builder
		document.WriteString(head + "paths:\n")
		for range 1 + random.IntN(6) {
			var parts []string
			for range 1 + random.IntN(3) {
				parts = append(parts, pick(segmentKinds))
			}
			template := "/" + strings.Join(parts, "/")
			if operations[template] != nil {
				continue
			}
			operations[template] = map[string]string{}
			fmt.Fprintf(&document, "  '%s':\n", template)
			for _, method := range []string{"get", "put"} {
				if random.IntN(4) > 0 {
					security := kinds[random.IntN(len(kinds))]
					operations[template][strings.ToUpper(method)] = security
					fmt.Fprintf(&document, "    %s: {security: %s}\n", method, security)
				}
			}
			if len(operations[template]) == 0 {
				fmt.Fprintf(&document, "    $ref: elsewhere.yaml\n")
			}
		}
		imported, err := Read([]byte(document.String()), Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, &document)
		}
		byPattern := map[string]Route{}
		for _, r := range imported.Routes {
			byPattern[r.Pattern] = r
		}
		matcher, err := route.NewMatcher(slices.Collect(maps.Keys(byPattern)))
		if err != nil {
			t.Fatalf("%v\n%s", err, &document)
		}
		for _, path := range allPaths(3) {
			match, ok := matcher.Match("", path)
			if !ok {
				continue
			}
			for method, condition := range byPattern[match.Pattern].Methods {
				opened++
				got := asked(condition)
				takers := narrowest(operations, path)
				for _, template := range takers {
					if _, said := operations[template][method]; !said && len(operations[template]) > 0 &&
						(strings.Contains(template, "}.") || slices.ContainsFunc(takers, func(other string) bool { return other != template && sameNames(other) == sameNames(template) })) {
						continue // only what a path says is said of others that take the same requests
					}
					if want := securities[operations[template][method]]; got != want {
						t.Fatalf("%s %v asks for %s by %s, but %s says %q\n%s", method, path, got, match.Pattern, template, want, &document)
					}
				}
			}
		}
	}
	if opened < 10_000 {
		t.Errorf("only %d requests were let through: the documents are too bad", opened)
	}
}

// allPaths are all paths of up to so many segments.
func allPaths(most int) (paths [][]string) {
	longest := [][]string{{}}
	for range most {
		var next [][]string
		for _, path := range longest {
			for _, segment := range pathSegments {
				next = append(next, append(slices.Clone(path), segment))
			}
		}
		longest = next
		paths = append(paths, next...)
	}
	return paths
}

// narrowest are the templates that take a path, but for those that take all that
// another such takes, and more.
func narrowest(operations map[string]map[string]string, path []string) []string {
	var takers []string
	for template := range operations {
		parts := strings.Split(template[1:], "/")
		if len(parts) == len(path) {
			all := true
			for i, part := range parts {
				all = all && slices.Contains(segmentKinds[part], path[i])
			}
			if all {
				takers = append(takers, template)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(takers), func(template string) bool {
		return slices.ContainsFunc(takers, func(other string) bool { return strictlyWider(template, other) })
	})
}

// sameNames is a template with one name for all parameters.
func sameNames(template string) string { return strings.ReplaceAll(template, "{y}", "{x}") }

func strictlyWider(a, b string) bool {
	wider := false
	others := strings.Split(b[1:], "/")
	for i, part := range strings.Split(a[1:], "/") {
		for _, segment := range segmentKinds[others[i]] {
			if !slices.Contains(segmentKinds[part], segment) {
				return false
			}
		}
		wider = wider || len(segmentKinds[part]) > len(segmentKinds[others[i]])
	}
	return wider
}
