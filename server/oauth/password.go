package oauth

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/server/account"
)

// grantPassword is the resource owner password credentials grant (RFC 6749
// section 4.3). RFC 9700 section 2.4 forbids it to new systems; it is here for
// first-party clients that have it. Data says whether it is open at all, and a
// client's registration whether it may use it.
const grantPassword = "password"

// amrPassword is the authentication method of a password (RFC 8176 section 2).
const amrPassword = "pwd"

// passwordGrant logs an account in by username (or e-mail) and password.
type passwordGrant struct{ authenticator Authenticator }

func (passwordGrant) check(f form) error {
	for _, name := range []string{"username", "password"} {
		if f.get(name) == "" {
			return invalidRequest(name + " is missing")
		}
	}
	return nil
}

func (g passwordGrant) authenticate(ctx context.Context, r *tokenRequest) (*login, error) {
	attempt, err := g.authenticator.Authenticate(ctx, r.form.get("username"), r.form.get("password"), r.clientIP)
	if err != nil {
		var busy *account.BusyError
		switch {
		case errors.Is(err, account.ErrBadCredentials):
			return nil, refusedLogin(err)
		case errors.As(err, &busy):
			return nil, unavailable("too many logins at once; try again", busy.RetryAfter, err)
		case ctx.Err() != nil:
			return nil, unavailable("the login was given up", 0, err)
		}
		return nil, serverError("checking a password", err)
	}
	return &login{
		subject: *attempt.Account.Subject(),
		amr:     []string{amrPassword},
		checked: &attempt.Account,
		accept:  attempt.Accept, reject: attempt.Reject, refused: refusedLogin,
	}, nil
}
