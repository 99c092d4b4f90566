package account

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// How a client authenticates at the token endpoint (RFC 7591 section 2).
const (
	// AuthNone is a public client: it has nothing to prove itself with.
	AuthNone = "none"
	// AuthSecret is a secret, in an Authorization header or in the body.
	AuthSecret = "client_secret_basic"
	// AuthPrivateKeyJWT is an assertion, signed with a key of the client (RFC 7523
	// section 2.2).
	AuthPrivateKeyJWT = "private_key_jwt"
)

// The grant types that a client can be registered for.
const (
	GrantPassword          = "password"
	GrantClientCredentials = "client_credentials"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
)

// AllScopes, as a client's scope, is every scope that the account carries which
// logs in with the client. To a client that acts for itself it grants nothing.
const AllScopes = "*"

// Client is a program that asks for tokens (RFC 6749 section 2). The names in JSON
// are those of RFC 7591 where it has one.
type Client struct {
	// ID is chosen by the operator, and never changes. A token for the client itself
	// names it as sub, so it never looks like an account's.
	ID string `json:"client_id"`
	// Name is for people to read; it may be empty.
	Name string `json:"client_name,omitempty"`
	// Confidential is whether it can keep a secret.
	Confidential bool `json:"confidential"`
	// AuthMethod is AuthNone for a public client, and one of the others for a
	// confidential one.
	AuthMethod string `json:"token_endpoint_auth_method"`
	// Secrets are hashes. More than one are good while a secret is being replaced.
	Secrets []ClientSecret `json:"-"`
	// JWKS are the public keys of AuthPrivateKeyJWT (RFC 7517).
	JWKS json.RawMessage `json:"jwks,omitempty"`
	// Grants, Scopes, Roles and Audiences are what the policy may grant it. Roles
	// are those that it has when it acts for itself.
	Grants    []string `json:"grant_types"`
	Scopes    []string `json:"scopes"`
	Roles     []string `json:"roles"`
	Audiences []string `json:"audiences"`
	// RedirectURIs are compared as strings (RFC 9700 section 2.1).
	RedirectURIs []string `json:"redirect_uris"`
	// Disabled ends its tokens, and its sessions for good.
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// TokensFrom is when it was added, or last enabled again: tokens that were issued
	// to it before are not good any more.
	TokensFrom time.Time `json:"-"`
}

// ClientSecret is one that a client may prove itself with.
type ClientSecret struct {
	Hash      string    `json:"hash"`
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is zero for one without end.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// FirstPartyClient is the id of the built-in client.
const FirstPartyClient = "stagedoor"

// FirstParty is the built-in client: what a request is made for that names none. It
// is not stored, and can't be changed.
func FirstParty() Client {
	return Client{
		ID: FirstPartyClient, Name: "Stagedoor", AuthMethod: AuthNone,
		Grants: []string{GrantPassword, GrantRefreshToken}, Scopes: []string{AllScopes},
		Roles: []string{}, Audiences: []string{}, RedirectURIs: []string{},
	}
}

// Subject is the client as the policy sees it when it acts for itself.
func (c *Client) Subject() *authz.Subject {
	scopes := slices.DeleteFunc(slices.Clone(c.Scopes), func(scope string) bool { return scope == AllScopes })
	return &authz.Subject{
		Kind: authz.KindClient, ID: c.ID, Username: c.Name, Roles: slices.Clone(c.Roles), Scopes: append([]string{}, scopes...), Disabled: c.Disabled,
	}
}

// clone copies the client with its lists.
func (c *Client) clone() Client {
	clone := *c
	clone.Secrets, clone.JWKS, clone.Grants, clone.Scopes = slices.Clone(c.Secrets), slices.Clone(c.JWKS), slices.Clone(c.Grants), slices.Clone(c.Scopes)
	clone.Roles, clone.Audiences, clone.RedirectURIs = slices.Clone(c.Roles), slices.Clone(c.Audiences), slices.Clone(c.RedirectURIs)
	return clone
}

// String leaves out everything that is nobody's business.
func (c Client) String() string { return c.ID }

// LogValue is String for slog.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.ID) }

// ClientStore keeps clients. As with [Store], every method is one transaction.
type ClientStore interface {
	// InsertClient stores a new client; [ErrClientExists] when its id is taken.
	InsertClient(ctx context.Context, client Client, effects Effects) error
	// UpdateClient hands the stored client to change and writes back what becomes of
	// it, with the effects that change has set. An error of change is returned as it
	// is. change must not call the store. [ErrClientNotFound] when it is gone.
	UpdateClient(ctx context.Context, id string, change func(*Client, *Effects) error) (Client, error)
	// RemoveClient removes the client, unless a check of what is stored returns an
	// error, which is returned as it is; [ErrClientNotFound] when it is gone.
	RemoveClient(ctx context.Context, id string, effects Effects, checks ...func(*Client) error) error
	// Client finds by id; [ErrClientNotFound] when there is none.
	Client(ctx context.Context, id string) (Client, error)
	// Clients lists all, by id.
	Clients(ctx context.Context) ([]Client, error)
	// ClientChanges counts the changes of clients, by anyone; it only grows.
	ClientChanges(ctx context.Context) (int64, error)
	// UseAssertion notes that a client has used the assertion of that jti, until it
	// expires, and forgets those that expired before now; [ErrAssertionUsed] when it
	// was noted before.
	UseAssertion(ctx context.Context, clientID, jti string, expiry, now time.Time) error
}

var (
	// ErrClientNotFound means that there is no client of that id.
	ErrClientNotFound = errors.New("no such client")
	// ErrClientExists means that a new client's id is taken.
	ErrClientExists = errors.New("there is a client of this id already")
	// ErrAssertionUsed means that an assertion was presented before (RFC 7523
	// section 3: jti).
	ErrAssertionUsed = errors.New("the assertion was used before")
)
