package server

import (
	"context"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/oauth"
	"github.com/stagedoor/stagedoor/server/token"
)

// revoked is what verifiers ask about each of our own tokens.
func revoked(revocations *account.Revocations) func(context.Context, *token.Verified) (bool, error) {
	return func(ctx context.Context, v *token.Verified) (bool, error) {
		return revocations.Revoked(ctx, v.ID, v.SessionID)
	}
}

// newTokenService makes the service that hands tokens out and takes them back.
func (s *Server) newTokenService(audience string) *oauth.Service {
	return oauth.New(oauth.Options{
		Policy: s.engine, Keyring: s.keyring,
		Authenticator: account.NewAuthenticator(s.store, s.accounts.Hasher(), account.AuthenticatorOptions{
			DisableThrottle: !s.cfg.LoginThrottle, Logger: s.logger,
		}),
		Clients: s.clients, Subjects: s.subjects(), Sessions: s.sessions, Revocations: s.revocations,
		Events: account.NewEvents(s.store, account.EventOptions{}),
		// It answers for tokens that are meant for others, too, and remembers none:
		// each is asked about once or twice.
		Tokens: token.NewVerifier(s.keyring, token.VerifierOptions{
			Issuer: s.issuer, AnyAudience: true, CacheBytes: cacheOff, Revoked: revoked(s.revocations),
		}),
		Assertions: token.AssertionVerifier{},
		Issuer:     s.issuer, Audience: audience, MaxLifetime: s.cfg.MaxTokenLifetime,
		Observe: s.metrics.observeToken, Logger: s.logger,
	})
}

func (s *Server) subjects() subjects { return subjects{s.accounts, s.clients} }
