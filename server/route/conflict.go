package route

// conflict looks below n, which the first at segments of d overlap, for a
// pattern that some path matches together with d while neither is the more
// specific. narrower says that d was the narrower of the two at some segment so
// far, wider that it was the wider.
//
// Only a literal beside a parameter counts. A {name...} owns what lies below
// it: "/docs/{path...}" and "/{tenant}/reports" are told apart by their first
// segments, and not ambiguous.
//
// It goes only where a conflict can still be found, so that a table of
// thousands of patterns is checked in about as many steps.
func (d *declared) conflict(n *node, at int, narrower, wider bool) *declared {
	if at == len(d.segments) {
		if n.here != nil && n.here != d && narrower == wider {
			return n.here
		}
		return nil
	}
	s := d.segments[at]
	crossed := narrower && wider
	if s.kind == rest {
		// d takes in whatever lies below n.
		if !crossed {
			return nil
		}
		if n.rest != nil {
			return n.rest
		}
		return n.anyBelow()
	}
	// The other goes on with {name...}, which takes in all that d still says,
	// unless that is no more than an empty last segment.
	if crossed && n.rest != nil && !s.isEmpty() {
		return n.rest
	}
	if s.kind == literal {
		if child := n.literals[s.text]; child != nil {
			if found := d.conflict(child, at+1, narrower, wider); found != nil {
				return found
			}
		}
		if n.parameter != nil && !s.isEmpty() {
			return d.conflict(n.parameter, at+1, true, wider)
		}
		return nil
	}
	if n.parameter != nil {
		if found := d.conflict(n.parameter, at+1, narrower, wider); found != nil {
			return found
		}
	}
	if !narrower && at >= d.lastLiteral {
		return nil
	}
	for _, child := range n.sorted {
		if child.text == "" {
			continue
		}
		if found := d.conflict(child.node, at+1, narrower, true); found != nil {
			return found
		}
	}
	return nil
}

// anyBelow returns some pattern that {name...} at n takes in: any that goes on
// with more than an empty segment.
func (n *node) anyBelow() *declared {
	if n.parameter != nil {
		if found := n.parameter.any(); found != nil {
			return found
		}
	}
	for _, child := range n.sorted {
		if child.text == "" {
			continue
		}
		if found := child.node.any(); found != nil {
			return found
		}
	}
	return nil
}

func (n *node) any() *declared {
	if n.here != nil {
		return n.here
	}
	if n.rest != nil {
		return n.rest
	}
	for _, child := range n.sorted {
		if found := child.node.any(); found != nil {
			return found
		}
	}
	if n.parameter != nil {
		return n.parameter.any()
	}
	return nil
}
