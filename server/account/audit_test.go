package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// TestEveryActionIsInTheLogWithItsActorAndNoSecret goes once through everything that
// this package changes.
func TestEveryActionIsInTheLogWithItsActorAndNoSecret(t *testing.T) {
	r := newRig(t)
	n := r.node()
	actor := account.Actor{Kind: account.ActorOperator, ID: "ops", ClientIP: "192.0.2.7", RequestID: "req"}
	ctx := account.WithActor(t.Context(), actor)
	secrets := []string{"first password", "second password", "third password", "wrong password", "secret typed as a name"}
	update := func(do func(*account.Account)) {
		t.Helper()
		_, err := n.directory.Update(ctx, "erin", change(do))
		r.must(err)
	}
	updateClient := func(do func(*account.Client)) {
		t.Helper()
		_, err := n.clients.Update(ctx, "service", func(c *account.Client) error { do(c); return nil })
		r.must(err)
	}

	erin, err := n.directory.Create(ctx, account.Account{Username: "erin", Email: "erin@example.com"}, "first password")
	r.must(err)
	secrets = append(secrets, erin.PasswordHash)
	update(func(a *account.Account) { a.FullName = "Erin" })
	r.must(n.directory.SetPassword(ctx, "erin", "second password"))
	_, secret, err := n.clients.Create(ctx, account.Client{ID: "service", Confidential: true, Grants: []string{"password", "refresh_token"}})
	r.must(err)
	updateClient(func(c *account.Client) { c.Name, c.Scopes = "Service", []string{"a"} })
	another, err := n.clients.RotateSecret(ctx, "service", time.Hour)
	r.must(err)
	service, err := n.clients.Find(ctx, "service")
	r.must(err)
	secrets = append(secrets, secret, another, service.Secrets[0].Hash, service.Secrets[1].Hash)

	attempt, err := r.authenticator.Authenticate(ctx, "erin", "second password", home)
	r.must(err)
	r.must(attempt.Accept(ctx))
	for _, login := range []string{"erin", "secret typed as a name"} {
		if _, err := r.authenticator.Authenticate(ctx, login, "wrong password", home); !errors.Is(err, account.ErrBadCredentials) {
			t.Error(err)
		}
	}
	var sessions []account.Session
	var tokens []string
	for range 3 {
		id, err := n.sessions.NewID()
		r.must(err)
		session, token, err := n.sessions.Begin(ctx, account.NewSession{
			ID: id, AccountID: erin.ID, ClientID: "service", Idle: idle, Absolute: absolute, WithRefresh: true,
			AccessExpiry: r.clock.Now().Add(access), Events: []account.Event{{Action: account.TokenIssued, AccountID: erin.ID}},
		})
		r.must(err)
		sessions, tokens = append(sessions, session), append(tokens, token)
	}
	next, err := n.refresh(ctx, tokens[0])
	r.must(err)
	secrets = append(append(secrets, tokens...), next)
	r.clock.advance(grace)
	if _, err := n.sessions.Present(ctx, tokens[0]); !errors.Is(err, account.ErrRefreshReused) {
		t.Error(err)
	}
	r.must(n.sessions.Revoke(ctx, sessions[1].ID, "test"))
	r.must(n.revocations.RevokeToken(ctx, "jti", r.clock.Now().Add(access), account.Event{Action: account.TokenRevoked, TargetKind: "token", TargetID: "jti"}))
	update(func(a *account.Account) { a.Disabled = true })
	update(func(a *account.Account) { a.Disabled = false })
	updateClient(func(c *account.Client) { c.Disabled, c.Scopes = true, []string{"b"} })
	updateClient(func(c *account.Client) { c.Disabled = false })
	r.must(n.clients.Remove(ctx, "service"))
	r.must(n.directory.Remove(ctx, "erin"))

	events, err := n.events.List(t.Context(), account.EventQuery{Limit: 1000})
	r.must(err)
	counts := map[string]int{}
	for _, e := range events {
		counts[e.Action]++
		// Logins have actors of their own.
		login := strings.HasPrefix(e.Action, "login.")
		if !login && (e.ActorKind != actor.Kind || e.ActorID != actor.ID) || e.ClientIP != actor.ClientIP || e.RequestID != actor.RequestID {
			t.Errorf("%s by %s %q from %q in request %q", e.Action, e.ActorKind, e.ActorID, e.ClientIP, e.RequestID)
		}
		if e.Action == account.LoginSucceeded && (e.ActorKind != account.ActorAccount || e.ActorID != erin.ID) || e.Action == account.LoginFailed && e.ActorKind != account.ActorAnonymous {
			t.Errorf("%s by %s %q", e.Action, e.ActorKind, e.ActorID)
		}
		if strings.HasPrefix(e.Action, "account.") && (e.TargetID != erin.ID || e.AccountID != erin.ID) || strings.HasPrefix(e.Action, "client.") && (e.TargetID != "service" || e.ClientID != "service") {
			t.Errorf("%s of %s %q", e.Action, e.TargetKind, e.TargetID)
		}
		text, err := json.Marshal(e)
		r.must(err)
		for _, secret := range secrets {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s tells a secret: %s", e.Action, text)
			}
		}
	}
	want := map[string]int{
		account.AccountCreated: 1, account.AccountChanged: 1, account.AccountPasswordChanged: 1, account.AccountDisabled: 1, account.AccountEnabled: 1, account.AccountRemoved: 1,
		account.ClientCreated: 1, account.ClientChanged: 2, account.ClientSecretRotated: 1, account.ClientDisabled: 1, account.ClientEnabled: 1, account.ClientRemoved: 1,
		account.LoginSucceeded: 1, account.LoginFailed: 2, account.TokenIssued: 3, account.TokenRefreshed: 1,
		account.TokenRefreshReused: 1, account.SessionRevoked: 1, account.TokenRevoked: 1,
	}
	for action, count := range want {
		if counts[action] != count {
			t.Errorf("%d of %s, want %d", counts[action], action, count)
		}
		delete(counts, action)
	}
	if len(counts) > 0 {
		t.Errorf("unexpected: %v", counts)
	}
}

