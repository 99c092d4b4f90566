package policy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/server/route"
)

// routesName is the document that declares the routes: an object whose keys are
// patterns and whose values are objects of methods.
const routesName = "routes"

// routeTable is data.routes, ready to match.
type routeTable struct {
	matcher  *route.Matcher
	patterns []string            // sorted
	methods  map[string][]string // by pattern, sorted; GET implies HEAD
	// upstreams say who serves the patterns that the server itself does not.
	upstreams upstreamTable
}

// knownMethods are the methods that are told from other members of a route even
// where they are written in lower case.
var knownMethods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

// routes builds the route table of data.routes. A table that is missing is
// empty; one that is malformed or ambiguous is a problem.
func (l *loading) routes() (*routeTable, []Problem) {
	t := &routeTable{methods: map[string][]string{}}
	var problems []Problem
	refuse := func(message string, keys ...string) {
		p := Problem{Code: CodeRoutes, Message: message}
		p.File, p.Line = l.content.locate(append([]string{routesName}, keys...)...)
		problems = append(problems, p)
	}

	document, ok := l.documents[routesName].(map[string]any)
	if !ok && l.documents[routesName] != nil {
		refuse("data.routes has to be an object whose keys are route patterns, such as /items/{id}")
	}
	for _, pattern := range slices.Sorted(maps.Keys(document)) {
		item, ok := document[pattern].(map[string]any)
		if !ok {
			refuse(fmt.Sprintf("route %q has to be an object whose keys are methods, such as GET: {public: true}", pattern), pattern)
			continue
		}
		var methods []string
		for _, key := range slices.Sorted(maps.Keys(item)) {
			upper := strings.ToUpper(key)
			if !isMethod(key) {
				if slices.Contains(knownMethods, upper) {
					refuse(fmt.Sprintf("route %q: methods are in upper case: write %s instead of %s", pattern, upper, key), pattern, key)
				}
				continue // another member, such as a summary
			}
			if _, ok := item[key].(map[string]any); !ok {
				refuse(fmt.Sprintf("route %q: %s has to be an object of conditions", pattern, key), pattern, key)
				continue
			}
			methods = append(methods, key)
		}
		if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
			methods = append(methods, "HEAD")
			slices.Sort(methods)
		}
		t.patterns = append(t.patterns, pattern)
		t.methods[pattern] = methods
	}

	matcher, err := route.NewMatcher(t.patterns)
	if err != nil {
		refuse(err.Error(), named(err.Error(), t.patterns)...)
	}
	t.matcher = matcher
	return t, append(problems, l.upstreams(t)...)
}

// isMethod reports whether a member of a route is a method: a name in upper
// case, which may contain hyphens.
func isMethod(key string) bool {
	for _, c := range key {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return key != ""
}

// named finds the pattern that a message of the matcher quotes.
func named(message string, patterns []string) []string {
	for _, p := range patterns {
		if strings.Contains(message, fmt.Sprintf("%q", p)) {
			return []string{p}
		}
	}
	return nil
}

// locate finds the data file and line of a member of data, for messages. Both
// are zero where it can't be found.
func (c *content) locate(keys ...string) (name string, line int) {
	for i := range c.files {
		f := &c.files[i]
		if ext := path.Ext(f.rel); ext != ".yaml" && ext != ".yml" && ext != ".json" {
			continue
		}
		if f.routes != nil {
			if line := f.routes[keys[min(1, len(keys)-1)]]; keys[0] == routesName && line > 0 {
				return f.name, line
			}
			continue
		}
		rest, ok := f.below(keys...)
		if !ok || len(rest) == 0 {
			continue
		}
		var document yaml.Node
		if yaml.Unmarshal(f.data, &document) != nil || len(document.Content) == 0 {
			continue
		}
		if line := lineOf(document.Content[0], rest); line > 0 {
			return f.name, line
		}
	}
	return "", 0
}

// below is what remains of a place in the data for a file to say: directories below
// the root are keys of the data, too. It is false where the file lies elsewhere.
func (f *file) below(keys ...string) ([]string, bool) {
	for _, dir := range strings.Split(path.Dir(f.rel), "/") {
		if dir == "." {
			continue
		}
		if len(keys) == 0 || keys[0] != dir {
			return nil, false
		}
		keys = keys[1:]
	}
	return keys, true
}

// lineOf is the line of a member of a YAML mapping; 0 where there is none.
func lineOf(node *yaml.Node, keys []string) int {
	line := 0
	for _, key := range keys {
		name, value := memberOf(node, key)
		if value == nil {
			return 0
		}
		line, node = name.Line, value
	}
	return line
}

// memberOf is a mapping's member with its name; nil where there is none.
func memberOf(node *yaml.Node, key string) (name, value *yaml.Node) {
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}
