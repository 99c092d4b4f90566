package oauth

import (
	"context"
	"errors"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// refreshPrefix begins every refresh token. It tells the two kinds apart, whatever
// a token_type_hint says: no JWT begins so.
const refreshPrefix = "sdr_"

func isRefreshToken(raw string) bool { return strings.HasPrefix(raw, refreshPrefix) }

// Tokens verifies the access tokens of our own issuer, whoever they are for, and
// knows which were revoked. A [token.Verifier] with AnyAudience is one.
type Tokens interface {
	Verify(ctx context.Context, raw string) (*token.Verified, error)
}

// verified is a good access token; nil for any other, whatever is wrong with it. An
// error means that nobody knows.
func (s *Service) verified(ctx context.Context, raw string) (*token.Verified, error) {
	verified, err := s.tokens.Verify(ctx, raw)
	var refused authz.TokenError
	switch {
	case errors.As(err, &refused):
		return nil, nil
	case err != nil:
		return nil, unavailable("the token could not be verified; try again", 0, err)
	case verified.External != nil:
		return nil, nil
	}
	return verified, nil
}

// subject is who the subject of one of our tokens is now; nil for one that is gone
// or disabled.
func (s *Service) subject(ctx context.Context, id string) (*authz.Subject, error) {
	subject, err := s.subjects.Subject(ctx, id)
	switch {
	case errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrClientNotFound):
		return nil, nil
	case err != nil:
		return nil, unavailable("the token's subject could not be looked up; try again", 0, err)
	case subject == nil || subject.Disabled:
		return nil, nil
	}
	return subject, nil
}
