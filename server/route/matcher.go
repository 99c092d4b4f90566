package route

import (
	"fmt"
	"slices"
	"strings"
)

// Match is the declared pattern that a target belongs to.
type Match struct {
	// Pattern is the pattern as it was declared.
	Pattern string
	// Params holds the parameters' values, decoded once and never empty; nil
	// where the pattern has none. The value of {path...} is the remaining
	// segments joined with "/".
	Params map[string]string
}

// Matcher finds the pattern that a path matches. It does not change once built
// and may be used by any number of goroutines. A look-up costs one map access
// for each segment, however many patterns there are; only patterns that
// overlap from their first segment on make it try more than one way.
type Matcher struct {
	root *node // of the patterns without a host
	// hosts are the roots of those with one; nil where there are none.
	hosts map[string]*node
}

// node is a place in the tree of patterns, reached by the segments above it.
type node struct {
	literals map[string]*node
	// sorted holds the literals' nodes in their order, so that an error does not
	// depend on a map's.
	sorted    []literalChild
	parameter *node
	// here is the pattern that ends at this node; rest the one that goes on
	// with {name...}.
	here, rest *declared
}

type literalChild struct {
	text string
	node *node
}

type declared struct {
	pattern  string
	root     *node // of its host
	segments []patternSegment
	// names of the parameters, in order.
	names []string
	// lastLiteral is the index of the last literal segment that is not empty;
	// -1 where there is none.
	lastLiteral int
}

// NewMatcher builds a matcher. It fails, naming the pattern, on a malformed
// pattern, and, naming both, on two patterns that some path matches while
// neither is the more specific, of one host: "/items/{id}" beside "/items/{name}", or
// "/{kind}/me" beside "/users/{id}". A {path...} owns what lies below it, so
// "/{kind}/me" beside "/users/{path...}" is no ambiguity.
func NewMatcher(patterns []string) (*Matcher, error) {
	m := &Matcher{root: &node{}}
	all := make([]*declared, 0, len(patterns))
	for _, pattern := range slices.Sorted(slices.Values(patterns)) {
		host, segments, err := parsePattern(pattern)
		if err != nil {
			return nil, err
		}
		d := &declared{pattern: pattern, root: m.rootFor(host), segments: segments, lastLiteral: -1}
		for i, s := range segments {
			switch {
			case s.kind != literal:
				d.names = append(d.names, s.text)
			case !s.isEmpty():
				d.lastLiteral = i
			}
		}
		if other := d.root.add(d); other != nil {
			return nil, ambiguous(d, other)
		}
		all = append(all, d)
	}
	for _, d := range all {
		if other := d.conflict(d.root, 0, false, false); other != nil {
			return nil, ambiguous(d, other)
		}
	}
	return m, nil
}

func ambiguous(a, b *declared) error {
	if a.pattern == b.pattern {
		return fmt.Errorf("route pattern %q is declared twice; remove one", a.pattern)
	}
	first, second := a.pattern, b.pattern
	if second < first {
		first, second = second, first
	}
	return fmt.Errorf("route patterns %q and %q are ambiguous: a path can match both, and neither is more specific; change one", first, second)
}

// rootFor is the root of a host's patterns.
func (m *Matcher) rootFor(host string) *node {
	if host == "" {
		return m.root
	}
	root := m.hosts[host]
	if root == nil {
		root = &node{}
		if m.hosts == nil {
			m.hosts = make(map[string]*node)
		}
		m.hosts[host] = root
	}
	return root
}

// add places d below n, the root of its host, or returns the pattern that is there
// already.
func (n *node) add(d *declared) *declared {
	for _, s := range d.segments {
		switch s.kind {
		case rest:
			if n.rest != nil {
				return n.rest
			}
			n.rest = d
			return nil
		case parameter:
			if n.parameter == nil {
				n.parameter = &node{}
			}
			n = n.parameter
		default:
			child := n.literals[s.text]
			if child == nil {
				child = &node{}
				if n.literals == nil {
					n.literals = make(map[string]*node)
				}
				n.literals[s.text] = child
				n.sorted = append(n.sorted, literalChild{s.text, child})
			}
			n = child
		}
	}
	if n.here != nil {
		return n.here
	}
	n.here = d
	return nil
}

// Match finds the most specific pattern that the segments of a [Target] match, of
// those declared with the host (see [Host]); of those without one where there are
// none with it.
func (m *Matcher) Match(host string, segments []string) (Match, bool) {
	root := m.root
	if m.hosts != nil {
		if own := m.hosts[host]; own != nil {
			root = own
		}
	}
	w := walk{segments: segments}
	found := w.descend(root, 0)
	if found == nil {
		return Match{}, false
	}
	return Match{Pattern: found.pattern, Params: found.params(segments)}, true
}

// params takes the parameters' values from the segments that d matched.
func (d *declared) params(segments []string) map[string]string {
	if len(d.names) == 0 {
		return nil
	}
	params := make(map[string]string, len(d.names))
	for i, s := range d.segments {
		switch s.kind {
		case parameter:
			params[s.text] = segments[i]
		case rest:
			params[s.text] = strings.Join(segments[i:], "/")
		}
	}
	return params
}

// walk is one look-up. It counts the nodes it visits, so that a test can hold
// the cost flat.
type walk struct {
	segments []string
	visited  int
}

func (w *walk) descend(n *node, at int) *declared {
	w.visited++
	if at == len(w.segments) {
		return n.here
	}
	segment := w.segments[at]
	if child := n.literals[segment]; child != nil {
		if found := w.descend(child, at+1); found != nil {
			return found
		}
	}
	if segment == "" {
		// Only a trailing slash makes an empty segment, and a parameter is never
		// empty.
		return nil
	}
	if n.parameter != nil {
		if found := w.descend(n.parameter, at+1); found != nil {
			return found
		}
	}
	return n.rest
}
