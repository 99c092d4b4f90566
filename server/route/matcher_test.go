package route

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	m, err := NewMatcher([]string{
		"/", "/token", "/admin-only", "/items/", "/items/{id}", "/items/{id}/", "/items/latest", "/items/{id}/tags/{tag}",
		"/users/me", "/docs", "/docs/{path...}", "/docs/api/{version}", "/café", "/a%20b", "/users/{id}/x", "/{tenant}/{id}/y/z",
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, target, pattern string
		params                map[string]string
	}{
		{"root", "/", "/", nil},
		{"literal", "/admin-only", "/admin-only", nil},
		{"case matters", "/ADMIN-only", "", nil},
		{"trailing slash is another path", "/admin-only/", "", nil},
		{"trailing slash declared", "/items/", "/items/", nil},
		{"no trailing slash", "/items", "", nil},
		{"parameter", "/items/42", "/items/{id}", map[string]string{"id": "42"}},
		{"parameter is decoded", "/items/a%20b%3Fc", "/items/{id}", map[string]string{"id": "a b?c"}},
		{"parameter and trailing slash", "/items/42/", "/items/{id}/", map[string]string{"id": "42"}},
		{"literal over parameter", "/items/latest", "/items/latest", nil},
		{"back from a literal", "/items/latest/tags/x", "/items/{id}/tags/{tag}", map[string]string{"id": "latest", "tag": "x"}},
		{"back to the first segment", "/users/me/y/z", "/{tenant}/{id}/y/z", map[string]string{"tenant": "users", "id": "me"}},
		{"a rest owns what lies below it", "/docs/x/y/z", "/docs/{path...}", map[string]string{"path": "x/y/z"}},
		{"too long", "/items/42/tags/x/y", "", nil},
		{"too short", "/users", "", nil},
		{"rest of one", "/docs/index.html", "/docs/{path...}", map[string]string{"path": "index.html"}},
		{"rest of several", "/docs/a/b/c", "/docs/{path...}", map[string]string{"path": "a/b/c"}},
		{"rest with a trailing slash", "/docs/a/", "/docs/{path...}", map[string]string{"path": "a/"}},
		{"rest is never empty", "/docs/", "", nil},
		{"before the rest", "/docs", "/docs", nil},
		{"parameter over rest", "/docs/api/v1", "/docs/api/{version}", map[string]string{"version": "v1"}},
		{"back from a parameter to the rest", "/docs/api/v1/x", "/docs/{path...}", map[string]string{"path": "api/v1/x"}},
		{"literal compares decoded", "/caf%C3%A9", "/café", nil},
		{"encoded literal", "/a%20b", "/a%20b", nil},
		{"undeclared", "/nowhere", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, err := ParseTarget(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := m.Match("", target.Segments)
			if want := (Match{Pattern: tt.pattern, Params: tt.params}); ok != (tt.pattern != "") || !reflect.DeepEqual(got, want) {
				t.Errorf("Match(%q) = %+v, %v; want %+v", tt.target, got, ok, want)
			}
		})
	}
}

