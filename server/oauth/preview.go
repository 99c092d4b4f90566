package oauth

import (
	"context"
	"net/netip"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// Preview is what a login would lead to. Nobody has logged in.
type Preview struct {
	// Request is what the policy was asked.
	Request *authz.GrantRequest
	// Grant is what it answered.
	Grant authz.Grant
	// Token is what would be issued; signed by the service's keyring, also when
	// the grant was denied: with the scope that was requested then, as an earlier
	// token might have it. So a Preview is made with a keyring that nobody
	// trusts.
	Token string
}

// previewSession is the sid of a token of a login that never was: a ULID of the year
// 1970.
const previewSession = "00000000000000000000000000"

// Preview asks the policy what a login of the subject with the password grant
// would get, were the password right, and makes that token. scope is the form's
// parameter; a malformed one is an [*Error].
func (s *Service) Preview(ctx context.Context, subject authz.Subject, scope string, clientIP netip.Addr) (*Preview, error) {
	requested, err := parseScope(scope)
	if err != nil {
		return nil, err
	}
	who := &login{subject: subject, amr: []string{amrPassword}}
	client := account.FirstParty()
	p := &Preview{Request: &authz.GrantRequest{
		GrantType: grantPassword, Subject: &who.subject, Client: s.grantClient(&client),
		Scope: requested, AMR: who.amr, ClientIP: addrText(clientIP), Now: s.now(),
	}}
	if p.Grant, err = s.decide(ctx, p.Request); err != nil {
		return nil, err
	}
	decision := p.Grant
	if !decision.Allow {
		decision = authz.Grant{Scope: requested}
	}
	result, err := s.sign(who, client.ID, previewSession, decision)
	if err != nil {
		return nil, err
	}
	p.Token = result.answer.AccessToken
	return p, nil
}
