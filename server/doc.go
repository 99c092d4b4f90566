// Package server puts the rooms of Stagedoor together: it is the only package
// that knows all of them.
//
// [DefaultConfig] gives the options, [New] opens the state, loads the policy and
// binds the address, [Server.Run] serves until its context ends, and
// [Server.Close] gives everything back. A request enters through the gate
// (package gate), which decides it by the policy before Gin sees it.
//
// What a change touches is said in docs/architecture.md.
package server
