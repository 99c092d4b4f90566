package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/stagedoor/stagedoor/server/account"
)

// serveRevocation is POST /revoke (RFC 7009). A client takes back tokens that were
// issued to it: an access token by itself; with a refresh token, the login and every
// token that came of it. The token that nobody knows is not there any more, so that
// is a success, too (section 2.2).
func (s *Service) serveRevocation(w http.ResponseWriter, r *http.Request) {
	caller := callerOf(r)
	caller.endpoint = revocationPath
	if err := s.revoke(w, r, caller); err != nil {
		refusal := asError(err)
		s.logRefusal(r.Context(), caller, nil, refusal)
		s.writeError(w, refusal)
		return
	}
	forbidStoring(w.Header())
	w.WriteHeader(http.StatusOK)
}

func (s *Service) revoke(w http.ResponseWriter, r *http.Request, caller *caller) error {
	ctx, f, client, err := s.enter(w, r, caller)
	if err != nil {
		return err
	}
	raw := f.get("token")
	switch {
	case raw == "":
		return invalidRequest("token is missing")
	case isRefreshToken(raw):
		return s.revokeSession(ctx, client, raw)
	}
	return s.revokeToken(ctx, client, raw)
}

// revokeSession ends the login that a refresh token belongs to. One used before
// ends it just as well.
func (s *Service) revokeSession(ctx context.Context, client *account.Client, raw string) error {
	presented, err := s.sessions.Present(ctx, raw)
	switch {
	case errors.Is(err, account.ErrRefreshInvalid), errors.Is(err, account.ErrRefreshReused):
		return nil
	case err != nil:
		return notRevoked(err)
	case presented.Session.ClientID != client.ID:
		return othersToken()
	}
	if err := s.sessions.Revoke(ctx, presented.Session.ID, "revoked by the client"); err != nil && !errors.Is(err, account.ErrSessionNotFound) {
		return notRevoked(err)
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, "session revoked", slog.String("sid", presented.Session.ID), slog.String("client_id", client.ID))
	return nil
}

func (s *Service) revokeToken(ctx context.Context, client *account.Client, raw string) error {
	verified, err := s.verified(ctx, raw)
	switch {
	case err != nil:
		return err
	case verified == nil:
		return nil
	case verified.ClientID != client.ID:
		return othersToken()
	}
	event := account.Event{
		Action: account.TokenRevoked, Outcome: account.Success, ClientID: client.ID, TargetKind: "token", TargetID: verified.ID,
	}
	if verified.SessionID != "" {
		event.AccountID = verified.Subject
	}
	if err := s.revocations.RevokeToken(ctx, verified.ID, verified.Expiry, event); err != nil {
		return notRevoked(err)
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, "token revoked", slog.String("jti", verified.ID), slog.String("client_id", client.ID))
	return nil
}

// notRevoked tells the client that the token still stands, and to try again (RFC
// 7009 section 2.2.1).
func notRevoked(cause error) *Error {
	return unavailable("the token could not be revoked; try again", 0, cause)
}

// othersToken refuses a token that was issued to another client (section 2.1).
func othersToken() *Error {
	return &Error{Code: codeInvalidGrant, Description: "the token was issued to another client"}
}
