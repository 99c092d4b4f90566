package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// introspection is an answer of RFC 7662 section 2.2. One that is not active has no
// other member.
type introspection struct {
	Active    bool        `json:"active"`
	Issuer    string      `json:"iss,omitempty"`
	Subject   string      `json:"sub,omitempty"`
	Audience  any         `json:"aud,omitempty"`
	ClientID  string      `json:"client_id,omitempty"`
	Username  string      `json:"username,omitempty"`
	Scope     string      `json:"scope,omitempty"`
	TokenType string      `json:"token_type,omitempty"` // of an access token
	Expiry    json.Number `json:"exp,omitempty"`
	IssuedAt  json.Number `json:"iat,omitempty"`
	NotBefore json.Number `json:"nbf,omitempty"`
	ID        string      `json:"jti,omitempty"`
	SessionID string      `json:"sid,omitempty"`
}

// serveIntrospection is POST /introspect (RFC 7662). Only a confidential client may
// ask, and it hears only of tokens that are its own, or meant for it: of the others
// it is told what it would be told of a token that does not exist.
func (s *Service) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	caller := callerOf(r)
	caller.endpoint = introspectionPath
	answer, err := s.introspect(w, r, caller)
	if err != nil {
		refusal := asError(err)
		if refusal.Code == codeInvalidClient {
			refusal.Challenge = true // section 2.3: always 401
		}
		s.logRefusal(r.Context(), caller, nil, refusal)
		s.writeError(w, refusal)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Service) introspect(w http.ResponseWriter, r *http.Request, caller *caller) (introspection, error) {
	ctx, f, client, err := s.enter(w, r, caller)
	if err != nil {
		return introspection{}, err
	}
	if !client.Confidential {
		return introspection{}, &Error{Code: codeInvalidClient, Description: "only a confidential client that has authenticated may introspect tokens"}
	}
	raw := f.get("token")
	switch {
	case raw == "":
		return introspection{}, invalidRequest("token is missing")
	case isRefreshToken(raw):
		return s.introspectRefresh(ctx, client, raw)
	}
	verified, err := s.verified(ctx, raw)
	if err != nil || verified == nil || !concerns(client, verified) {
		return introspection{}, err
	}
	subject, err := s.subject(ctx, verified.Subject)
	if err != nil || subject == nil {
		return introspection{}, err
	}
	// The client that it was issued to must still be there, too.
	if issuedTo, err := s.findClient(ctx, verified.ClientID); err != nil || issuedTo == nil || issuedTo.Disabled {
		return introspection{}, err
	}
	claims := verified.Claims.Values
	number := func(name string) json.Number {
		n, _ := claims[name].(json.Number)
		return n
	}
	scope, _ := claims["scope"].(string)
	username := ""
	if subject.Kind == authz.KindAccount {
		username = subject.Username // a client's is its display name
	}
	return introspection{
		Active: true, Issuer: verified.Issuer, Subject: verified.Subject, Audience: claims["aud"],
		ClientID: verified.ClientID, Username: username, Scope: scope, TokenType: "Bearer",
		Expiry: number("exp"), IssuedAt: number("iat"), NotBefore: number("nbf"),
		ID: verified.ID, SessionID: verified.SessionID,
	}, nil
}

// concerns reports whether a client may know what a token says: it was issued to
// the client, or is meant for it (RFC 7662 section 4).
func concerns(client *account.Client, verified *token.Verified) bool {
	if verified.ClientID == client.ID {
		return true
	}
	for _, audience := range audienceOf(verified) {
		if audience == client.ID || slices.Contains(client.Audiences, audience) {
			return true
		}
	}
	return false
}

func audienceOf(verified *token.Verified) []string {
	switch aud := verified.Claims.Values["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		list := make([]string, 0, len(aud))
		for _, member := range aud {
			if text, ok := member.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return nil
}

func seconds(t time.Time) json.Number { return json.Number(strconv.FormatInt(t.Unix(), 10)) }

// introspectRefresh answers for a refresh token, which concerns the client that has
// it and nobody else.
func (s *Service) introspectRefresh(ctx context.Context, client *account.Client, raw string) (introspection, error) {
	session, err := s.sessions.Peek(ctx, raw)
	switch {
	case err != nil:
		return introspection{}, unavailable("the token could not be looked up; try again", 0, err)
	case session == nil || session.ClientID != client.ID:
		return introspection{}, nil
	}
	subject, err := s.subject(ctx, session.AccountID)
	if err != nil || subject == nil {
		return introspection{}, err
	}
	ends := session.ExpiresAt
	if session.IdleExpiresAt.Before(ends) {
		ends = session.IdleExpiresAt
	}
	return introspection{
		Active: true, Issuer: s.issuer, Subject: session.AccountID, ClientID: session.ClientID, Username: subject.Username,
		Scope: strings.Join(session.Scope, " "), Expiry: seconds(ends), IssuedAt: seconds(session.CreatedAt), SessionID: session.ID,
	}, nil
}
