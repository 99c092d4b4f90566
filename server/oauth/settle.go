package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// Sessions keeps logins and their refresh tokens. [account.Sessions] is one.
type Sessions interface {
	// NewID makes the id of a session that is about to begin.
	NewID() (string, error)
	// Begin stores a login and, if it is to have one, makes its refresh token.
	Begin(ctx context.Context, begun account.NewSession) (account.Session, string, error)
	// Present finds the session of a refresh token. [account.ErrRefreshReused]: it was
	// used before, and the session is revoked now. [account.ErrRefreshInvalid]: it is
	// unknown, or the session has ended.
	Present(ctx context.Context, refreshToken string) (*account.Presented, error)
	// Peek is Present for those who only look: nothing is revoked. Nil for a token
	// that would be refused, or that was used before.
	Peek(ctx context.Context, refreshToken string) (*account.Session, error)
	// Revoke ends a session.
	Revoke(ctx context.Context, id, reason string) error
}

// Events keeps audit events. [account.Events] is one.
type Events interface {
	Record(ctx context.Context, events ...account.Event) error
	// RecordSparingly is Record for what could fill the log; see
	// [account.Events.RecordSparingly].
	RecordSparingly(ctx context.Context, event account.Event) error
}

// sessionOf is the id of the session that the token will belong to: an account's
// always belongs to one, so that it can be revoked with it; a client that acts for
// itself has none.
func (s *Service) sessionOf(l *login) (string, error) {
	switch {
	case l.refreshed != nil:
		return l.refreshed.session.ID, nil
	case l.subject.Kind == authz.KindAccount:
		return s.sessions.NewID()
	}
	return "", nil
}

// refreshable refuses a refresh that the policy would not allow a login any more:
// it gives no refresh tokens, or the login is older than what it gives.
func (s *Service) refreshable(ctx context.Context, r *tokenRequest, l *login, decision authz.Grant) error {
	if l.refreshed == nil {
		return nil
	}
	if ends := l.refreshed.session.CreatedAt.Add(decision.RefreshLifetime); decision.RefreshLifetime > 0 && r.now.Before(ends) {
		return nil
	}
	if err := s.recordRefused(ctx, r, l, "login_ended"); err != nil {
		return err
	}
	return l.refused(errors.New("by the policy of today the login can't be refreshed any more"))
}

// settle keeps what was issued, together with the record that it was: nothing is
// handed out that is not stored.
func (s *Service) settle(ctx context.Context, r *tokenRequest, l *login, decision authz.Grant, result *issued) error {
	if err := settled(ctx, l.accept); err != nil {
		return serverError("recording the login", err)
	}
	var err error
	switch {
	case l.refreshed != nil:
		result.answer.RefreshToken, err = l.refreshed.rotate(ctx, account.Rotation{
			Idle: idle(decision), Absolute: decision.RefreshLifetime, AccessExpiry: result.expiry, Events: []account.Event{issuedEvent(account.TokenRefreshed, r, result)},
		})
		if errors.Is(err, account.ErrRefreshInvalid) || errors.Is(err, account.ErrRefreshReused) {
			return l.refused(fmt.Errorf("revoked in the meantime: %w", err))
		}
	case l.subject.Kind == authz.KindAccount:
		_, result.answer.RefreshToken, err = s.sessions.Begin(ctx, account.NewSession{
			ID: result.sessionID, AccountID: l.subject.ID, ClientID: result.clientID, Checked: l.checked,
			Scope: decision.Scope, Audience: result.audience, AMR: l.amr,
			Idle: idle(decision), Absolute: decision.RefreshLifetime, AccessExpiry: result.expiry,
			WithRefresh: decision.RefreshLifetime > 0,
			ClientIP:    addrText(r.clientIP), UserAgent: r.userAgent,
			Events: []account.Event{issuedEvent(account.TokenIssued, r, result)},
		})
		if errors.Is(err, account.ErrNotFound) || errors.Is(err, account.ErrLoginOvertaken) {
			return l.refused(fmt.Errorf("overtaken by a change: %w", err))
		}
	default:
		err = s.events.Record(ctx, issuedEvent(account.TokenIssued, r, result))
	}
	if err != nil {
		return serverError("storing what was issued", err)
	}
	return nil
}

// idle is how long a refresh token may lie unused.
func idle(decision authz.Grant) time.Duration {
	if decision.RefreshIdle > 0 {
		return min(decision.RefreshIdle, decision.RefreshLifetime)
	}
	return decision.RefreshLifetime
}

// recordRefused has the audit log know of a token that was not issued. A login that
// is refused is in it as such.
func (s *Service) recordRefused(ctx context.Context, r *tokenRequest, l *login, codes ...string) error {
	e := account.Event{
		Action: account.TokenRefused, Outcome: account.Failure, ClientID: r.by.ID,
		Details: map[string]string{"grant_type": r.grantType},
	}
	if len(codes) > 0 {
		e.Reason = codes[0]
	}
	if len(codes) > 1 {
		e.Details["reasons"] = strings.Join(codes, " ")
	}
	if l.subject.Kind == authz.KindAccount {
		e.AccountID = l.subject.ID
	}
	if l.refreshed != nil {
		e.Details["sid"] = l.refreshed.session.ID
	}
	if err := s.events.RecordSparingly(ctx, e); err != nil {
		return unavailable("the request could not be recorded; try again", 0, err)
	}
	return nil
}

// issuedEvent is the audit event of a token: which one, never the token.
func issuedEvent(action string, r *tokenRequest, result *issued) account.Event {
	e := account.Event{
		Action: action, Outcome: account.Success, ClientID: result.clientID,
		TargetKind: "token", TargetID: result.id,
		Details: map[string]string{"grant_type": r.grantType, "scope": result.answer.Scope, "audience": strings.Join(result.audience, " ")},
	}
	if result.subject.Kind == authz.KindAccount {
		e.AccountID = result.subject.ID
		e.Details["sid"] = result.sessionID
	}
	return e
}
