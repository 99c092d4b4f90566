package gateway

import (
	"errors"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// headerAssertion has a JWT that says who asks, so that an upstream which others can
// reach, too, need not believe headers.
const headerAssertion = "X-Auth-Assertion"

// assert signs what an upstream is told; empty where it wants nothing signed, or
// nobody asks.
func (g *Gateway) assert(u *policy.Upstream, p *gate.Passage, told identity) (string, error) {
	if u.Assertion == nil || told.subject == "" {
		return "", nil
	}
	if g.o.Assertions == nil {
		return "", errors.New("the upstream wants an assertion, and there is nothing to sign it with")
	}
	s := p.Request.Subject
	return g.o.Assertions.AssertIdentity(token.IdentityAssertion{
		Issuer: g.o.Issuer, Subject: told.subject, Audience: u.Assertion.Audience, ID: told.decisionID,
		Kind: string(s.Kind), Roles: s.Roles, Scope: told.scopes, Lifetime: u.Assertion.Lifetime,
	})
}
