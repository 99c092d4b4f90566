package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// profile is what GET /users/me says of the caller, as they are now.
type profile struct {
	// Kind and Issuer tell accounts, clients and the subjects of other issuers apart:
	// their ids may be the same. Issuer is empty for our own.
	Kind     string   `json:"kind"`
	Issuer   string   `json:"issuer,omitempty"`
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Email    string   `json:"email"`
	FullName string   `json:"full_name"`
	Roles    []string `json:"roles"`
	Disabled bool     `json:"disabled"`
	// Scopes are what the presented token was granted; what it opens depends on
	// the roles of now.
	Scopes []string `json:"scopes"`
}

var errNobody = &refusal{http.StatusUnauthorized, "this route needs to know who calls"}

func (a *API) me(c *call) error {
	caller := c.caller()
	if caller == nil {
		return errNobody
	}
	p := profile{
		Kind: string(caller.Kind), Issuer: caller.Issuer, ID: caller.ID, Username: caller.Username, Roles: append([]string{}, caller.Roles...),
		Disabled: caller.Disabled, Scopes: append([]string{}, strings.Fields(c.claim("scope"))...),
	}
	if caller.Kind == authz.KindAccount {
		found, err := a.o.Accounts.Find(c.ctx, caller.ID)
		if err != nil {
			return err
		}
		p.Email, p.FullName = found.Email, found.FullName
	}
	return answer(c, http.StatusOK, p)
}

// changeOwnPassword wants the old password, as a login does: a token that was left
// lying about is not enough to take an account over. The session that the token is
// of goes on; all others end.
func (a *API) changeOwnPassword(c *call) error {
	caller := c.caller()
	if caller == nil {
		return errNobody
	}
	if caller.Kind != authz.KindAccount {
		return fault(http.StatusForbidden, "only an account has a password here")
	}
	var form struct {
		Old string `json:"old_password"`
		New string `json:"new_password"`
	}
	if err := readBody(c, &form); err != nil {
		return err
	}
	if form.Old == "" {
		return fault(http.StatusBadRequest, `"old_password" is missing`)
	}
	if err := account.CheckPassword(form.New); err != nil {
		return fault(http.StatusBadRequest, `"new_password" %s`, errors.Unwrap(err))
	}
	attempt, err := a.o.Authenticator.Authenticate(c.ctx, caller.Username, form.Old, c.passage.ClientIP)
	if errors.Is(err, account.ErrBadCredentials) {
		return fault(http.StatusForbidden, "the old password is wrong, or it was wrong too often; wait a little and try again")
	}
	if err != nil {
		return err
	}
	if attempt.Account.ID != caller.ID {
		// The name is another's by now.
		return errors.Join(attempt.Reject(c.ctx), fault(http.StatusConflict, "the account has been renamed; try again"))
	}
	if err := attempt.Accept(c.ctx); err != nil {
		return err
	}
	if err := a.o.Accounts.SetPasswordKeeping(c.ctx, caller.ID, form.New, c.claim("sid")); err != nil {
		return err
	}
	return done(c)
}
