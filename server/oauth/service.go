package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// The paths of the endpoints, as data/routes.yaml declares them.
const (
	tokenPath         = "/token"
	revocationPath    = "/revoke"
	introspectionPath = "/introspect"
	jwksPath          = "/.well-known/jwks.json"
	metadataPath      = "/.well-known/oauth-authorization-server"
	discoveryPath     = "/.well-known/openid-configuration"
)

// defaultMaxLifetime caps what the policy grants unless the options say
// otherwise.
const defaultMaxLifetime = 24 * time.Hour

// Policy gives the snapshot that is live now. [policy.Engine] is one.
type Policy interface {
	Current() *policy.Snapshot
}

// Authenticator checks passwords. [account.Authenticator] is one.
type Authenticator interface {
	Authenticate(ctx context.Context, login, password string, addr netip.Addr) (*account.Attempt, error)
}

// Keyring signs tokens and publishes the keys to verify them with.
// [token.Keyring] is one.
type Keyring interface {
	Mint(registered token.Registered, extra map[string]any) (raw, id string, expiry time.Time, err error)
	JWKS() []byte
}

// Subjects finds who one of our own subjects, an account or a client, is now. One
// that is gone is nil, [account.ErrNotFound] or [account.ErrClientNotFound].
type Subjects interface {
	Subject(ctx context.Context, id string) (*authz.Subject, error)
}

// Revocations takes single access tokens back. [account.Revocations] is one.
type Revocations interface {
	// RevokeToken has the gate refuse the token once it returns nil.
	RevokeToken(ctx context.Context, jti string, expiry time.Time, events ...account.Event) error
}

// Options are what a [Service] is made of. Only Clients and Assertions may be left
// out of those above Issuer, which with Audience is required, too; a Service that is
// for [Service.Preview] only needs Policy and Keyring of them.
type Options struct {
	Policy        Policy
	Authenticator Authenticator
	Keyring       Keyring
	// Clients are those registered; nil for none but the first-party client.
	Clients     Clients
	Subjects    Subjects
	Sessions    Sessions
	Revocations Revocations
	Events      Events
	// Tokens verifies what is to be revoked or introspected.
	Tokens Tokens
	// Assertions verifies those of clients; nil refuses them.
	Assertions Assertions
	// Issuer is the iss of every token, and where clients reach the endpoints.
	Issuer string
	// Audience is a token's aud when the policy names none.
	Audience string
	// MaxLifetime caps what the policy may grant. Default 24 h.
	MaxLifetime time.Duration
	// Realm names the protection space in a client's challenge. Default
	// "stagedoor".
	Realm string
	// Logger gets a line for each login and each refusal. Default: discarded.
	Logger *slog.Logger
	// Observe is told the outcome of each token request: "success" or the error's
	// code. grantType is one of those built, or empty where none of them was asked
	// for. Default: nobody.
	Observe func(grantType, outcome string)
	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

// Service is the token service. It is safe for concurrent use.
type Service struct {
	decide           func(context.Context, *authz.GrantRequest) (authz.Grant, error)
	mint             func(token.Registered, map[string]any) (string, string, time.Time, error)
	jwks             func() []byte
	grants           map[string]grant
	clients          Clients
	subjects         Subjects
	sessions         Sessions
	revocations      Revocations
	events           Events
	tokens           Tokens
	assertions       Assertions
	observe          func(grantType, outcome string)
	issuer, audience string
	maxLifetime      time.Duration
	realm            string
	logger           *slog.Logger
	now              func() time.Time
	// cautioned is done once the log has warned of the password grant.
	cautioned sync.Once
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{
		decide: func(ctx context.Context, r *authz.GrantRequest) (authz.Grant, error) {
			return o.Policy.Current().DecideGrant(ctx, r)
		},
		mint: o.Keyring.Mint,
		jwks: o.Keyring.JWKS,
		grants: map[string]grant{
			grantPassword:          passwordGrant{o.Authenticator},
			grantClientCredentials: clientCredentialsGrant{o.Subjects},
			grantRefreshToken:      refreshGrant{o.Sessions, o.Subjects},
		},
		clients: o.Clients, subjects: o.Subjects, sessions: o.Sessions, revocations: o.Revocations,
		events: o.Events, tokens: o.Tokens, assertions: o.Assertions, observe: o.Observe,
		issuer: o.Issuer, audience: o.Audience,
		maxLifetime: o.MaxLifetime, realm: o.Realm, logger: o.Logger, now: o.Now,
	}
	if s.maxLifetime <= 0 {
		s.maxLifetime = defaultMaxLifetime
	}
	if s.realm == "" {
		s.realm = "stagedoor"
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.observe == nil {
		s.observe = func(string, string) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Register adds the endpoints to routes.
func (s *Service) Register(routes gin.IRouter) {
	routes.POST(tokenPath, gin.WrapF(s.serveToken))
	routes.POST(revocationPath, gin.WrapF(s.serveRevocation))
	routes.POST(introspectionPath, gin.WrapF(s.serveIntrospection))
	routes.GET(metadataPath, gin.WrapF(s.serveMetadata))
	routes.GET(discoveryPath, gin.WrapF(s.serveMetadata))
	routes.GET(jwksPath, gin.WrapF(s.serveJWKS))
}

// serveJWKS publishes the keys (RFC 7517 section 5).
func (s *Service) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(s.jwks()) // a lost connection is no news
}
