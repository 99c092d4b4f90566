package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Evaluation can be cancelled between any two of its steps, but not within one.
// So it runs in the caller's goroutine only where each step is quick: where the
// policy calls builtins of this list only, and has no expression that pairs each
// element of one collection with each of another.
//
// A builtin is on the list where its work grows with the size of its operands,
// or little faster, whatever a stranger puts into them, and what it makes is no
// larger than they are (TestQuickBuiltinsAreQuick holds each of them to that).
// Numbers count as small for those that compare: none that a request can bring
// has more than 64 bytes.
// What a request can carry then takes it a few milliseconds; where the policy's
// own data are large, an answer may come late by one such call, and is an error
// all the same.
//
// Not on it are those that calculate, since a number may have thousands of
// digits, and to_number, which makes numbers of what a stranger sent; those that
// build or combine sets and objects, since all fractions below one have the same
// hash; those that match patterns, parse, encrypt, count up to a number, walk
// graphs or reach out. concat and sprintf, which can make much of little, are on
// it as their bounded selves (bounds.go).
//
// One that is missing here costs a few microseconds, one that is wrongly here
// costs the deadline: when in doubt, leave it out.
var quickBuiltins = append(strings.Fields(`
	assign eq equal neq lt lte gt gte
	count max min sort
	internal.member_2 internal.member_3
	array.concat array.reverse array.slice
	object.get
	contains endswith lower split startswith strings.reverse substring
	trim_prefix trim_space trim_suffix upper
	is_array is_boolean is_null is_number is_object is_set is_string
	type_name
	net.cidr_contains
	time.now_ns time.parse_duration_ns time.parse_rfc3339_ns
`), boundedPrefix+ast.Concat.Name, boundedPrefix+ast.Sprintf.Name)

// mayRunLong says why a document may take long within one step of its
// evaluation; empty where it can't.
func mayRunLong(a *analyzer, document ast.Ref) string {
	return walk(a.entry(document), nil).mayRunLong()
}

// mayRunLong says the same of what can be reached.
func (r *reach) mayRunLong() string {
	for _, name := range slices.Sorted(maps.Keys(r.builtins)) {
		if !slices.Contains(quickBuiltins, name) {
			return "it calls " + boundedName(name)
		}
	}
	for rule := range r.rules {
		for _, b := range rule.branches {
			if slices.ContainsFunc(b.body, func(e *expression) bool { return e.pairs }) {
				return "it pairs collections"
			}
		}
	}
	return ""
}

// pairs reports whether an expression, or one within it, has two references with
// variables in them. Each may run through a collection, the second once for each
// element of the first, and all of it is one step.
func pairs(expression *ast.Expr) bool {
	found := false
	ast.WalkExprs(expression, func(e *ast.Expr) bool {
		n := 0
		ast.NewGenericVisitor(func(x any) bool {
			switch x := x.(type) {
			case ast.Ref:
				if !x.IsGround() {
					n++
				}
			case ast.Body: // its expressions are steps of their own
				return true
			}
			return false
		}).Walk(e)
		found = found || n > 1
		return found
	})
	return found
}
