package oauth

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/server/account"
)

// grantRefreshToken goes on with a login (RFC 6749 section 6).
const grantRefreshToken = "refresh_token"

// refreshGrant is about whoever has logged in then, as they are now. Presenting a
// refresh token changes nothing yet, except that one used long ago revokes its
// family (RFC 9700 section 4.14.2); the successor is made once the policy has agreed
// and the access token is signed, so a refused refresh uses nothing up.
type refreshGrant struct {
	sessions Sessions
	subjects Subjects
}

func (refreshGrant) check(f form) error {
	if f.get("refresh_token") == "" {
		return invalidRequest("refresh_token is missing")
	}
	return nil
}

func (g refreshGrant) authenticate(ctx context.Context, r *tokenRequest) (*login, error) {
	presented, err := g.sessions.Present(ctx, r.form.get("refresh_token"))
	switch {
	case errors.Is(err, account.ErrRefreshInvalid), errors.Is(err, account.ErrRefreshReused):
		return nil, refusedRefresh(err)
	case err != nil:
		return nil, unavailable("the refresh token could not be looked up; try again", 0, err)
	case presented.Session.ClientID != r.by.ID:
		return nil, refusedRefresh(errors.New("the refresh token is another client's"))
	}
	session := presented.Session
	subject, err := g.subjects.Subject(ctx, session.AccountID)
	switch {
	case errors.Is(err, account.ErrNotFound), err == nil && subject == nil:
		return nil, refusedRefresh(errors.New("the account is gone"))
	case err != nil:
		return nil, unavailable("the account could not be looked up; try again", 0, err)
	}
	return &login{
		subject: *subject, amr: session.AMR, refused: refusedRefresh,
		refreshed: &refreshed{session: session, rotate: presented.Rotate},
	}, nil
}

// refusedRefresh is the one answer to a refresh token that is unknown, expired,
// revoked, used before, or another client's, and to an account that may not log in
// now.
func refusedRefresh(cause error) *Error {
	return &Error{Code: codeInvalidGrant, Description: "the refresh token is unknown, expired, revoked, or another client's, or the account can't log in now", Err: cause}
}