func TestNewMatcherRefuses(t *testing.T) {
	tests := []struct {
		name     string
		patterns []string
		want     []string // parts of the message
	}{
		{"empty", []string{""}, []string{`""`, "slash"}},
		{"no slash", []string{"items"}, []string{`"items"`, "slash"}},
		{"empty segment", []string{"/a//b"}, []string{`"/a//b"`, "empty segment"}},
		{"dot segment", []string{"/a/../b"}, []string{"dot segment"}},
		{"part of a segment", []string{"/items/{id}.json"}, []string{`"/items/{id}.json"`, "whole segment"}},
		{"unclosed", []string{"/items/{id"}, []string{"whole segment"}},
		{"unnamed", []string{"/items/{}"}, []string{"name"}},
		{"unnamed rest", []string{"/items/{...}"}, []string{"name"}},
		{"nested", []string{"/items/{{id}}"}, []string{"name"}},
		{"rest in the middle", []string{"/docs/{path...}/x"}, []string{"last segment"}},
		{"rest before a trailing slash", []string{"/docs/{path...}/"}, []string{"last segment"}},
		{"name twice", []string{"/a/{id}/b/{id}"}, []string{"{id}", "twice"}},
		{"semicolon", []string{"/a;b"}, []string{"';'"}},
		{"backslash", []string{`/a\b`}, []string{"no request's path"}},
		{"encoded slash", []string{"/a%2Fb"}, []string{"encoded slash"}},
		{"encoded unreserved", []string{"/%61"}, []string{"encoded letter"}},
		{"encoded twice", []string{"/%2541"}, []string{"twice"}},
		{"bad escape", []string{"/100%"}, []string{"%25"}},
		{"query", []string{"/a?b"}, []string{"no query"}},
		{"fragment", []string{"/a#b"}, []string{"no query"}},
		{"invalid UTF-8", []string{"/a\xff"}, []string{"UTF-8"}},
		{"control character", []string{"/a\n"}, []string{"may contain"}},
		{"twice", []string{"/a", "/a"}, []string{`"/a"`, "twice"}},
		{"twice, encoded", []string{"/café", "/caf%C3%A9"}, []string{`"/café"`, `"/caf%C3%A9"`}},
		{"other names", []string{"/items/{id}", "/items/{name}"}, []string{`"/items/{id}"`, `"/items/{name}"`, "ambiguous"}},
		{"other names of the rest", []string{"/d/{a...}", "/d/{b...}"}, []string{`"/d/{a...}"`, `"/d/{b...}"`}},
		{"crossed", []string{"/{kind}/me", "/users/{id}"}, []string{`"/{kind}/me"`, `"/users/{id}"`}},
		{"crossed above the rest", []string{"/{x}/b/{p...}", "/a/{y}/{p...}"}, []string{`"/{x}/b/{p...}"`, `"/a/{y}/{p...}"`}},
		{"a wildcard for a host", []string{"*.example.com/a"}, []string{"wildcard", "each host"}},
		{"a host in upper case", []string{"API.example.com/a"}, []string{"write api.example.com"}},
		{"a host with a port", []string{"api.example.com:8080/a"}, []string{"write api.example.com"}},
		{"a host with a dot at its end", []string{"api.example.com./a"}, []string{"write api.example.com"}},
		{"an address without brackets", []string{"::1/a"}, []string{"slash"}},
		{"an address spelled at length", []string{"[0:0::1]/a"}, []string{"write [::1]"}},
		{"a URL", []string{"https://api.example.com/a"}, []string{"port"}},
		{"a host with a space", []string{"api example/a"}, []string{"host name"}},
		{"a host alone", []string{"api.example.com"}, []string{"slash"}},
		{"ambiguous on one host", []string{"a.example/x/{id}", "a.example/x/{name}"}, []string{"a.example/x/{id}", "ambiguous"}},
		{"crossed above one rest", []string{"/{x}/b/c/d", "/a/{y}/{p...}"}, []string{`"/{x}/b/c/d"`, `"/a/{y}/{p...}"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewMatcher(tt.patterns)
			if err == nil {
				t.Fatalf("NewMatcher(%q) succeeds", tt.patterns)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("NewMatcher(%q): %q does not say %q", tt.patterns, err, want)
				}
			}
		})
	}
}

func TestNewMatcherAcceptsNestedPatterns(t *testing.T) {
	_, err := NewMatcher([]string{
		"/", "/{path...}", "/items/", "/items/{id}", "/items/latest", "/items/x/{path...}", "/users/{id}/", "/docs/v/{path...}",
		"/users/me/", "/{a}/", "/{a}/{b}/c", "/x/{b}/c", "/x/y/c", "/{a}/y/d",
		"/docs/{path...}", "/{a}/{b}/reports", "/{a}/{b}/reports/{path...}",
	})
	if err != nil {
		t.Error(err)
	}
}

// naiveMatches says whether one pattern matches, segment by segment.
func naiveMatches(pattern []patternSegment, segments []string) bool {
	for i, s := range pattern {
		if s.kind == rest {
			return strings.Join(segments[min(i, len(segments)):], "/") != ""
		}
		if i >= len(segments) || s.kind == literal && s.text != segments[i] || s.kind == parameter && segments[i] == "" {
			return false
		}
	}
	return len(pattern) == len(segments)
}

// narrowerThan says whether a names a smaller kind at the first segment where
// the two differ.
func narrowerThan(a, b []patternSegment) bool {
	for i := range min(len(a), len(b)) {
		if a[i].kind != b[i].kind {
			return a[i].kind < b[i].kind
		}
	}
	return false
}

// naiveAmbiguous compares two patterns segment by segment: some path matches
// both, and each has a literal where the other has a parameter (or they are the
// same but for names).
func naiveAmbiguous(a, b []patternSegment) bool {
	var aNarrower, bNarrower bool
	for i := 0; ; i++ {
		if i == len(a) || i == len(b) {
			return len(a) == len(b) && aNarrower == bNarrower
		}
		x, y := a[i], b[i]
		switch {
		case x.kind != literal && y.isEmpty(), y.kind != literal && x.isEmpty():
			return false
		case x.kind == rest && y.kind == rest:
			return aNarrower == bNarrower
		case x.kind == rest || y.kind == rest:
			return aNarrower && bNarrower
		case x.kind == literal && y.kind == literal && x.text != y.text:
			return false
		}
		aNarrower = aNarrower || x.kind < y.kind
		bNarrower = bNarrower || y.kind < x.kind
	}
}

// tableFrom draws a small table of overlapping patterns from a seed.
func tableFrom(rng *rand.Rand) []string {
	table := make(map[string]bool)
	for range 1 + rng.IntN(6) {
		var b strings.Builder
		depth := 1 + rng.IntN(4)
		for i := range depth {
			b.WriteByte('/')
			switch k := rng.IntN(8); {
			case k < 4:
				b.WriteByte("abc"[rng.IntN(3)])
			case k < 6:
				fmt.Fprintf(&b, "{p%d}", i)
			case i < depth-1:
				b.WriteByte('a')
			case k == 6:
				b.WriteString("{rest...}")
			}
		}
		table[b.String()] = true
	}
	return sortedKeys(table)
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for k := range maps.Keys(set) {
		keys = append(keys, k)
	}
	return keys
}

func pathFrom(rng *rand.Rand) []string {
	segments := make([]string, 1+rng.IntN(5))
	for i := range segments {
		segments[i] = string("abcd"[rng.IntN(4)])
	}
	if rng.IntN(4) == 0 {
		segments[len(segments)-1] = ""
	}
	return segments
}

// checkAgainstReference draws a table and paths, and compares the matcher with
// the naive one.
func checkAgainstReference(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	table := tableFrom(rng)
	parsed := make([][]patternSegment, len(table))
	for i, pattern := range table {
		_, segments, err := parsePattern(pattern)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		parsed[i] = segments
	}
	ambiguous := false
	for i := range parsed {
		for j := range i {
			ambiguous = ambiguous || naiveAmbiguous(parsed[i], parsed[j])
		}
	}
	m, err := NewMatcher(table)
	if (err != nil) != ambiguous {
		t.Fatalf("NewMatcher(%q): %v, but ambiguous is %v", table, err, ambiguous)
	}
	if err != nil {
		return
	}
	for range 40 {
		path := pathFrom(rng)
		best := -1
		for i := range parsed {
			if naiveMatches(parsed[i], path) && (best < 0 || narrowerThan(parsed[i], parsed[best])) {
				best = i
			}
		}
		got, ok := m.Match("", path)
		if ok != (best >= 0) || ok && got.Pattern != table[best] {
			t.Fatalf("%q: Match(%q) = %+v, %v; want %d", table, path, got, ok, best)
		}
		for name, value := range got.Params {
			if value == "" || !strings.Contains("/"+strings.Join(path, "/"), "/"+value) {
				t.Fatalf("%q: Match(%q): parameter %s = %q", table, path, name, value)
			}
		}
	}
}

func TestMatcherAgreesWithReference(t *testing.T) {
	for seed := range uint64(3000) {
		checkAgainstReference(t, seed)
	}
}

func FuzzMatcher(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkAgainstReference)
}

// bigTable declares n patterns of the shapes that APIs have.
func bigTable(n int) []string {
	table := make([]string, 0, n)
	for i := 0; len(table) < n; i++ {
		table = append(table, fmt.Sprintf("/r%d/", i), fmt.Sprintf("/r%d/{id}", i), fmt.Sprintf("/r%d/{id}/parts/{part}", i),
			fmt.Sprintf("/files/r%d/{path...}", i), fmt.Sprintf("/{tenant}/t/t%d", i))
	}
	return table[:n]
}

func TestMatcherIsFlatTo10000Patterns(t *testing.T) {
	paths := map[string][]string{
		"literal":    {"r1", ""},
		"parameter":  {"r1", "42"},
		"parameters": {"r1", "42", "parts", "7"},
		"rest":       {"files", "r1", "a", "b"},
		"tenant":     {"acme", "t", "t1"},
		"undeclared": {"r1", "42", "nothing"},
	}
	cost := func(n int) map[string][2]float64 {
		m, err := NewMatcher(bigTable(n))
		if err != nil {
			t.Fatal(err)
		}
		costs := make(map[string][2]float64)
		for name, path := range paths {
			w := walk{segments: path}
			w.descend(m.root, 0)
			costs[name] = [2]float64{float64(w.visited), testing.AllocsPerRun(20, func() { m.Match("", path) })}
		}
		return costs
	}
	small, large := cost(10), cost(10_000)
	if !reflect.DeepEqual(small, large) {
		t.Errorf("nodes visited and allocations differ: %v at 10 patterns, %v at 10,000", small, large)
	}
	if got := large["literal"][1]; got != 0 {
		t.Errorf("a literal match allocates %v times, want 0", got)
	}
}

// TestHosts: a host with patterns of its own has only these, and every spelling of
// it counts as the host.
func TestHosts(t *testing.T) {
	m, err := NewMatcher([]string{
		"/", "/items/{id}", "/token",
		"a.example/items/{id}", "a.example/items/{id}/x", "b.example/{path...}", "[::1]/items/{key}",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, path, want string }{
		{"", "/items/1", "/items/{id}"},
		{"127.0.0.1:8080", "/items/1", "/items/{id}"},
		{"a.example", "/items/1", "a.example/items/{id}"},
		{"A.Example:443", "/items/1", "a.example/items/{id}"},
		{"a.example.", "/items/1", "a.example/items/{id}"},
		{"a.example.:80", "/items/1", "a.example/items/{id}"},
		{"a.example", "/token", ""},
		{"a.example", "/", ""},
		{"b.example", "/token", "b.example/{path...}"},
		{"b.example", "/", ""},
		{"x.a.example", "/token", "/token"},
		{"a.example..", "/token", "/token"},
		{"[::1]:80", "/items/1", "[::1]/items/{key}"},
		{"[0:0:0:0:0:0:0:1]", "/items/1", "[::1]/items/{key}"},
	} {
		target, refused := ParseTarget(tt.path)
		if refused != nil {
			t.Fatal(refused)
		}
		if got, _ := m.Match(Host(tt.host), target.Segments); got.Pattern != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.host, tt.path, got.Pattern, tt.want)
		}
	}
}