func TestEventsNameWhatHasChanged(t *testing.T) {
	r := newRig(t)
	n := r.node()
	_, _, err := n.clients.Create(t.Context(), account.Client{ID: "service", Confidential: true})
	r.must(err)
	cases := []struct {
		name   string
		change func(*account.Client)
		want   []string
	}{
		{"nothing", func(*account.Client) {}, []string{"client.changed "}},
		{"lists, in place too", func(c *account.Client) { c.Scopes = append(c.Scopes, "a"); c.Roles = []string{"robot"} }, []string{"client.changed scopes roles"}},
		{"an item of a list", func(c *account.Client) { c.Scopes[0] = "b" }, []string{"client.changed scopes"}},
		{"disabled and more", func(c *account.Client) { c.Disabled, c.Name = true, "x" }, []string{"client.changed client_name", "client.disabled "}},
		{"enabled alone", func(c *account.Client) { c.Disabled = false }, []string{"client.enabled "}},
		{"a secret, which Update does not change", func(c *account.Client) { c.Secrets[0].Hash = "sha256$mine" }, []string{"client.changed "}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r.clock.advance(time.Second)
			_, err := n.clients.Update(t.Context(), "service", func(c *account.Client) error { tc.change(c); return nil })
			r.must(err)
			events, err := n.events.List(t.Context(), account.EventQuery{Since: r.clock.Now()})
			r.must(err)
			var got []string
			for _, e := range events {
				got = append(got, e.Action+" "+e.Details["changed"])
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if client, err := n.store.Client(t.Context(), "service"); err != nil || client.Secrets[0].Hash == "sha256$mine" {
		t.Errorf("Update has changed a secret (%v)", err)
	}
}

// forgetfulStore fails to write events, a number of times.
type forgetfulStore struct {
	account.AuthenticatorStore
	fails int
}

func (s *forgetfulStore) InsertEvents(ctx context.Context, events []account.Event) error {
	if s.fails > 0 {
		s.fails--
		return errStorage
	}
	return s.AuthenticatorStore.InsertEvents(ctx, events)
}

func TestADelayThatCouldNotBeRecordedIsRecordedLater(t *testing.T) {
	r := newRig(t)
	n := r.node()
	r.carol()
	store := &forgetfulStore{AuthenticatorStore: r.store}
	r.store = store
	r.authenticate()
	r.guess(6, "carol", home)
	store.fails = 1
	if err := r.login("carol", "another guess", home); !errors.Is(err, errStorage) {
		t.Errorf("got %v, want the store's error", err)
	}
	r.guess(3, "carol", home)
	events, err := n.events.List(t.Context(), account.EventQuery{Actions: []string{account.LoginFailed}})
	r.must(err)
	delayed := 0
	for _, e := range events {
		if e.Reason == "delayed" {
			delayed++
		}
	}
	if delayed != 1 {
		t.Errorf("the log tells of the delay %d times, want once", delayed)
	}
}
