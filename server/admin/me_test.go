package admin_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

func TestOwnPasswordKeepsItsSession(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	here, elsewhere := r.session(r.root.ID), r.session(r.root.ID)
	mine := r.token(r.root.ID, "items:read", here) // no scope of the administration is needed
	change := func(old, fresh string) *answer {
		return r.call(mine, "POST", "/users/me/password", fmt.Sprintf(`{"old_password":%q,"new_password":%q}`, old, fresh))
	}
	live := func() string {
		sessions, err := r.sessions.List(t.Context(), r.root.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids := ""
		for _, s := range sessions {
			ids += s.ID + " "
		}
		return ids
	}
	before := live()
	for _, tt := range []struct {
		name, old, fresh string
		status           int
	}{
		{"a wrong old one", "guessed", "new horse", 403},
		{"no old one", "", "new horse", 400},
		{"no new one", rootPassword, "", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := change(tt.old, tt.fresh).want(tt.status); a.detail() == "" || live() != before {
				t.Errorf("detail %q, sessions %s", a.detail(), live())
			}
		})
	}
	change(rootPassword, "new horse").want(204)
	if got := live(); got != here+" " {
		t.Errorf("the sessions %s are live; want %s, but not %s", got, here, elsewhere)
	}
	if revoked, err := r.revocations.Revoked(t.Context(), "", elsewhere); err != nil || !revoked {
		t.Errorf("the gate lets the other session pass: %v, %v", revoked, err)
	}
	change(rootPassword, "newer horse").want(403)
	change("new horse", "newer horse").want(204)
}

// TestOwnPasswordIsThrottled guesses until the right one is refused, too; another
// time, it is good.
func TestOwnPasswordIsThrottled(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	mine := r.token(r.root.ID, "", r.session(r.root.ID))
	change := func(old string) *answer {
		return r.call(mine, "POST", "/users/me/password", fmt.Sprintf(`{"old_password":%q,"new_password":%q}`, old, rootPassword))
	}
	for i := range 30 {
		change(fmt.Sprintf("guess %d", i)).want(403)
	}
	change(rootPassword).want(403)
	failures, err := r.events.List(t.Context(), account.EventQuery{Actions: []string{account.LoginFailed}, Limit: 500})
	if err != nil || !slices.ContainsFunc(failures, func(e account.Event) bool { return e.Reason == "delayed" }) {
		t.Errorf("the audit log has %v, %v", failures, err)
	}
	r.pass(48 * time.Hour)
	change(rootPassword).want(204)
}

func TestOwnAccountIsForAccounts(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	r.addClient(r.rooted(), "reports")
	service := r.token("reports", "users:read", "")
	r.call(service, "POST", "/users/me/password", `{"old_password":"x","new_password":"y"}`).want(403)
	var me struct {
		ID    string
		Roles []string
	}
	r.call(service, "GET", "/users/me", "").want(200).into(&me)
	if me.ID != "reports" || me.Roles == nil {
		t.Errorf("the service is %+v", me)
	}
	r.call("", "GET", "/users/me", "").want(401)
	r.call("", "POST", "/users/me/password", `{"old_password":"x","new_password":"y"}`).want(401)
}
