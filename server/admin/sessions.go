package admin

import (
	"net/http"

	"github.com/stagedoor/stagedoor/server/account"
)

const revokedByAdmin = "revoked by an administrator"

// listSessions lists those of an account that are live; there are as many as it has
// devices, so there are no pages.
func (a *API) listSessions(c *call) error {
	found, err := a.findAccount(c)
	if err != nil {
		return err
	}
	sessions, err := a.o.Sessions.List(c.ctx, found.ID)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, page[account.Session]{Items: append([]account.Session{}, sessions...)})
}

func (a *API) revokeSessions(c *call) error {
	found, err := a.findAccount(c)
	if err != nil {
		return err
	}
	revoked, err := a.o.Sessions.RevokeAccount(c.ctx, found.ID, "", revokedByAdmin)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, map[string]int{"revoked": revoked})
}

func (a *API) getSession(c *call) error {
	session, err := a.o.Sessions.Find(c.ctx, c.id())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, session)
}

func (a *API) revokeSession(c *call) error {
	if err := a.o.Sessions.Revoke(c.ctx, c.id(), revokedByAdmin); err != nil {
		return err
	}
	return done(c)
}
