package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// app adds a public client.
func (n *node) app() account.Client {
	n.r.t.Helper()
	created, _, err := n.clients.Create(n.r.t.Context(), account.Client{ID: "app", Grants: []string{"password", "refresh_token"}})
	n.r.must(err)
	return created
}

// newLogin is what the login of an account with the client app asks for.
func (n *node) newLogin(checked *account.Account) account.NewSession {
	n.r.t.Helper()
	id, err := n.sessions.NewID()
	n.r.must(err)
	return account.NewSession{
		ID: id, AccountID: checked.ID, ClientID: "app", Checked: checked, Idle: idle, Absolute: absolute,
		AccessExpiry: n.r.clock.Now().Add(access), WithRefresh: true, Events: []account.Event{{Action: account.TokenIssued}},
	}
}

// TestWhatHappensDuringALogin is about changes between the check of a password and
// the session: they have ended all sessions that they could see.
func TestWhatHappensDuringALogin(t *testing.T) {
	cases := []struct {
		name string
		do   func(n *node) error
		want error
	}{
		{"nothing", func(*node) error { return nil }, nil},
		{"the account is disabled", func(n *node) error {
			_, err := n.directory.Update(n.r.t.Context(), "dora", change(func(a *account.Account) { a.Disabled = true }))
			return err
		}, account.ErrLoginOvertaken},
		{"the account is removed", func(n *node) error { return n.directory.Remove(n.r.t.Context(), "dora") }, account.ErrNotFound},
		{"the password is changed", func(n *node) error { return n.directory.SetPassword(n.r.t.Context(), "dora", "another") }, account.ErrLoginOvertaken},
		{"the name is changed", func(n *node) error {
			_, err := n.directory.Update(n.r.t.Context(), "dora", change(func(a *account.Account) { a.FullName = "Dora" }))
			return err
		}, nil},
		{"another login rehashes the password", func(n *node) error {
			before, err := n.directory.Find(n.r.t.Context(), "dora")
			n.r.must(err)
			n.r.mustLogin("dora", "secretdora", home)
			if after, err := n.directory.Find(n.r.t.Context(), "dora"); err != nil || after.PasswordHash == before.PasswordHash {
				n.r.t.Fatalf("no rehash happened (%v)", err)
			}
			return nil
		}, nil},
		{"the client is disabled", func(n *node) error {
			_, err := n.clients.Update(n.r.t.Context(), "app", func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		}, account.ErrLoginOvertaken},
		{"the client is removed", func(n *node) error { return n.clients.Remove(n.r.t.Context(), "app") }, account.ErrLoginOvertaken},
		{"the client's secrets and scopes are changed", func(n *node) error {
			_, err := n.clients.Update(n.r.t.Context(), "app", func(c *account.Client) error { c.Scopes = []string{"a"}; return nil })
			return err
		}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n, other := r.node(), r.node()
			n.app()
			r.create(account.Account{Username: "dora", PasswordHash: bcryptHash(t, "secretdora")}, "")
			attempt, err := r.authenticator.Authenticate(t.Context(), "dora", "secretdora", home)
			r.must(err)
			r.clock.advance(time.Millisecond)
			r.must(tc.do(other))
			before := r.dump(t)
			_, token, err := n.sessions.Begin(t.Context(), n.newLogin(&attempt.Account))
			if !errors.Is(err, tc.want) || (token == "") != (tc.want != nil) {
				t.Fatalf("%q, %v, want %v", token, err, tc.want)
			}
			if after := r.dump(t); tc.want != nil && (after["sessions"] != before["sessions"] || after["events"] != before["events"]) {
				t.Error("a refused login left something behind")
			}
		})
	}
	t.Run("a client that was never there", func(t *testing.T) {
		r := newRig(t)
		n, carol := r.node(), r.carol()
		if _, _, err := n.sessions.Begin(t.Context(), n.newLogin(&carol)); !errors.Is(err, account.ErrLoginOvertaken) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a session without an id", func(t *testing.T) {
		r := newRig(t)
		n, carol := r.node(), r.carol()
		n.app()
		begun := n.newLogin(&carol)
		begun.ID = ""
		if _, _, err := n.sessions.Begin(t.Context(), begun); err == nil {
			t.Error("it was stored: it could not be told from a token that has no session")
		}
	})
}

