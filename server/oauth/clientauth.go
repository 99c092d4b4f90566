package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// FirstPartyClient is the id of the built-in client: what a request is made for
// when it names no client. It is public, that is, it has no secret.
const FirstPartyClient = account.FirstPartyClient

// The ways in which a client authenticates, by their names in RFC 7591 section 2
// and OpenID Connect Core section 9.
const (
	authNone      = account.AuthNone
	authBasic     = account.AuthSecret
	authPost      = "client_secret_post"
	authAssertion = account.AuthPrivateKeyJWT
)

// assertionType is the only client_assertion_type (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Clients finds clients and checks what they prove themselves by.
// [account.Clients] is one.
type Clients interface {
	// Find returns [account.ErrClientNotFound] for an unknown id.
	Find(ctx context.Context, id string) (account.Client, error)
	// CheckSecret takes as long for no client, and for one without a secret, as for
	// a wrong secret.
	CheckSecret(c *account.Client, secret string) bool
	// UseAssertion returns [account.ErrAssertionUsed] at the second time.
	UseAssertion(ctx context.Context, clientID, jti string, expiry time.Time) error
}

// Assertions verifies client assertions (RFC 7523 section 3).
// [token.AssertionVerifier] is one.
type Assertions interface {
	Verify(raw string, jwks []byte, clientID string, audiences []string, now time.Time) (jti string, expiry time.Time, err error)
}

// clientCredentials is what a request says of its client, before anything is
// believed of it.
type clientCredentials struct {
	// method is one of the names above; authNone also where only an id was sent, by
	// HTTP Basic or in the body.
	method     string
	id, secret string
	assertion  string
	// inHeader says that they came by HTTP Basic.
	inHeader bool
}

// readClient finds the client's credentials: in an Authorization header of
// scheme Basic or in the body (RFC 6749 section 2.3.1), or as an assertion (RFC
// 7521 section 4.2); not in two places, for then nobody knows which counts (section
// 2.3). An empty id and secret in the header are no client at all: Swagger UI sends
// them. A Bearer header is the gate's business and no client authentication; it is
// ignored here as it is on any public route.
func readClient(header http.Header, f form) (clientCredentials, error) {
	body, err := clientInBody(f)
	if err != nil {
		return body, err
	}
	authorization := header.Values("Authorization")
	if len(authorization) > 1 {
		return body, invalidRequest("more than one Authorization header was sent")
	}
	if len(authorization) == 0 {
		return body, nil
	}
	scheme, credentials, _ := strings.Cut(authorization[0], " ")
	if strings.EqualFold(scheme, "Bearer") {
		return body, nil
	}
	basic, ok := clientCredentials{method: authBasic, inHeader: true}, strings.EqualFold(scheme, "Basic")
	if ok {
		basic.id, basic.secret, ok = decodeBasic(strings.TrimLeft(credentials, " "))
	}
	switch {
	case !ok:
		return body, &Error{Code: codeInvalidClient, Challenge: true, Description: "the Authorization header is not HTTP Basic with a form-urlencoded client id and secret"}
	case basic.id == "" && basic.secret == "":
		return body, nil
	case body.method != authNone:
		return body, invalidRequest("the client authenticated in more than one way; use one of them")
	case body.id != "" && body.id != basic.id:
		return body, invalidRequest("the Authorization header and client_id name two clients; name one")
	case basic.secret == "":
		basic.method = authNone
	}
	return basic, nil
}

func clientInBody(f form) (clientCredentials, error) {
	c := clientCredentials{
		method: authNone, id: f.get("client_id"), secret: f.get("client_secret"), assertion: f.get("client_assertion"),
	}
	kind := f.get("client_assertion_type")
	switch {
	case c.assertion == "" && kind == "":
		if c.secret != "" {
			c.method = authPost
		}
		return c, nil
	case c.secret != "":
		return c, invalidRequest("the client authenticated in more than one way; use one of them")
	case c.assertion == "" || kind == "":
		return c, invalidRequest("client_assertion and client_assertion_type belong together")
	case kind != assertionType:
		return c, &Error{Code: codeInvalidClient, Description: "the only client_assertion_type here is " + assertionType}
	}
	c.method = authAssertion
	return c, nil
}

// decodeBasic undoes RFC 7617 and, inside it, the form-urlencoding that RFC 6749
// section 2.3.1 puts on id and secret.
func decodeBasic(credentials string) (id, secret string, ok bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || !utf8.Valid(raw) {
		return "", "", false
	}
	rawID, rawSecret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	if id, ok = unescapeForm(rawID); !ok {
		return "", "", false
	}
	secret, ok = unescapeForm(rawSecret)
	return id, secret, ok
}

