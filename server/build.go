package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/admin"
	"github.com/stagedoor/stagedoor/server/apidoc"
	"github.com/stagedoor/stagedoor/server/demo"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/pdp"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/problem"
	"github.com/stagedoor/stagedoor/server/token"
)

// realm names the protection space in challenges (RFC 9110 section 11.5).
const realm = "stagedoor"

// build puts the rooms together: the gate around Gin, and in Gin each front
// door's routes.
func (s *Server) build(ctx context.Context) (http.Handler, error) {
	audience := s.cfg.Audience
	if audience == "" {
		audience = s.issuer
	}
	verifier := newVerifier(s.keyring, s.trusted, s.issuer, audience, cacheBytes(s.cfg.TokenCacheMiB), revoked(s.clients, s.revocations))
	s.authenticator = account.NewAuthenticator(s.store, s.accounts.Hasher(), account.AuthenticatorOptions{
		DisableThrottle: !s.cfg.LoginThrottle, Logger: s.logger,
	})
	tokens := s.newTokenService(audience)
	routes := newRouter()
	tokens.Register(routes)
	s.registerHealth(routes)
	s.newAdmin().Register(routes)
	pdp.New(pdp.Options{URL: s.issuer, Logger: s.logger, Observe: s.metrics.doors.observeAccess}).Register(routes)
	if err := apidoc.Register(routes, s.cfg.Demo); err != nil {
		return nil, err
	}
	s.metrics.register(routes, s.logger)
	s.metrics.watch(s.engine, verifier.CacheStats, s.accounts.CacheStats, s.revocations.Count)

	loaders := map[string]gate.Loader{}
	if !s.cfg.Demo {
		if err := errors.Join(s.refuseDemoPasswords(ctx), s.refuseDemoSecret(ctx)); err != nil {
			return nil, err
		}
	} else {
		if err := s.loadDemoAccounts(ctx); err != nil {
			return nil, fmt.Errorf("loading the demo accounts: %w", err)
		}
		if err := s.loadDemoClients(ctx); err != nil {
			return nil, fmt.Errorf("loading the demo clients: %w", err)
		}
		api := demo.New(demo.Options{Accounts: s.accounts, Logger: s.logger})
		api.Register(routes)
		loaders = api.Loaders()
	}

	proxies, err := s.cfg.trustedProxies()
	if err != nil {
		return nil, err
	}
	door, err := gate.New(gate.Options{
		Policy: s.engine, Tokens: verifier, Subjects: s.who(), Issuer: s.issuer, Realm: realm,
		TrustedProxies: proxies, Headers: s.cfg.PolicyHeaders, CORSOrigins: s.cfg.CORSOrigins,
		Loaders: loaders, Refusals: tokens.Refusals(), Logger: s.logger,
		Observe: s.metrics.observe, ObserveFailure: s.metrics.observeFailure,
	})
	if err != nil {
		return nil, fmt.Errorf("building the gate: %w", err)
	}
	if err := checkBuiltIn(routes, BuiltInRoutes(s.cfg.Demo)); err != nil {
		return nil, err
	}
	s.gateway = gateway.New(gateway.Options{
		TrustedProxies: proxies, Issuer: s.issuer, Assertions: s.keyring, Logger: s.logger,
		Headers: s.cfg.PolicyHeaders, Observe: s.metrics.doors.observeGateway,
	})
	protected := door.Wrap(s.gateway.Proxy(headAsGet(limitBody(routes))))
	return s.gateway.ForwardAuth(door.Wrap, tokens.AtIssuer(protected, pdp.Paths()...)), nil
}

// newAdmin makes the interface for those who administer the server.
func (s *Server) newAdmin() *admin.API {
	return admin.New(admin.Options{
		Accounts: s.accounts, Authenticator: s.authenticator, Clients: s.clients, Sessions: s.sessions,
		Events: s.events, Keys: s.keyring, Policy: s.engine, Logger: s.logger,
	})
}

