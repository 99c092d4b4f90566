package policy

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// Decide asks data.authz.decision. An answer that is missing, undefined or no
// decision is a denial, and reported as a warning. An error means that no
// decision could be made: the evaluation failed, or was cancelled at its
// deadline ([ErrDeadline]) or with ctx; the request has to be refused.
//
// A decision that was made before is given again to a request that the policy
// can't tell from that one. So what it holds is shared, and must not be changed.
func (s *Snapshot) Decide(ctx context.Context, r *authz.Request) (authz.Decision, error) {
	p := s.planFor(ctx, r.Route, r.Method)
	if s.decisions == nil || !p.cacheable {
		decision, _, err := s.decide(ctx, p, r)
		return decision, err
	}
	key := s.key(p, r)
	defer s.keys.Put(key)
	if known, ok := s.decisions.GetBytes(*key); ok {
		return *known, nil
	}
	decision, final, err := s.decide(ctx, p, r)
	if final {
		kept := decision
		s.decisions.Put(string(*key), &kept, decisionBytes(&kept))
	}
	return decision, err
}

// key makes a request's key by a plan, in a buffer that goes back to the snapshot's keys
// once the key has been used.
func (s *Snapshot) key(p *plan, r *authz.Request) *[]byte {
	key, _ := s.keys.Get().(*[]byte)
	if key == nil {
		key = new([]byte)
	}
	*key = p.appendKey((*key)[:0], r)
	return key
}

// decide evaluates the policy. The decision is final where it would be the same
// if the policy were asked again.
func (s *Snapshot) decide(ctx context.Context, p *plan, r *authz.Request) (_ authz.Decision, final bool, _ error) {
	denied := authz.Decision{Revision: s.revision}
	input, err := s.inputs.authz(r)
	if err != nil {
		return denied, false, err
	}
	about := func() string { return requestText(r) }
	value, err := s.ask(ctx, entrypointAuthz, p.slow, input, r.Now, about)
	if err != nil {
		return denied, false, err
	}
	if value == nil {
		return denied, true, nil
	}
	decision, err := decodeDecision(value)
	if err != nil {
		s.wrongType(entrypointAuthz, about, err)
	}
	decision.Revision = s.revision
	return decision, true, nil
}

// DecideGrant asks data.token.decision. What it says of denials, warnings and
// errors is as for [Snapshot.Decide].
func (s *Snapshot) DecideGrant(ctx context.Context, r *authz.GrantRequest) (authz.Grant, error) {
	denied := authz.Grant{Revision: s.revision}
	input, err := tokenInput(r)
	if err != nil {
		return denied, err
	}
	about := func() string { return "grant type " + r.GrantType }
	value, err := s.ask(ctx, entrypointToken, s.slowGrant, input, r.Now, about)
	if err != nil || value == nil {
		return denied, err
	}
	grant, err := decodeGrant(value)
	if err != nil {
		s.wrongType(entrypointToken, about, err)
	}
	grant.Revision = s.revision
	return grant, nil
}

// Input is the input that [Snapshot.Decide] would give to the policy, as
// encoding/json would decode it (numbers as json.Number).
func (s *Snapshot) Input(r *authz.Request) (any, error) {
	input, err := authzInput(r)
	if err != nil {
		return nil, err
	}
	return ast.JSON(input)
}

// GrantInput is the input that [Snapshot.DecideGrant] would give to the policy,
// in the form of [Snapshot.Input].
func (s *Snapshot) GrantInput(r *authz.GrantRequest) (any, error) {
	input, err := tokenInput(r)
	if err != nil {
		return nil, err
	}
	return ast.JSON(input)
}

// requestText names a request in a warning, by what the policy declares and not
// by what a caller sent.
func requestText(r *authz.Request) string {
	if r.Route == "" {
		return "an undeclared path"
	}
	return "a request of " + r.Route
}
