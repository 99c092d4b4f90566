// Package route reads a request's target and finds the declared pattern that
// it belongs to.
//
// [ParseTarget] accepts exactly the canonical spelling of a path and refuses
// every other, so that whoever looks at a request later (the policy, a router,
// an upstream) cannot read another path than the one that was decided. What it
// returns is a [Target]: the path as it came, and its segments decoded once.
//
// A [Matcher] is built from the declared patterns, in OpenAPI's notation, and
// answers which of them a target's segments match:
//
//	/items/          a literal; the trailing slash is significant
//	/items/{id}      a parameter: one segment, never empty
//	/docs/{path...}  the rest: one or more segments, last in its pattern
//
// A pattern may begin with a host, as in api.example.com/items/{id}. A host that has
// patterns of its own has only these; those without a host are for all others. So
// nothing that is declared for everybody opens a path of a host that was given its
// own table.
//
// From the first segment on, a literal wins over a parameter, and a parameter
// over the rest. Methods play no part, so that a wrong method on a declared path
// is known as such. A table in which some path would match two patterns, each
// with a literal where the other has a parameter, is refused by [NewMatcher]:
// routers disagree about such paths.
package route
