package account_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// changesOf are all that a node can be asked to change, once each.
func changesOf(n *node, carol account.Account, session account.Session, token string) map[string]func(context.Context) error {
	newClient := account.Client{ID: "new", Grants: []string{"password"}}
	return map[string]func(context.Context) error{
		"creating an account": func(ctx context.Context) error {
			_, err := n.directory.Create(ctx, account.Account{Username: "erin"}, "secreterin")
			return err
		},
		"ensuring accounts": func(ctx context.Context) error {
			_, err := n.directory.EnsureAccounts(ctx, []account.Account{{Username: "erin", PasswordHash: carol.PasswordHash}})
			return err
		},
		"changing an account": func(ctx context.Context) error {
			_, err := n.directory.Update(ctx, "carol", func(a *account.Account) error { a.FullName = "changed"; return nil })
			return err
		},
		"disabling an account": func(ctx context.Context) error {
			_, err := n.directory.Update(ctx, "carol", func(a *account.Account) error { a.Disabled = true; return nil })
			return err
		},
		"changing a password": func(ctx context.Context) error { return n.directory.SetPassword(ctx, "carol", "another password") },
		"removing an account": func(ctx context.Context) error { return n.directory.Remove(ctx, "carol") },
		"adding a client":     func(ctx context.Context) error { _, _, err := n.clients.Create(ctx, newClient); return err },
		"changing a client": func(ctx context.Context) error {
			_, err := n.clients.Update(ctx, "service", func(c *account.Client) error { c.Name = "changed"; return nil })
			return err
		},
		"disabling a client": func(ctx context.Context) error {
			_, err := n.clients.Update(ctx, "service", func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		},
		"rotating a secret": func(ctx context.Context) error {
			_, err := n.clients.RotateSecret(ctx, "service", time.Hour)
			return err
		},
		"removing a client": func(ctx context.Context) error { return n.clients.Remove(ctx, "service") },
		"beginning a session": func(ctx context.Context) error {
			id, err := n.sessions.NewID()
			if err != nil {
				return err
			}
			_, token, err := n.sessions.Begin(ctx, account.NewSession{ID: id, AccountID: carol.ID, Idle: idle, Absolute: absolute, WithRefresh: true, Events: []account.Event{{Action: account.TokenIssued}}})
			if err != nil && token != "" {
				return nil // a token was handed out: the test wants an error
			}
			return err
		},
		"refreshing": func(ctx context.Context) error {
			next, err := n.refresh(ctx, token)
			if err != nil && next != "" {
				return nil
			}
			return err
		},
		"revoking a session": func(ctx context.Context) error { return n.sessions.Revoke(ctx, session.ID, "test") },
		"revoking an account": func(ctx context.Context) error {
			_, err := n.sessions.RevokeAccount(ctx, carol.ID, "", "test")
			return err
		},
		"revoking a token": func(ctx context.Context) error {
			return n.revocations.RevokeToken(ctx, "jti", n.r.clock.Now().Add(access), account.Event{Action: account.TokenRevoked})
		},
		"an event alone": func(ctx context.Context) error {
			return n.events.Record(ctx, account.Event{Action: account.TokenIssued})
		},
	}
}

// failing makes a node with an account, a session of it and a client.
func failing(t *testing.T) (*rig, map[string]func(context.Context) error, *node, account.Session) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	_, _, err := n.clients.Create(t.Context(), account.Client{ID: "service", Confidential: true, Grants: []string{"password", "refresh_token"}})
	r.must(err)
	session, token := n.begin(carol.ID, func(s *account.NewSession) { s.ClientID = "service" })
	return r, changesOf(n, carol, session, token), n, session
}

func TestNothingChangesWithoutItsEvent(t *testing.T) {
	r, changes, n, session := failing(t)
	r.sql(`CREATE TRIGGER no_audit BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the audit log is full'); END`)
	before := fmt.Sprint(r.dump(t))
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			if err := change(t.Context()); err == nil {
				t.Error("it is a success, and no event tells of it")
			}
			if fmt.Sprint(r.dump(t)) != before {
				t.Error("it has changed something all the same")
			}
			n.revoked(false, "jti", session.ID, "in memory")
			if client, err := n.clients.Find(t.Context(), "service"); err != nil || client.Disabled || client.Name != "" {
				t.Errorf("in memory the client is %+v, %v", client, err)
			}
		})
	}
	// And the same changes go through when the log can be written; the reuse too.
	r.sql(`DROP TRIGGER no_audit`)
	for _, name := range []string{"refreshing", "revoking a session"} {
		if err := changes[name](t.Context()); err != nil {
			t.Errorf("%s, afterwards: %v", name, err)
		}
	}
}

func TestAFailedStoreIsAnError(t *testing.T) {
	r, changes, n, _ := failing(t)
	before := fmt.Sprint(r.dump(t))
	r.must(n.store.Close())
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			if err := change(t.Context()); err == nil {
				t.Error("no error, and the store is closed")
			}
		})
	}
	if fmt.Sprint(r.dump(t)) != before {
		t.Error("something has changed")
	}
}

func TestAReuseThatCanNotBeRecordedIsAnError(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	_, first := n.begin(carol.ID)
	n.mustRefresh(first)
	r.clock.advance(grace)
	r.sql(`CREATE TRIGGER no_audit BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the audit log is full'); END`)
	before := fmt.Sprint(r.dump(t))
	_, err := n.sessions.Present(t.Context(), first)
	for _, refusal := range []error{account.ErrRefreshReused, account.ErrRefreshInvalid, nil} {
		if err == refusal {
			t.Errorf("got %v, want the store's error", err)
		}
	}
	if fmt.Sprint(r.dump(t)) != before {
		t.Error("something has changed")
	}
}

func TestLoginsFailWithTheirEvents(t *testing.T) {
	r := newRig(t)
	r.carol()
	r.sql(`CREATE TRIGGER no_audit BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the audit log is full'); END`)
	before := fmt.Sprint(r.dump(t))
	for name, password := range map[string]string{"a login": "secretcarol", "a failure": "wrong"} {
		err := r.login("carol", password, home)
		if err == nil || err == account.ErrBadCredentials {
			t.Errorf("%s: %v, want the store's error", name, err)
		}
	}
	if fmt.Sprint(r.dump(t)) != before {
		t.Error("something has changed")
	}
}
