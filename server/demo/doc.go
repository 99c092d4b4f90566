// Package demo is a small API to protect: what `stagedoor serve --demo` adds to
// the server, so that a stranger can log in and see the policy decide.
//
// [New] makes an [API]; [API.Register] adds its routes to Gin, and [API.Loaders]
// tells the gate how to find the facts about an item that the policy judges.
// [Accounts] are the people to log in as, and [TryThis] is what to type first.
//
// The handlers hold no authorization: they run behind the gate, take the caller
// from [gate.FromContext], and trust that whoever reaches them may. This is the only package whose Go code may spell
// a role or a scope, for it is data here.
package demo
