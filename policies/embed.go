// Package policies holds the policies that Stagedoor ships with: who may pass
// (authz), what is in a token (token), what other services are answered (authzen),
// and what they share (rbac). They are plain Rego, so `opa test policies data` and
// every other tool of Open Policy Agent works on this directory.
// docs/policy-guide.md explains them.
//
// The package contains no Go beyond [FS], which puts them into the binary: they
// are used where no directory of policies is given, and are what one's own
// policies start from.
package policies

import "embed"

// FS holds the policies and their tests, which run whenever a policy is
// activated. Its paths begin below this directory, as in "authz/authz.rego".
//
//go:embed */*.rego
var FS embed.FS
