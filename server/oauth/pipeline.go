package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// defaultLifetime is an access token's when the policy does not say.
const defaultLifetime = 30 * time.Minute

// issued is a token that was signed, and who it is about.
type issued struct {
	subject   authz.Subject
	clientID  string
	id        string
	sessionID string
	expiry    time.Time
	audience  []string
	answer    tokenAnswer
}

// issue takes a token request whose form has been read through every step up to
// the answer. subject is known as soon as somebody was authenticated, also when
// they get no token, so that the log can name them.
func (s *Service) issue(ctx context.Context, r *tokenRequest) (_ *issued, subject *authz.Subject, err error) {
	if r.by, err = s.authenticateClient(ctx, r.client, tokenPath); err != nil {
		return nil, nil, err
	}
	ctx = actingClient(ctx, r.by)
	question := authz.GrantRequest{
		GrantType: r.grantType, Client: s.grantClient(r.by), Scope: r.scope, Audience: r.audience,
		ClientIP: addrText(r.clientIP), Now: r.now,
	}
	if err := s.open(ctx, r.client, question); err != nil {
		return nil, nil, err
	}
	login, err := r.grant.authenticate(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	subject = &login.subject
	ctx = actingSubject(ctx, subject)

	question.Subject, question.AMR = subject, login.amr
	if login.refreshed != nil {
		session := &login.refreshed.session
		question.Session = &authz.GrantSession{Scope: session.Scope, Audience: session.Audience, AuthTime: session.CreatedAt}
	}
	decision, err := s.ask(ctx, question)
	if err != nil {
		return nil, subject, err
	}
	if !decision.Allow {
		return nil, subject, s.refuse(ctx, r, login, decision)
	}
	if err := s.refreshable(ctx, r, login, decision); err != nil {
		return nil, subject, err
	}

	sessionID, err := s.sessionOf(login)
	if err != nil {
		return nil, subject, serverError("making a session's id", err)
	}
	result, err := s.sign(login, r.by.ID, sessionID, decision)
	if err != nil {
		return nil, subject, serverError("signing the token", err)
	}
	if err := s.settle(ctx, r, login, decision, result); err != nil {
		return nil, subject, err
	}
	return result, subject, nil
}

// ask asks data.token.decision.
func (s *Service) ask(ctx context.Context, question authz.GrantRequest) (authz.Grant, error) {
	decision, err := s.decide(ctx, &question)
	if err != nil {
		return authz.Grant{}, unavailable("no decision could be made; try again", time.Second, fmt.Errorf("asking the policy for a token: %w", err))
	}
	return decision, nil
}

// open asks the policy before anybody is authenticated, that is without a
// subject, only to hear whether the grant type is closed, to all or to the client.
// Where it is, or where no decision can be made at all, a right proof must not be
// answered otherwise than a wrong one, and no password need be hashed.
func (s *Service) open(ctx context.Context, c clientCredentials, question authz.GrantRequest) error {
	decision, err := s.ask(ctx, question)
	if err != nil {
		return err
	}
	for _, reason := range decision.Reasons {
		if decision.Allow || !closes(reason.Code) {
			continue
		}
		return requestFault(reason, c, &policyRefusal{reasons: decision.Reasons})
	}
	return nil
}

// closes tells the codes that speak against the grant type or the client, whoever
// the subject turns out to be.
func closes(code string) bool {
	return code == codeUnsupportedGrantType || code == codeUnauthorizedClient || code == codeInvalidClient
}

// parse reads what all grants share, and lets the grant look at its own
// parameters.
func (s *Service) parse(f form, client clientCredentials) (*tokenRequest, error) {
	r := &tokenRequest{form: f, client: client, now: s.now(), grantType: f.get("grant_type")}
	if r.grantType == "" && f.get("username") != "" && f.get("password") != "" {
		// The login form of the FastAPI world may leave it out.
		r.grantType = grantPassword
	}
	if r.grantType == "" {
		return nil, invalidRequest("grant_type is missing, such as grant_type=password with username and password")
	}
	var known bool
	if r.grant, known = s.grants[r.grantType]; !known {
		return nil, &Error{Code: codeUnsupportedGrantType, Description: "the grant types here are: " + strings.Join(slices.Sorted(maps.Keys(s.grants)), ", ")}
	}
	if err := r.grant.check(f); err != nil {
		return nil, err
	}
	var err error
	if r.scope, err = parseScope(f.get("scope")); err != nil {
		return nil, err
	}
	r.audience = slices.Concat(f["audience"], f["resource"])
	return r, nil
}

// refuse turns the policy's no into an answer. A reason whose code is an OAuth
// error code of its own is answered so, for it says nothing about the account;
// any other is about the account, and looks like a login with a wrong proof.
func (s *Service) refuse(ctx context.Context, r *tokenRequest, login *login, decision authz.Grant) error {
	cause := &policyRefusal{reasons: decision.Reasons}
	var answer *Error
	for _, reason := range decision.Reasons {
		if !isRequestFault(reason.Code) {
			answer = nil
			break
		}
		if answer == nil {
			answer = requestFault(reason, r.client, cause)
		}
	}
	if answer == nil {
		if login.reject != nil {
			if err := login.reject(ctx); err != nil {
				return serverError("recording a refused login", err)
			}
			return login.refused(cause)
		}
		answer = login.refused(cause)
	} else if err := settled(ctx, login.accept); err != nil {
		return serverError("recording the login", err)
	}
	if err := s.recordRefused(ctx, r, login, reasonCodes(cause)...); err != nil {
		return err
	}
	return answer
}

// requestFault answers a reason that is an error code of OAuth's. The client of one
// that blames it hears what a client hears whose secret was wrong.
func requestFault(reason authz.Reason, c clientCredentials, cause error) *Error {
	if reason.Code == codeInvalidClient {
		e := refusedClient(c)
		e.Err = cause
		return e
	}
	return &Error{Code: reason.Code, Description: reason.Message, Err: cause}
}

// isRequestFault tells the codes that blame the request or its client from those
// that blame who it is about.
func isRequestFault(code string) bool {
	switch code {
	case codeInvalidRequest, codeInvalidClient, codeUnauthorizedClient, codeUnsupportedGrantType, codeInvalidScope, codeInvalidTarget:
		return true
	}
	return false
}

// sign mints exactly what was decided. sessionID is empty for a token that belongs
// to no login.
func (s *Service) sign(login *login, clientID, sessionID string, decision authz.Grant) (*issued, error) {
	lifetime, err := s.lifetime(decision.AccessTokenLifetime)
	if err != nil {
		return nil, err
	}
	audience := decision.Audience
	if len(audience) == 0 {
		audience = []string{s.audience}
	}
	username := ""
	if login.subject.Kind == authz.KindAccount {
		username = login.subject.Username // a client's is its display name
	}
	raw, id, expiry, err := s.mint(token.Registered{
		Issuer: s.issuer, Subject: login.subject.ID, Audience: audience, ClientID: clientID,
		Scope: decision.Scope, Roles: login.subject.Roles, PreferredUsername: username,
		SessionID: sessionID, Lifetime: lifetime,
	}, decision.Claims)
	if err != nil {
		return nil, err
	}
	return &issued{
		subject: login.subject, clientID: clientID, id: id, sessionID: sessionID, expiry: expiry, audience: audience,
		answer: tokenAnswer{
			AccessToken: raw, TokenType: "Bearer", ExpiresIn: int64(lifetime / time.Second),
			Scope: strings.Join(decision.Scope, " "),
		},
	}, nil
}

// lifetime is the policy's, within the configured maximum, in whole seconds.
func (s *Service) lifetime(decided time.Duration) (time.Duration, error) {
	if decided < 0 {
		return 0, fmt.Errorf("the policy granted a lifetime of %s; lifetime.access_token must be a positive number of seconds", decided)
	}
	if decided == 0 {
		decided = defaultLifetime
	}
	return max(min(decided, s.maxLifetime).Truncate(time.Second), time.Second), nil
}

// policyRefusal carries the policy's reasons to the log.
type policyRefusal struct{ reasons []authz.Reason }

func (p *policyRefusal) Error() string { return "refused by the policy" }

// reasonCodes are what the log says of a refusal.
func reasonCodes(err error) []string {
	var refusal *policyRefusal
	if !errors.As(err, &refusal) {
		return nil
	}
	codes := make([]string, 0, len(refusal.reasons))
	for _, reason := range refusal.reasons {
		codes = append(codes, reason.Code)
	}
	return codes
}
