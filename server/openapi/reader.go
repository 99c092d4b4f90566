package openapi

import (
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSteps bounds the work for one document, so that a small one which refers to
// itself over and over (YAML's aliases) is refused.
const maxSteps = 2_000_000

// maxDepth bounds what leads from one place to another: references, merged mappings.
const maxDepth = 32

// reader reads nodes. Its methods return an [*Error].
type reader struct {
	root     *yaml.Node
	mappings map[*yaml.Node]*mapping
	steps    int
}

// mapping is a node's members, with those merged in (YAML's <<).
type mapping struct {
	list  []member
	index map[string]int
}

type member struct {
	name       string
	key, value *yaml.Node
}

// get is a member's value; nil where there is none.
func (m *mapping) get(name string) *yaml.Node {
	if i, ok := m.index[name]; ok {
		return m.list[i].value
	}
	return nil
}

func (r *reader) spend(steps int, at *yaml.Node) error {
	if r.steps += steps; r.steps > maxSteps {
		return refuse(at, "takes more than %d steps to read; make it smaller, or repeat less of it by reference", maxSteps)
	}
	return nil
}

// mapping reads a node's members. A name that comes twice is refused: which of them
// counts is told differently by different readers.
func (r *reader) mapping(n *yaml.Node, what string) (*mapping, error) {
	return r.merged(resolve(n), what, 0)
}

func (r *reader) merged(n *yaml.Node, what string, depth int) (*mapping, error) {
	if err := r.spend(1, n); err != nil {
		return nil, err
	}
	if m := r.mappings[n]; m != nil {
		return m, nil
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, refuse(n, "%s has to be an object", what)
	}
	if depth > maxDepth {
		return nil, refuse(n, "%s merges mappings (<<) more than %d deep", what, maxDepth)
	}
	if err := r.spend(len(n.Content), n); err != nil {
		return nil, err
	}
	m := &mapping{index: make(map[string]int, len(n.Content)/2)}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!binary" {
			return nil, refuse(key, "%s has a name that is no text", what)
		}
		value := resolve(n.Content[i+1])
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if _, twice := m.index[key.Value]; twice {
			return nil, refuse(n.Content[i], "%s has %q twice; remove one", what, key.Value)
		}
		m.index[key.Value] = len(m.list)
		m.list = append(m.list, member{key.Value, n.Content[i], value})
	}
	if len(merges) > 1 {
		return nil, refuse(n, "%s has << twice; write a list of mappings behind one", what)
	}
	for _, merge := range merges {
		from := []*yaml.Node{merge}
		if merge.Kind == yaml.SequenceNode {
			from = merge.Content
		}
		for _, node := range from {
			other, err := r.merged(resolve(node), what, depth+1)
			if err != nil {
				return nil, err
			}
			if err := r.spend(len(other.list), n); err != nil {
				return nil, err
			}
			for _, o := range other.list {
				if _, own := m.index[o.name]; !own {
					m.index[o.name] = len(m.list)
					m.list = append(m.list, o)
				}
			}
		}
	}
	r.mappings[n] = m
	return m, nil
}

// items reads a list.
func (r *reader) items(n *yaml.Node, what string) ([]*yaml.Node, error) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		return nil, refuse(n, "%s has to be a list", what)
	}
	if err := r.spend(1+len(n.Content), n); err != nil {
		return nil, err
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = resolve(item)
	}
	return items, nil
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// text is a node's text; false where it is none.
func text(n *yaml.Node) (string, bool) {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return "", false
	}
	return n.Value, true
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// follow finds the object that a chain of references leads to, all within the
// document.
func (r *reader) follow(n *yaml.Node, what string) (*mapping, error) {
	for range maxDepth {
		m, err := r.mapping(n, what)
		if err != nil {
			return nil, err
		}
		ref := m.get("$ref")
		if ref == nil {
			return m, nil
		}
		pointer, ok := text(ref)
		if !ok {
			return nil, refuse(ref, "%s has a $ref that is no text", what)
		}
		for _, beside := range m.list {
			if beside.name != "$ref" && beside.name != "summary" && beside.name != "description" && !strings.HasPrefix(beside.name, "x-") {
				return nil, refuse(beside.key, "%s has %q beside a $ref, which different readers take differently; write it out", what, beside.name)
			}
		}
		if n, err = r.pointed(pointer, ref); err != nil {
			return nil, err
		}
	}
	return nil, refuse(n, "%s is behind more than %d references", what, maxDepth)
}

// pointed finds what a reference within the document names (RFC 6901).
func (r *reader) pointed(ref string, at *yaml.Node) (*yaml.Node, error) {
	pointer, local := strings.CutPrefix(ref, "#")
	if !local {
		return nil, refuse(at, "$ref %q leads out of the document; bundle the document first", ref)
	}
	pointer, err := url.PathUnescape(pointer)
	if err != nil || !strings.HasPrefix(pointer, "/") {
		return nil, refuse(at, "$ref %q is no pointer into the document", ref)
	}
	n := r.root
	for name := range strings.SplitSeq(pointer[1:], "/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		m, err := r.mapping(n, "what "+ref+" passes through")
		if err != nil {
			return nil, err
		}
		if n = m.get(name); n == nil {
			return nil, refuse(at, "$ref %q leads to nothing", ref)
		}
	}
	return n, nil
}
