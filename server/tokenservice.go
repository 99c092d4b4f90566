package server

import (
	"context"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/oauth"
	"github.com/stagedoor/stagedoor/server/token"
)

// revoked is what verifiers ask about each of our own tokens: whether it was taken
// back, by itself, with its session, or with the client that it was issued to.
func revoked(clients *account.Clients, revocations *account.Revocations) func(context.Context, *token.Verified) (bool, error) {
	return func(ctx context.Context, v *token.Verified) (bool, error) {
		live, err := clients.Live(ctx, v.ClientID, v.IssuedAt)
		if err != nil || !live {
			return !live, err
		}
		return revocations.Revoked(ctx, v.ID, v.SessionID)
	}
}

// newTokenService makes the service that hands tokens out and takes them back.
func (s *Server) newTokenService(audience string) *oauth.Service {
	return oauth.New(oauth.Options{
		Policy: s.engine, Keyring: s.keyring,
		Authenticator: s.authenticator,
		Clients:       s.clients, Subjects: s.who(), Sessions: s.sessions, Revocations: s.revocations,
		Events: s.events,
		// It answers for tokens that are meant for others, too, and remembers none:
		// each is asked about once or twice.
		Tokens: token.NewVerifier(s.keyring, token.VerifierOptions{
			Issuer: s.issuer, AnyAudience: true, CacheBytes: cacheOff, Revoked: revoked(s.clients, s.revocations),
		}),
		Assertions: token.AssertionVerifier{},
		Issuer:     s.issuer, Audience: audience, MaxLifetime: s.cfg.MaxTokenLifetime,
		Observe: s.metrics.observeToken, Logger: s.logger,
	})
}

// who finds who the subjects of our own tokens are now.
func (s *Server) who() account.Who { return account.Who{Accounts: s.accounts, Clients: s.clients} }
