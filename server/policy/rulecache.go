package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// documents is a policy's data, as the engine's cache of what it has read from
// the store. All of it is in memory in the engine's own form, so there is
// nothing to keep, and it is the same for all evaluations. It implements
// [topdown.BaseCache].
type documents struct{ root ast.Object }

// Get implements [topdown.BaseCache]. What is not found here, the engine asks
// the store for.
func (d documents) Get(ref ast.Ref) ast.Value {
	if len(ref) < 2 {
		return nil // all of data: the store knows what belongs to it
	}
	v, err := d.root.Find(ref[1:])
	if err != nil {
		return nil
	}
	return v
}

// Put implements [topdown.BaseCache].
func (documents) Put(ast.Ref, ast.Value) {}

// ruleCache keeps the values of rules and function calls during one evaluation.
// It does what topdown.NewVirtualCache's does, in memory that is used again by
// the next evaluation; that one makes a tree of hash tables anew each time. It
// implements [topdown.VirtualCache].
type ruleCache struct {
	// frames is a stack: evaluating under `with` has a frame of its own. Those
	// beyond depth are empty.
	frames []ruleFrame
	depth  int
}

// ruleFrame is a list, with an index once it is long.
type ruleFrame struct {
	rules []cachedRule
	index map[int]int // from a hash to the latest of rules that has it
	terms []*ast.Term // what the references consist of
}

type cachedRule struct {
	hash      int
	ref       ast.Ref
	value     *ast.Term
	undefined bool
	next      int // the one before of the same hash, -1 for none; set with index
}

// The sizes at which a frame gets an index, and is not worth keeping.
const (
	indexedRules = 16
	droppedRules = 1024
)

func (c *ruleCache) top() *ruleFrame {
	if len(c.frames) == 0 {
		c.frames = append(c.frames, ruleFrame{})
	}
	return &c.frames[c.depth]
}

// Push implements [topdown.VirtualCache].
func (c *ruleCache) Push() {
	c.top()
	if c.depth++; c.depth == len(c.frames) {
		c.frames = append(c.frames, ruleFrame{})
	}
}

// Pop implements [topdown.VirtualCache].
func (c *ruleCache) Pop() {
	c.top().reset()
	c.depth--
}

// Get implements [topdown.VirtualCache].
func (c *ruleCache) Get(ref ast.Ref) (value *ast.Term, undefined bool) {
	f := c.top()
	if len(f.rules) == 0 {
		return nil, false
	}
	r := f.find(ref, ref.Hash())
	switch {
	case r == nil:
		return nil, false
	case r.undefined:
		return nil, true
	default:
		return r.value, false
	}
}

// Put implements [topdown.VirtualCache]. A nil value is undefined.
func (c *ruleCache) Put(ref ast.Ref, value *ast.Term) {
	f := c.top()
	hash := ref.Hash()
	r := f.find(ref, hash)
	if r == nil {
		r = f.add(ref, hash)
	}
	if value == nil {
		r.undefined = true
	} else {
		r.value = value
	}
}

// Keys implements [topdown.VirtualCache].
func (c *ruleCache) Keys() []ast.Ref {
	var keys []ast.Ref
	for _, r := range c.top().rules {
		if r.value != nil {
			keys = append(keys, slices.Clone(r.ref))
		}
	}
	return keys
}

// reset forgets everything.
func (c *ruleCache) reset() {
	for i := range c.frames {
		c.frames[i].reset()
	}
	c.depth = 0
}

func (f *ruleFrame) find(ref ast.Ref, hash int) *cachedRule {
	if f.index == nil {
		for i := range f.rules {
			if r := &f.rules[i]; r.hash == hash && sameRef(r.ref, ref) {
				return r
			}
		}
		return nil
	}
	i, ok := f.index[hash]
	for ok && i >= 0 {
		r := &f.rules[i]
		if sameRef(r.ref, ref) {
			return r
		}
		i = r.next
	}
	return nil
}

// add makes an entry. The reference is copied: the engine uses its memory again.
func (f *ruleFrame) add(ref ast.Ref, hash int) *cachedRule {
	from := len(f.terms)
	f.terms = append(f.terms, ref...)
	f.rules = append(f.rules, cachedRule{hash: hash, ref: f.terms[from:len(f.terms):len(f.terms)], next: -1})
	switch {
	case f.index != nil:
		f.link(len(f.rules) - 1)
	case len(f.rules) > indexedRules:
		f.index = make(map[int]int, 4*indexedRules)
		for i := range f.rules {
			f.link(i)
		}
	}
	return &f.rules[len(f.rules)-1]
}

func (f *ruleFrame) link(i int) {
	r := &f.rules[i]
	if before, ok := f.index[r.hash]; ok {
		r.next = before
	}
	f.index[r.hash] = i
}

func (f *ruleFrame) reset() {
	if len(f.rules) > droppedRules {
		*f = ruleFrame{}
		return
	}
	clear(f.rules)
	clear(f.terms)
	f.rules, f.terms, f.index = f.rules[:0], f.terms[:0], nil
}

// sameRef compares from the end, where references differ.
func sameRef(a, b ast.Ref) bool {
	if len(a) != len(b) {
		return false
	}
	for i := len(a) - 1; i >= 0; i-- {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}
