package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What a policy can read of its input decides which requests may share a cached
// decision, so this analysis has to be sound: two inputs that agree on the read
// set get the same answer. It takes every reference to the input in every rule
// that the entrypoint can reach, and cuts it where it stops being constant. It
// never follows a variable: what a variable was bound to is a reference that has
// been taken, whole. (OPA's dependencies.Base follows variables, and loses some.)

// inputPath is a member of the input, such as subject.roles; empty is the input
// as a whole.
type inputPath []string

func (p inputPath) String() string { return strings.Join(append([]string{"input"}, p...), ".") }

// covers reports whether reading p includes reading q.
func (p inputPath) covers(q inputPath) bool {
	return len(p) <= len(q) && slices.Equal(p, q[:len(p)])
}

// readSet is a set of members, none of which covers another.
type readSet []inputPath

func (s *readSet) add(p inputPath) {
	if slices.ContainsFunc(*s, func(known inputPath) bool { return known.covers(p) }) {
		return
	}
	*s = append(slices.DeleteFunc(*s, p.covers), p)
}

// touches reports whether reading the set may read a member, or a part of it.
func (s readSet) touches(p inputPath) bool {
	return slices.ContainsFunc(s, func(known inputPath) bool { return known.covers(p) || p.covers(known) })
}

// sort orders the set by name, so that it does not depend on the order of
// analysis.
func (s readSet) sort() {
	slices.SortFunc(s, func(a, b inputPath) int { return slices.Compare(a, b) })
}

// use is one mention of something in a policy, and where it stands.
type use struct {
	what     string
	location *ast.Location
}

// expression is what one expression of a rule's body mentions, not counting
// what the rules that it calls mention.
type expression struct {
	reads []inputPath
	// unstable are mentions of what changes without the request changing: the
	// clock, randomness, the network.
	unstable []use
	builtins []string
	calls    []*ruleReads
	source   *ast.Expr
	with     bool
	pairs    bool // see pairs
}

// branch is one body of a rule: its own, or an else.
type branch struct {
	body []*expression
	head *expression
}

// ruleReads is what a rule mentions.
type ruleReads struct {
	branches []branch
}

// analyzer analyses rules, each once.
type analyzer struct {
	compiler *ast.Compiler
	builtins map[string]*ast.Builtin
	rules    map[*ast.Rule]*ruleReads
}

func newAnalyzer(compiler *ast.Compiler) *analyzer {
	capabilities := compiler.Capabilities()
	a := &analyzer{
		compiler: compiler,
		builtins: make(map[string]*ast.Builtin, len(capabilities.Builtins)),
		rules:    map[*ast.Rule]*ruleReads{},
	}
	for _, b := range capabilities.Builtins {
		a.builtins[b.Name] = b
	}
	for name, b := range bounded {
		a.builtins[name] = b.Decl
	}
	return a
}

// entry analyses what an entrypoint can reach.
func (a *analyzer) entry(ref ast.Ref) *expression {
	return &expression{calls: a.reachable(ref)}
}

// reachable are the rules that a reference into data may evaluate.
func (a *analyzer) reachable(ref ast.Ref) []*ruleReads {
	rules := a.compiler.GetRulesDynamicWithOpts(anySpelling(ref), ast.RulesOptions{IncludeHiddenModules: true})
	// The compiler's order is that of a map.
	slices.SortFunc(rules, func(x, y *ast.Rule) int { return x.Loc().Compare(y.Loc()) })
	reads := make([]*ruleReads, len(rules))
	for i, rule := range rules {
		reads[i] = a.rule(rule)
	}
	return reads
}

// anySpelling has a variable in the place of each constant that is no text. The
// compiler finds a rule by how its head is spelled, and the engine by value: to it
// 1 and 1.0 are one. A variable stands for every rule that there is.
func anySpelling(ref ast.Ref) ast.Ref {
	ref = slices.Clone(ref)
	for i, t := range ref[1:] {
		if _, text := t.Value.(ast.String); !text {
			ref[i+1] = ast.VarTerm(ast.WildcardPrefix)
		}
	}
	return ref
}

func (a *analyzer) rule(rule *ast.Rule) *ruleReads {
	if known := a.rules[rule]; known != nil {
		return known
	}
	r := &ruleReads{}
	a.rules[rule] = r
	for link := rule; link != nil; link = link.Else {
		b := branch{head: a.head(link.Head)}
		for _, e := range link.Body {
			b.body = append(b.body, a.expression(e))
		}
		r.branches = append(r.branches, b)
	}
	return r
}

