package oauth

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/server/account"
)

// grantClientCredentials lets a confidential client act for itself (RFC 6749
// section 4.4).
const grantClientCredentials = "client_credentials"

// clientCredentialsGrant is about the client, which the pipeline has authenticated
// already. Its tokens belong to no login: sub is the client's id, and there is no
// refresh token (section 4.4.3).
type clientCredentialsGrant struct{ subjects Subjects }

func (clientCredentialsGrant) check(form) error { return nil }

func (g clientCredentialsGrant) authenticate(ctx context.Context, r *tokenRequest) (*login, error) {
	subject, err := g.subjects.Subject(ctx, r.by.ID)
	switch {
	case errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrClientNotFound), err == nil && subject == nil:
		// Removed since it authenticated.
		return nil, refusedClient(r.client)
	case err != nil:
		return nil, serverError("looking up a client", err)
	}
	return &login{
		subject: *subject,
		refused: func(cause error) *Error {
			e := refusedClient(r.client)
			e.Err = cause
			return e
		},
	}, nil
}
