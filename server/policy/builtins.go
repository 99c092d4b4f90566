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
// or little faster, and what it makes is no larger than they are. What a request
// can carry then takes it a few milliseconds; where the policy's own data are
// large, an answer may come late by one such call, and is an error all the same.
// Not on it are those that match patterns, parse, encrypt, count up to a number,
// walk graphs or reach out, and those whose work is the product of two operands.
// Two are on it that can make much of little: concat looks at the cancellation as
// it writes, and sprintf pads as its format says, which is the policy's own text
// and not what a stranger sent. (One who let a stranger write it would run out of
// memory, in whichever goroutine.)
//
// One that is missing here costs a few microseconds, one that is wrongly here
// costs the deadline: when in doubt, leave it out.
var quickBuiltins = strings.Fields(`
	assign eq equal neq lt lte gt gte
	plus minus mul div abs ceil floor round
	and or union intersection
	count max min sum sort
	internal.member_2 internal.member_3
	array.concat array.reverse array.slice
	object.filter object.get object.keys object.remove object.union
	contains endswith lower split startswith strings.reverse substring
	trim_prefix trim_space trim_suffix upper
	concat sprintf
	is_array is_boolean is_null is_number is_object is_set is_string
	to_number type_name
	net.cidr_contains
	time.add_date time.now_ns time.parse_duration_ns time.parse_rfc3339_ns
`)

// mayRunLong says why a document may take long within one step of its
// evaluation; empty where it can't.
func mayRunLong(a *analyzer, document ast.Ref) string {
	reached := walk(a.entry(document), nil)
	for _, name := range slices.Sorted(maps.Keys(reached.builtins)) {
		if !slices.Contains(quickBuiltins, name) {
			return "it calls " + name
		}
	}
	for rule := range reached.rules {
		for link := rule.source; link != nil; link = link.Else {
			if pairs(link.Body) {
				return "it pairs collections"
			}
		}
	}
	return ""
}

// pairs reports whether an expression has two references with variables in them.
// Each may run through a collection, the second once for each element of the
// first, and all of it is one step.
func pairs(body ast.Body) bool {
	found := false
	ast.WalkExprs(body, func(e *ast.Expr) bool {
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