func (a *analyzer) head(h *ast.Head) *expression {
	e := &expression{}
	a.collect(e, h.Args)
	a.collect(e, h.Reference)
	// Not all of them are part of the reference.
	for _, t := range []*ast.Term{h.Key, h.Value} {
		if t != nil {
			a.collect(e, t)
		}
	}
	return e
}

func (a *analyzer) expression(source *ast.Expr) *expression {
	e := &expression{source: source, with: len(source.With) > 0, pairs: pairs(source)}
	a.collect(e, source)
	return e
}

// collect notes every reference below a node.
func (a *analyzer) collect(e *expression, node any) {
	var at *ast.Location // of the term that a reference is the value of
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With:
			a.target(e, x.Target)
			e.with = true
		case *ast.Term:
			at = x.Location
		case ast.Ref:
			a.reference(e, x, at)
		}
		return false
	}).Walk(node)
}

// target notes what replacing a member of the input depends on: whether the one
// above it is an object. The input itself always is. (Today the engine puts an
// object in the place of whatever else is there; this does not count on it.)
func (a *analyzer) target(e *expression, target *ast.Term) {
	ref, ok := target.Value.(ast.Ref)
	if ok && len(ref) > 2 && ref.HasPrefix(ast.InputRootRef) {
		a.reference(e, ref[:len(ref)-1], target.Location)
	}
}

func (a *analyzer) reference(e *expression, ref ast.Ref, location *ast.Location) {
	switch {
	case len(ref) == 0:
	case ref.HasPrefix(ast.InputRootRef):
		e.reads = append(e.reads, constantPath(ref))
		if path := constantPath(ref); path.covers(inputPath{"now"}) || (inputPath{"now"}).covers(path) {
			e.unstable = append(e.unstable, use{path.String(), location})
		}
	case ref.HasPrefix(ast.DefaultRootRef):
		e.calls = append(e.calls, a.reachable(ref)...)
	default:
		name := ref.String()
		b := a.builtins[name]
		if b == nil {
			return // a variable, such as a function's argument
		}
		e.builtins = append(e.builtins, name)
		if isUnstable(b) {
			e.unstable = append(e.unstable, use{name, location})
		}
	}
}

// unstableBuiltins are those that read the clock, or may reach the network,
// without OPA's capabilities saying so.
var unstableBuiltins = []string{
	"crypto.x509.parse_and_verify_certificates",
	"crypto.x509.parse_and_verify_certificates_with_options",
	"io.jwt.decode_verify",
	"json.match_schema",
	"json.verify_schema",
}

// isUnstable reports whether a builtin's result may change although its operands
// don't.
func isUnstable(b *ast.Builtin) bool {
	return b.Nondeterministic || slices.Contains(unstableBuiltins, b.Name)
}

// constantPath is the part of a reference to the input that is constant.
func constantPath(ref ast.Ref) inputPath {
	path := inputPath{}
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(s))
	}
	return path
}

// reach is everything that can be read or called on the way of an evaluation.
type reach struct {
	reads    readSet
	unstable []use
	builtins map[string]bool
	rules    map[*ruleReads]bool
	with     bool
}

// walk collects what an expression and the rules that it calls mention. skip
// says of a branch how many of its body's expressions are evaluated, and whether
// those after it are; nil skips nothing.
func walk(from *expression, skip func(b *branch) (evaluated int, last bool)) *reach {
	r := &reach{builtins: map[string]bool{}, rules: map[*ruleReads]bool{}}
	var visit func(e *expression)
	visit = func(e *expression) {
		for _, p := range e.reads {
			r.reads.add(p)
		}
		r.unstable = append(r.unstable, e.unstable...)
		r.with = r.with || e.with
		for _, name := range e.builtins {
			r.builtins[name] = true
		}
		for _, rule := range e.calls {
			if r.rules[rule] {
				continue
			}
			r.rules[rule] = true
			for i := range rule.branches {
				b := &rule.branches[i]
				evaluated, last := len(b.body), false
				if skip != nil {
					evaluated, last = skip(b)
				}
				for _, e := range b.body[:evaluated] {
					visit(e)
				}
				if evaluated == len(b.body) {
					visit(b.head)
				}
				if last {
					break
				}
			}
		}
	}
	visit(from)
	r.reads.sort()
	return r
}
