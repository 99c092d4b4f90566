package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/route"
)

// settleAmbiguity makes a table of which a path can match one pattern only. Patterns
// that differ in the names of their parameters alone become one. Of others that take
// the same paths (/{kind}/me and /users/{id}), nobody can say which one the API means:
// they are closed, under a pattern that takes in all of them.
func (in *importer) settleAmbiguity() error {
	byShape := map[string]*entry{}
	for _, pattern := range in.table.sorted() {
		e := in.table.entries[pattern]
		key := strings.Join(shape(pattern), "/")
		same := byShape[key]
		if same == nil {
			byShape[key] = e
			continue
		}
		same.claims = append(same.claims, e.claims...)
		same.line = min(same.line, e.line)
		delete(in.table.entries, pattern)
	}
	for _, pattern := range in.table.sorted() {
		in.agree(in.table.entries[pattern])
	}
	for range maxClusters {
		patterns := in.table.sorted()
		if _, err := route.NewMatcher(patterns); err == nil {
			return nil
		}
		cluster := in.firstCluster(patterns)
		if len(cluster) < 2 {
			return errAmbiguous
		}
		in.closeTogether(cluster)
	}
	return errAmbiguous
}

// Limits of the search for ambiguous paths.
const (
	maxClusters    = 100
	maxCluster     = 1000
	maxComparisons = 20_000_000
)

var errAmbiguous = &Error{0, "has too many paths that are ambiguous beside one another"}

// agree closes the methods that are claimed twice with different conditions, and all of
// them where a path could not be read.
func (in *importer) agree(e *entry) {
	first := map[string]claim{}
	for _, c := range e.claims {
		other, twice := first[c.method]
		switch {
		case c.method == "":
			in.deny(e, untranslated{reason: "takes the same requests as a path that can't be read", advice: "describe the path once"}, all)
		case !twice:
			first[c.method] = c
		case c.denied != other.denied, !c.condition.equal(other.condition):
			in.deny(e, untranslated{reason: fmt.Sprintf("takes the same requests as another path (%s, %s), which asks for something else", other.path, c.path), advice: "describe the path once"},
				func(x claim) bool { return x.method == c.method })
		}
	}
}

// firstCluster finds patterns that cross one another, directly or by others.
func (in *importer) firstCluster(patterns []string) []string {
	byLength := map[int][]int{}
	shapes := make([][]string, len(patterns))
	for i, pattern := range patterns {
		shapes[i] = shape(pattern)
		if strings.Contains(pattern, "{") {
			byLength[len(shapes[i])] = append(byLength[len(shapes[i])], i)
		}
	}
	for first, pattern := range patterns {
		if !strings.Contains(pattern, "{") {
			continue // crosses nothing
		}
		cluster := []int{first}
		for at := 0; at < len(cluster); at++ {
			if in.compared += len(byLength[len(shapes[first])]); in.compared > maxComparisons {
				return nil
			}
			for _, i := range byLength[len(shapes[first])] {
				if cross(shapes[cluster[at]], shapes[i]) && !slices.Contains(cluster, i) {
					cluster = append(cluster, i)
				}
				if len(cluster) > maxCluster {
					return nil
				}
			}
		}
		if len(cluster) > 1 {
			names := make([]string, len(cluster))
			for i, index := range cluster {
				names[i] = patterns[index]
			}
			return names
		}
	}
	return nil
}

// cross reports whether some path has both shapes, and each has a literal where the
// other takes anything.
func cross(a, b []string) bool {
	narrower, wider := false, false
	for i := range a {
		switch {
		case a[i] == b[i]:
		case a[i] == anything && b[i] != "":
			wider = true
		case b[i] == anything && a[i] != "":
			narrower = true
		default:
			return false
		}
	}
	return narrower && wider
}

// closeTogether replaces patterns by one without methods that takes in all of them.
func (in *importer) closeTogether(cluster []string) {
	slices.Sort(cluster)
	joined := shape(cluster[0])
	shapes := make([][]string, len(cluster))
	for at, pattern := range cluster {
		shapes[at] = shape(pattern)
		for i, part := range shapes[at] {
			if joined[i] != part {
				joined[i] = anything
			}
		}
	}
	line := 0
	for at, pattern := range cluster {
		e := in.table.entries[pattern]
		var others []string
		for i, other := range cluster {
			if cross(shapes[at], shapes[i]) {
				others = append(others, other)
			}
			if len(others) == 3 {
				break
			}
		}
		in.deny(e, untranslated{reason: "is ambiguous beside " + strings.Join(others, ", ") + ": a path can match both, and neither is more specific", advice: "change one"}, all)
		line = e.line
		delete(in.table.entries, pattern)
	}
	written := strings.Split(cluster[0][1:], "/")
	for i, part := range joined {
		if part == anything {
			written[i] = fmt.Sprintf("{p%d}", i+1)
		}
	}
	pattern := "/" + strings.Join(written, "/")
	for _, other := range in.table.sorted() {
		if slices.Equal(shape(other), joined) {
			in.deny(in.table.entries[other], untranslated{reason: "would also take the requests to " + strings.Join(cluster[:2], ", ") + ", which are ambiguous", advice: "change one of those"}, all)
			return
		}
	}
	in.table.entries[pattern] = &entry{pattern: pattern, line: line}
}

// settleHead takes HEAD for what it is decided as: GET, where there is one.
func (in *importer) settleHead() error {
	is := func(method string) func(claim) bool { return func(c claim) bool { return c.method == method } }
	for _, pattern := range in.table.sorted() {
		e := in.table.entries[pattern]
		get, head := slices.IndexFunc(e.claims, is("GET")), slices.IndexFunc(e.claims, is("HEAD"))
		if get < 0 || head < 0 || e.claims[get].denied {
			continue
		}
		if !e.claims[head].denied && e.claims[head].condition.equal(e.claims[get].condition) {
			e.claims = slices.DeleteFunc(e.claims, is("HEAD"))
			continue
		}
		why := untranslated{reason: "has another security than HEAD, which is decided as GET", advice: "give both the same, or leave HEAD out"}
		in.deny(e, why, is("GET"))
		why.reason = "has another security than GET, as which it is decided"
		in.deny(e, why, is("HEAD"))
	}
	return nil
}
