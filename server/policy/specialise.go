package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/stagedoor/stagedoor/server/authz"
)

// A declared route and method are known before a request comes, and much of a
// policy depends on nothing else: that a route asks for no owner, say. So the
// read set is narrowed for each of them. An expression is closed when it depends,
// through every rule that it calls, on nothing of the input but route and method,
// and its variables are bound by closed expressions before it; for a declared pair
// of these its value is known, by evaluating it. A body is evaluated in its order,
// so what comes after a closed expression that fails is never looked at, and
// neither is the rule's head; and what comes after a branch whose closed
// expressions all hold, an else, is not either.
//
// The compiler turns data.routes[input.route].GET into two expressions, of which
// the first binds a variable to input.route; that is why variables count. Where
// the rule is a function a variable may be bound from without, too, to another
// value. That can make fail what would hold, but never the other way around: so of
// an expression with variables only the failing is believed.
//
// A policy that uses `with` is not narrowed: there, route, method and data may
// be replaced.
type specialiser struct {
	from   *expression
	closed map[*expression]closedExpression
}

// closedExpression is what there is to evaluate of one.
type closedExpression struct {
	query  ast.Body // the expression, after those that bind its variables
	ground bool     // it has no variables
}

// narrowingShare is which part of an evaluation's deadline narrowing for a route
// may take, in all.
const narrowingShare = 10

// isRouteOrMethod reports whether the member is one of these, or below it.
func (p inputPath) isRouteOrMethod() bool {
	return inputPath{"route"}.covers(p) || inputPath{"method"}.covers(p)
}

// newSpecialiser finds the closed expressions that can be reached. It asks the
// analyzer nothing later.
func newSpecialiser(a *analyzer, from *expression) *specialiser {
	s := &specialiser{from: from, closed: map[*expression]closedExpression{}}
	c := closing{analyzer: a, routeOnly: map[*ruleReads]bool{}}
	for rule := range walk(from, nil).rules {
		for _, b := range rule.branches {
			c.close(b.body, s.closed)
		}
	}
	return s
}

// closing finds closed expressions.
type closing struct {
	*analyzer
	routeOnly map[*ruleReads]bool // see dependsOnRouteOnly
}

// close notes the closed expressions of a body.
func (c *closing) close(body []*expression, into map[*expression]closedExpression) {
	binding := map[ast.Var][]*expression{} // what each known variable comes from
	for _, e := range body {
		part, free := c.bound(e)
		if binding[free] != nil {
			part, free = e.source, "" // a comparison with what it is bound to
		}
		variables, plain := c.variables(part)
		if !plain || !c.dependsOnRouteOnly(e) {
			continue
		}
		var parts []*expression
		known := true
		for _, v := range variables {
			known = known && binding[v] != nil
			for _, part := range binding[v] {
				if !slices.Contains(parts, part) {
					parts = append(parts, part)
				}
			}
		}
		if !known {
			continue
		}
		parts = append(parts, e)
		closed := closedExpression{ground: len(variables) == 0 && free == ""}
		for _, part := range parts {
			closed.query.Append(part.source.Copy())
		}
		into[e] = closed
		if free != "" {
			binding[free] = parts
		}
	}
}

// bound is the part of an expression whose variables have to be known, and the
// variable that it binds to the value of that part: of x = y, y and x. Where it
// binds none it is all of it.
func (*closing) bound(e *expression) (part any, free ast.Var) {
	if source := e.source; !source.Negated && source.IsEquality() {
		if v, ok := source.Operand(0).Value.(ast.Var); ok {
			return source.Operand(1), v
		}
	}
	return e.source, ""
}