// TestNoLoginSurvivesItsEnd races logins and refreshes with what ends them.
func TestNoLoginSurvivesItsEnd(t *testing.T) {
	cases := []struct {
		name string
		end  func(n *node) error
	}{
		{"removing the account", func(n *node) error { return n.directory.Remove(n.r.t.Context(), "carol") }},
		{"another password", func(n *node) error {
			n.r.clock.advance(time.Millisecond)
			return n.directory.SetPassword(n.r.t.Context(), "carol", "another")
		}},
		{"disabling the client", func(n *node) error {
			_, err := n.clients.Update(n.r.t.Context(), "app", func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		}},
		{"removing the client", func(n *node) error { return n.clients.Remove(n.r.t.Context(), "app") }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			nodes, carol := []*node{r.node(), r.node()}, r.carol()
			nodes[0].app()
			const logins = 6
			begun := make(chan struct{}, logins)
			ids := make(chan string, 1000)
			var wait sync.WaitGroup
			for i := range logins {
				n := nodes[i%2]
				wait.Go(func() {
					told := sync.OnceFunc(func() { begun <- struct{}{} })
					defer told()
					for {
						session, token, err := n.sessions.Begin(t.Context(), n.newLogin(&carol))
						for range 2 {
							if err != nil {
								break
							}
							token, err = n.refresh(t.Context(), token)
						}
						if session.ID != "" {
							ids <- session.ID
						}
						told()
						switch {
						case err == nil:
						case errors.Is(err, account.ErrLoginOvertaken), errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrRefreshInvalid):
							return
						default:
							t.Error(err)
							return
						}
					}
				})
			}
			for range logins {
				<-begun
			}
			r.must(tc.end(nodes[1]))
			wait.Wait()
			close(ids)
			r.must(nodes[0].revocations.Reload(t.Context()))
			for id := range ids {
				nodes[0].revoked(true, "", id, "afterwards")
				if session, err := nodes[0].sessions.Find(t.Context(), id); err != nil || session.RevokedAt.IsZero() {
					t.Errorf("the session %s goes on (%v)", id, err)
				}
			}
		})
	}
}

func TestAClientThatComesBackHasNoneOfItsSessions(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	for _, again := range []struct {
		name string
		do   func() error
	}{
		{"removed and added again", func() error {
			r.must(n.clients.Remove(t.Context(), "app"))
			_, _, err := n.clients.Create(t.Context(), account.Client{ID: "app", Grants: []string{"password", "refresh_token"}})
			return err
		}},
		{"disabled and enabled again", func() error {
			for _, disabled := range []bool{true, false} {
				_, err := n.clients.Update(t.Context(), "app", func(c *account.Client) error { c.Disabled = disabled; return nil })
				r.must(err)
			}
			return nil
		}},
	} {
		t.Run(again.name, func(t *testing.T) {
			if _, err := n.clients.Find(t.Context(), "app"); err != nil {
				n.app()
			}
			session, token := n.begin(carol.ID, func(s *account.NewSession) { s.ClientID = "app" })
			presented, err := n.sessions.Present(t.Context(), token)
			r.must(err)
			r.must(again.do())
			if live, err := n.clients.Live(t.Context(), "app", farFuture); err != nil || !live {
				t.Fatalf("it is not back: %v, %v", live, err)
			}
			if next, err := presented.Rotate(t.Context(), n.rotation()); !errors.Is(err, account.ErrRefreshInvalid) || next != "" {
				t.Errorf("a refresh that was under way: %v", err)
			}
			if _, err := n.sessions.Present(t.Context(), token); !errors.Is(err, account.ErrRefreshInvalid) {
				t.Errorf("its refresh token: %v", err)
			}
			n.revoked(true, "", session.ID, "its access tokens")
			fresh, _ := n.begin(carol.ID, func(s *account.NewSession) { s.ClientID = "app" })
			n.revoked(false, "", fresh.ID, "a new login")
		})
	}
}

// leavingStore has the client go away once its token was found.
type leavingStore struct {
	account.SessionStore
	leave context.CancelFunc
}

func (s *leavingStore) RefreshToken(ctx context.Context, hash []byte) (account.RefreshToken, account.Session, error) {
	defer s.leave()
	return s.SessionStore.RefreshToken(ctx, hash)
}

func TestAReuseIsPunishedThoughItsClientGoesAway(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, first := n.begin(carol.ID)
	n.mustRefresh(first)
	r.clock.advance(grace)
	ctx, cancel := context.WithCancel(t.Context())
	sessions := account.NewSessions(&leavingStore{n.store, cancel}, account.SessionOptions{Revocations: n.revocations, Now: r.clock.Now})
	if _, err := sessions.Present(ctx, first); !errors.Is(err, account.ErrRefreshReused) {
		t.Errorf("got %v", err)
	}
	n.revoked(true, "", session.ID, "at once")
	if got := n.actions(account.EventQuery{Actions: []string{account.TokenRefreshReused}}); len(got) != 1 {
		t.Errorf("the log tells of %v", got)
	}
}

func TestAClockThatIsSetBackDoesNotLengthenTheGrace(t *testing.T) {
	for _, tc := range []struct {
		name string
		back time.Duration
		want error
	}{
		{"as another node's may differ", 30 * time.Second, nil},
		{"an hour", time.Hour, account.ErrRefreshReused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n, carol := r.node(), r.carol()
			_, first := n.begin(carol.ID)
			r.clock.advance(2 * time.Hour)
			n.mustRefresh(first)
			r.clock.advance(-tc.back)
			if _, err := n.sessions.Present(t.Context(), first); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestWithoutAGraceNoSuccessorIsKept(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(func(o *account.SessionOptions) { o.Grace = -1 }), r.carol()
	_, first := n.begin(carol.ID)
	n.mustRefresh(first)
	// Not by lines: a hash is bytes of any kind.
	if rows := r.dump(t)["refresh_tokens"]; strings.Count(rows, "successor= ") != 2 {
		t.Errorf("a successor is kept, or there are not two tokens: %q", rows)
	}
}
