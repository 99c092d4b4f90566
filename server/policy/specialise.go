package policy

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/stagedoor/stagedoor/server/authz"
)

// A declared route and method are known before a request comes, and much of a
// policy depends on nothing else: that a route asks for no owner, say. So the
// read set is narrowed for each of them. An expression is closed when it has no
// variables and depends, through every rule that it calls, on nothing of the
// input but route and method; for a declared pair of these it has one value,
// which is found by evaluating it. A body is evaluated in its order, so what
// comes after a closed expression that fails is never looked at, and neither is
// the rule's head; and what comes after a branch whose closed expressions all
// hold, an else, is not either.
//
// A policy that uses `with` is not narrowed: there, route, method and data may
// be replaced.

// isRouteOrMethod reports whether the member is one of these, or below it.
func (p inputPath) isRouteOrMethod() bool {
	return inputPath{"route"}.covers(p) || inputPath{"method"}.covers(p)
}

// close marks the closed expressions of all rules that have been analysed.
func (a *analyzer) close() {
	for _, r := range a.rules {
		for _, b := range r.branches {
			for _, e := range b.body {
				e.closed = a.isGround(e.source) && a.dependsOnRouteOnly(e)
			}
		}
	}
}

// dependsOnRouteOnly reports whether an expression reads route and method at
// most, and nothing unstable.
func (a *analyzer) dependsOnRouteOnly(e *expression) bool {
	if e.with || len(e.unstable) > 0 {
		return false
	}
	for _, p := range e.reads {
		if !p.isRouteOrMethod() {
			return false
		}
	}
	for _, r := range e.calls {
		if !a.ruleDependsOnRouteOnly(r) {
			return false
		}
	}
	return true
}

func (a *analyzer) ruleDependsOnRouteOnly(r *ruleReads) bool {
	if only, known := a.routeOnly[r]; known {
		return only
	}
	a.routeOnly[r] = false // for a rule that calls itself, which there can't be
	only := true
	for _, b := range r.branches {
		only = only && a.dependsOnRouteOnly(b.head)
		for _, e := range b.body {
			only = only && a.dependsOnRouteOnly(e)
		}
	}
	a.routeOnly[r] = only
	return only
}

// isGround reports whether an expression has no variables, but for the roots of
// its references.
func (a *analyzer) isGround(e *ast.Expr) bool {
	ground := true
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			rooted := x.HasPrefix(ast.DefaultRootRef) || x.HasPrefix(ast.InputRootRef) || a.builtins[x.String()] != nil
			ground = ground && rooted
			for _, t := range x[1:] {
				ground = ground && a.isGround(&ast.Expr{Terms: t})
			}
			return true
		case ast.Var, *ast.SomeDecl, *ast.Every, *ast.With,
			*ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			ground = false
		}
		return !ground
	}).Walk(e)
	return ground
}

// narrow is what the entrypoint can reach for a declared route and method.
func (s *Snapshot) narrow(ctx context.Context, from *expression, pattern, method string) *reach {
	input, err := authzInput(&authz.Request{Route: pattern, Method: method})
	if err != nil {
		return walk(from, nil)
	}
	// holds is nil where the evaluation failed: then nothing is known.
	holds := map[*expression]*bool{}
	known := func(e *expression) *bool {
		if !e.closed {
			return nil
		}
		value, done := holds[e]
		if !done {
			value = s.holds(ctx, e.source, input)
			holds[e] = value
		}
		return value
	}
	return walk(from, func(b *branch) (evaluated int, last bool) {
		last = len(b.head.reads) == 0 && len(b.head.calls) == 0
		for i, e := range b.body {
			value := known(e)
			if value != nil && !*value {
				return i, false
			}
			last = last && value != nil
		}
		return len(b.body), last
	})
}

// holds evaluates one expression; nil where that fails.
func (s *Snapshot) holds(ctx context.Context, source *ast.Expr, input ast.Value) *bool {
	cancel := topdown.NewCancel()
	timer := time.AfterFunc(s.deadline(), cancel.Cancel)
	defer timer.Stop()
	found := false
	err := topdown.NewQuery(ast.NewBody(source.Copy())).
		WithCompiler(s.compiler).
		WithBuiltins(bounded).
		WithStore(s.store).
		WithTransaction(s.txn).
		WithInput(ast.NewTerm(input)).
		WithCancel(cancel).
		Iter(ctx, func(topdown.QueryResult) error {
			found = true
			return nil
		})
	if err != nil {
		return nil
	}
	return &found
}