// variables are those of a node, but for the roots of references. A node is plain
// if it has nothing with variables of its own, such as a comprehension.
func (c *closing) variables(node any) (list []ast.Var, plain bool) {
	plain = true
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			rest := x
			if x.HasPrefix(ast.DefaultRootRef) || x.HasPrefix(ast.InputRootRef) || c.builtins[x.String()] != nil {
				rest = x[1:]
			}
			for _, t := range rest {
				below, p := c.variables(t)
				list, plain = append(list, below...), plain && p
			}
			return true
		case ast.Var:
			list = append(list, x)
		case *ast.SomeDecl, *ast.Every, *ast.With,
			*ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			plain = false
		}
		return !plain
	}).Walk(node)
	return list, plain
}

// dependsOnRouteOnly reports whether an expression reads route and method at
// most, and nothing unstable, and can be stopped while it is evaluated.
func (c *closing) dependsOnRouteOnly(e *expression) bool {
	if e.with || len(e.unstable) > 0 || e.pairs {
		return false
	}
	for _, p := range e.reads {
		if !p.isRouteOrMethod() {
			return false
		}
	}
	for _, name := range e.builtins {
		if !slices.Contains(quickBuiltins, name) {
			return false
		}
	}
	for _, r := range e.calls {
		if !c.ruleDependsOnRouteOnly(r) {
			return false
		}
	}
	return true
}

func (c *closing) ruleDependsOnRouteOnly(r *ruleReads) bool {
	if only, known := c.routeOnly[r]; known {
		return only
	}
	c.routeOnly[r] = false // for a rule that calls itself, which there can't be
	only := true
	for _, b := range r.branches {
		only = only && c.dependsOnRouteOnly(b.head)
		for _, e := range b.body {
			only = only && c.dependsOnRouteOnly(e)
		}
	}
	c.routeOnly[r] = only
	return only
}

// narrow is what the entrypoint can reach for a declared route and method. It is
// an error where that can't be found out in time.
func (s *Snapshot) narrow(ctx context.Context, pattern, method string) (_ *reach, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the policy engine panicked: %v", p)
		}
	}()
	input, err := authzInput(&authz.Request{Route: pattern, Method: method})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.deadline()/narrowingShare)
	defer cancel()
	holds, rules := map[*expression]verdict{}, &ruleCache{}
	r := s.plans.narrow.walk(func(e *expression, c closedExpression) verdict {
		v, done := holds[e]
		if !done {
			v = s.holds(ctx, c.query, input, rules)
			holds[e] = v
		}
		return v
	})
	return r, ctx.Err()
}

// verdict says whether an expression holds.
type verdict int

const (
	unknown verdict = iota
	fails
	succeeds
)

// walk collects what is reached, where the closed expressions are as they are said
// to be.
func (s *specialiser) walk(holds func(*expression, closedExpression) verdict) *reach {
	return walk(s.from, func(b *branch) (evaluated int, last bool) {
		last = len(b.head.reads) == 0 && len(b.head.calls) == 0
		for i, e := range b.body {
			v := unknown
			if c, closed := s.closed[e]; closed {
				v = holds(e, c)
				if v == fails {
					return i, false
				}
				if !c.ground {
					v = unknown
				}
			}
			last = last && v == succeeds
		}
		return len(b.body), last
	})
}

// holds evaluates a closed expression. rules keeps what was evaluated for others
// with the same input.
func (s *Snapshot) holds(ctx context.Context, query ast.Body, input ast.Value, rules *ruleCache) verdict {
	if ctx.Err() != nil {
		return unknown
	}
	v := fails
	err := s.topdown(query).
		WithVirtualCache(rules).
		WithInput(ast.NewTerm(input)).
		WithCancel(untilDone{ctx}).
		Iter(ctx, func(topdown.QueryResult) error {
			v = succeeds
			return nil
		})
	if err != nil {
		rules.reset()
		return unknown
	}
	return v
}

// untilDone ends an evaluation with a context. It implements [topdown.Cancel].
type untilDone struct{ context.Context }

// Cancel implements [topdown.Cancel]; the context's owner does it.
func (untilDone) Cancel() {}

// Cancelled implements [topdown.Cancel].
func (u untilDone) Cancelled() bool { return u.Err() != nil }