// newRouter is a Gin engine that adds nothing of its own: the gate has made the
// path canonical, so nothing is redirected, and it has seen the client's
// address, so no header is trusted.
func newRouter() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.RedirectTrailingSlash = false
	router.RedirectFixedPath = false
	router.HandleMethodNotAllowed = true
	router.ForwardedByClientIP = false
	router.Use(onlyDeclared)
	router.NoRoute(refuse(http.StatusNotFound))
	router.NoMethod(refuse(http.StatusMethodNotAllowed))
	return router
}

// refuse answers what the policy allowed and nobody serves.
func refuse(status int) gin.HandlerFunc {
	return func(c *gin.Context) {
		p := problem.Problem{Status: status}
		if passage := gate.FromGin(c); passage != nil {
			p.DecisionID, p.RequestID = passage.DecisionID, passage.RequestID
		}
		problem.Write(c.Writer, p)
	}
}

// limitBody is [http.MaxBytesHandler] for a request that is its caller's own, as
// the gate's is: it makes no copy, and nothing for a request without a body.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		}
		next.ServeHTTP(w, r)
	})
}

// headAsGet lets HEAD reach the handlers of GET (RFC 9110 section 9.3.2); the
// HTTP server leaves the body out.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			asGet := *r
			asGet.Method = http.MethodGet
			r = &asGet
		}
		next.ServeHTTP(w, r)
	})
}

// PolicySource reads policies and data from directories; an empty name means
// the embedded default. A name that is no directory is a [*ConfigError].
func PolicySource(policiesDir, dataDir string) (policy.Source, error) {
	return policySource(policiesDir, dataDir, policy.FS(nil, data.FS))
}

// policySource is [PolicySource] with other data to embed.
func policySource(policiesDir, dataDir string, documents policy.Source) (policy.Source, error) {
	if err := errors.Join(validDir("policies", policiesDir), validDir("data", dataDir)); err != nil {
		return policy.Source{}, err
	}
	rego := policy.FS(policies.FS, nil)
	if policiesDir != "" {
		rego = policy.Dir(policiesDir, "")
	}
	if dataDir != "" {
		documents = policy.Dir("", dataDir)
	}
	return policy.Join(rego, documents), nil
}

func (s *Server) policyOptions() policy.Options {
	return policy.Options{
		Record: stateFile{s.cfg.State, passedFile}, Program: programID(),
		Logger: s.logger, Deadline: s.cfg.PolicyTimeout, AllowNetwork: s.cfg.PolicyNetwork,
		CacheBytes: cacheBytes(s.cfg.DecisionCacheMiB),
		BuiltIn:    BuiltInRoutes(s.cfg.Demo), Upstream: s.cfg.Upstream, NoAssertions: s.cfg.noAssertions(),
		OnStatus: s.keepStatus,
	}
}

// noAssertions is [policy.Options.NoAssertions].
func (c *Config) noAssertions() string {
	if token.Symmetric(c.SigningAlgorithm) {
		return "with --signing-algorithm " + c.SigningAlgorithm + " nobody else could verify it; sign with EdDSA, ES256 or RS256"
	}
	return ""
}

// keepStatus writes what `stagedoor policy status` reads.
func (s *Server) keepStatus(status policy.Status) {
	s.metrics.observeStatus(status)
	text, err := json.MarshalIndent(status, "", "  ")
	if err == nil {
		err = stateFile{s.cfg.State, StatusFile}.Write(append(text, '\n'))
	}
	if err != nil {
		s.logger.Error("the policy's status could not be kept", "error", err)
	}
}

// hs256Secret reads the given secret, if one is; surrounding white space, such
// as an editor's last newline, is no part of it.
func (c *Config) hs256Secret() ([]byte, error) {
	if c.HS256SecretFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.HS256SecretFile)
	if err != nil {
		return nil, &ConfigError{Option: "hs256-secret-file", Err: err}
	}
	const least = 32 // bytes; RFC 7518 section 3.2
	text = bytes.TrimSpace(text)
	if len(text) < least {
		return nil, invalid("hs256-secret-file", "%s holds %d bytes; HS256 needs at least %d, such as from `openssl rand -hex 32`", c.HS256SecretFile, len(text), least)
	}
	return text, nil
}