// authenticateClient answers which client asks, at the endpoint of that path. A
// request that names none is the built-in first-party client's.
//
// A client that is unknown, disabled, or has proved nothing gets one answer, and
// an unknown one takes as long as a wrong secret: what is compared is a hash, also
// where there is none.
func (s *Service) authenticateClient(ctx context.Context, c clientCredentials, path string) (*account.Client, error) {
	if c.method == authNone && c.id == "" {
		c.id = FirstPartyClient
	}
	if c.id == "" && c.method == authAssertion {
		// Not believed: it says whose keys the assertion must be verified with.
		if _, claims, err := token.Inspect(c.assertion); err == nil {
			c.id, _ = claims["sub"].(string)
		}
	}
	client, err := s.findClient(ctx, c.id)
	if err != nil {
		return nil, err
	}
	proved, err := s.proves(ctx, client, c, path)
	switch {
	case err != nil:
		return nil, err
	case !proved || client == nil || client.Disabled:
		return nil, s.refuseClient(ctx, client, proved, c)
	}
	return client, nil
}

// refuseClient is the answer to a client that could not be authenticated, once the
// audit log knows. Of one that there is not, it does not keep the id that was sent:
// it may be a secret in the wrong place.
func (s *Service) refuseClient(ctx context.Context, client *account.Client, proved bool, c clientCredentials) error {
	event := account.Event{Action: account.ClientAuthFailed, Outcome: account.Failure, Reason: "unknown"}
	if client != nil {
		event.ClientID, event.TargetKind, event.TargetID = client.ID, "client", client.ID
		event.Reason = "credentials"
		if proved {
			event.Reason = "disabled"
		}
	}
	if err := s.events.RecordSparingly(ctx, event); err != nil {
		return unavailable("the request could not be recorded; try again", 0, err)
	}
	return refusedClient(c)
}

// findClient is nil for a client that is unknown.
func (s *Service) findClient(ctx context.Context, id string) (*account.Client, error) {
	if id == FirstPartyClient {
		client := account.FirstParty()
		return &client, nil
	}
	if s.clients == nil {
		return nil, nil
	}
	client, err := s.clients.Find(ctx, id)
	switch {
	case errors.Is(err, account.ErrClientNotFound):
		return nil, nil
	case err != nil:
		return nil, unavailable("the client could not be looked up; try again", 0, fmt.Errorf("looking up a client: %w", err))
	}
	return &client, nil
}

// proves reports whether the credentials are the client's, in the way that it is
// registered for. A public client proves nothing, and must not seem to: one that
// sends a secret believes to be confidential.
func (s *Service) proves(ctx context.Context, client *account.Client, c clientCredentials, path string) (bool, error) {
	if c.method == authAssertion {
		return s.asserts(ctx, client, c.assertion, path)
	}
	matches := s.clients != nil && s.clients.CheckSecret(client, c.secret)
	switch {
	case client == nil:
		return false, nil
	case client.AuthMethod == authNone:
		return c.method == authNone, nil
	case client.AuthMethod == authBasic, client.AuthMethod == authPost:
		return c.method != authNone && matches, nil
	}
	return false, nil
}

// asserts verifies an assertion, and uses it up.
func (s *Service) asserts(ctx context.Context, client *account.Client, assertion, path string) (bool, error) {
	if client == nil || client.AuthMethod != authAssertion || s.assertions == nil {
		return false, nil
	}
	audiences := []string{s.issuer, s.url(tokenPath), s.url(path)}
	jti, expiry, err := s.assertions.Verify(assertion, client.JWKS, client.ID, audiences, s.now())
	var refused authz.TokenError
	switch {
	case errors.As(err, &refused):
		s.logger.DebugContext(ctx, "client assertion refused", "client_id", client.ID, "reason", string(refused))
		return false, nil
	case err != nil:
		return false, serverError("reading the keys of the client "+client.ID, err)
	}
	err = s.clients.UseAssertion(ctx, client.ID, jti, expiry)
	switch {
	case errors.Is(err, account.ErrAssertionUsed):
		return false, nil
	case err != nil:
		return false, unavailable("the client's assertion could not be recorded; try again with another one", 0, fmt.Errorf("using up a client's assertion: %w", err))
	}
	return true, nil
}

// refusedClient is the one answer to a client that could not be authenticated.
func refusedClient(c clientCredentials) *Error {
	return &Error{Code: codeInvalidClient, Challenge: c.inHeader, Description: "the client is unknown or disabled, or its authentication failed"}
}

// grantClient is what the policy is told of a client. The configured audience is
// open to every client: it is what tokens are for when nothing is requested.
func (s *Service) grantClient(c *account.Client) *authz.GrantClient {
	audiences := c.Audiences
	if !slices.Contains(audiences, s.audience) {
		audiences = append(slices.Clone(audiences), s.audience)
	}
	return &authz.GrantClient{
		ID: c.ID, Confidential: c.Confidential, Grants: c.Grants, Scopes: c.Scopes, Audiences: audiences, Disabled: c.Disabled,
	}
}
