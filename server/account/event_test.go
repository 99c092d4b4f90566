package account_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// change makes an update of one thing.
func change(f func(*account.Account)) func(*account.Account) error {
	return func(a *account.Account) error { f(a); return nil }
}

func TestAccountChangesAndWhatTheyEnd(t *testing.T) {
	cases := []struct {
		name    string
		do      func(n *node, kept string) error
		actions []string
		ends    bool // the account's sessions, all but the one that is kept
		keeps   bool
	}{
		{"a new name", func(n *node, _ string) error {
			_, err := n.directory.Update(n.r.t.Context(), "carol", change(func(a *account.Account) { a.FullName = "Carol" }))
			return err
		}, []string{account.AccountChanged}, false, true},
		{"a lowered role", func(n *node, _ string) error {
			_, err := n.directory.Update(n.r.t.Context(), "carol", change(func(a *account.Account) { a.Roles = nil }))
			return err
		}, []string{account.AccountChanged}, false, true},
		{"disabled", func(n *node, _ string) error {
			_, err := n.directory.Update(n.r.t.Context(), "carol", change(func(a *account.Account) { a.Disabled = true }))
			return err
		}, []string{account.AccountDisabled}, false, true},
		{"a new password", func(n *node, _ string) error {
			return n.directory.SetPassword(n.r.t.Context(), "carol", "another password")
		}, []string{account.AccountPasswordChanged}, true, false},
		{"a new password of one's own", func(n *node, kept string) error {
			return n.directory.SetPasswordKeeping(n.r.t.Context(), "carol", "another password", kept)
		}, []string{account.AccountPasswordChanged}, true, true},
		{"disabled, with a new password, in one change", func(n *node, kept string) error {
			_, err := n.directory.Update(n.r.t.Context(), "carol", change(func(a *account.Account) {
				a.Disabled, a.PasswordHash = true, bcryptHash(n.r.t, "x")
			}))
			return err
		}, []string{account.AccountDisabled, account.AccountPasswordChanged}, true, false},
		{"removed", func(n *node, _ string) error { return n.directory.Remove(n.r.t.Context(), "carol") }, []string{account.AccountRemoved}, true, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n, other, carol := r.node(), r.node(), r.carol()
			kept, keptToken := n.begin(carol.ID)
			ended, endedToken := n.begin(carol.ID)
			from := r.clock.Now().Add(time.Second)
			r.clock.advance(time.Second)
			r.must(tc.do(n, kept.ID))
			r.must(other.revocations.Reload(t.Context()))
			for _, n := range []*node{n, other} {
				n.revoked(!tc.keeps, "", kept.ID, "the session that may be kept")
				n.revoked(tc.ends, "", ended.ID, "the other session")
			}
			for token, good := range map[string]bool{keptToken: tc.keeps, endedToken: !tc.ends} {
				if _, err := n.refresh(t.Context(), token); good != (err == nil) || !good && !errors.Is(err, account.ErrRefreshInvalid) {
					t.Errorf("refreshing: %v, want it to be good: %v", err, good)
				}
			}
			got := n.actions(account.EventQuery{Since: from, AccountID: carol.ID})
			got = slices.DeleteFunc(got, func(action string) bool { return action == account.TokenRefreshed })
			slices.Sort(got)
			if !slices.Equal(got, tc.actions) {
				t.Errorf("the log tells of %v, want %v", got, tc.actions)
			}
		})
	}
}

func TestARehashEndsNoSession(t *testing.T) {
	r := newRig(t)
	n := r.node()
	dora, err := r.directory.Create(t.Context(), account.Account{Username: "dora", PasswordHash: bcryptHash(t, "secretdora")}, "")
	r.must(err)
	session, _ := n.begin(dora.ID)
	r.mustLogin("dora", "secretdora", home)
	if stored, err := r.directory.Find(t.Context(), "dora"); err != nil || stored.PasswordHash == dora.PasswordHash {
		t.Fatalf("no rehash happened (%v)", err)
	}
	r.must(n.revocations.Reload(t.Context()))
	n.revoked(false, "", session.ID, "after a rehash of the same password")
}

func TestLoginsAreInTheLogAndNothingThatWasTyped(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	ctx := account.WithActor(t.Context(), account.Actor{Kind: account.ActorAnonymous, ClientID: "app", ClientIP: "192.0.2.1", RequestID: "req"})
	attempt, err := r.authenticator.Authenticate(ctx, "carol", "secretcarol", home)
	r.must(err)
	r.must(attempt.Accept(ctx))
	for _, login := range []string{"carol", "my-password-typed-as-a-name", "Carol@Example.com"} {
		if _, err := r.authenticator.Authenticate(ctx, login, "typed-password", home); !errors.Is(err, account.ErrBadCredentials) {
			t.Errorf("%s: %v", login, err)
		}
	}
	if attempt, err = r.authenticator.Authenticate(ctx, "carol", "secretcarol", home); err != nil {
		t.Fatal(err)
	}
	if err := attempt.Reject(ctx); err != nil {
		t.Error(err)
	}
	events, err := n.events.List(t.Context(), account.EventQuery{Actions: []string{account.LoginSucceeded, account.LoginFailed}})
	r.must(err)
	var got []string
	for _, e := range events {
		if e.ClientIP != "192.0.2.1" || e.RequestID != "req" || e.ClientID != "app" || !e.At.Equal(r.clock.Now()) {
			t.Errorf("the event does not say from where: %+v", e)
		}
		who := "nobody"
		if e.AccountID == carol.ID {
			who = "carol"
		}
		got = append(got, e.Action+" "+e.Outcome+" "+e.Reason+" "+who)
	}
	slices.Sort(got)
	want := []string{
		"login.failed failure credentials carol", "login.failed failure credentials nobody", "login.failed failure policy carol",
		"login.failed failure repeated carol", "login.succeeded success  carol",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	rows := r.dump(t)["events"]
	for _, typed := range []string{"my-password-typed-as-a-name", "typed-password", "secretcarol", "$argon2", "$2a$"} {
		if strings.Contains(rows, typed) {
			t.Errorf("the log holds %q", typed)
		}
	}
}

func TestADelayIsInTheLog(t *testing.T) {
	r := newRig(t)
	n := r.node()
	r.carol()
	r.guess(6, "carol", home)
	r.guess(50, "carol", home) // while the delay runs
	got := n.actions(account.EventQuery{Actions: []string{account.LoginFailed}})
	if len(got) != 7 {
		t.Errorf("%d events, want one for each failure that was counted, and one that guesses go on", len(got))
	}
}

func TestEventsAreStamped(t *testing.T) {
	r := newRig(t)
	n := r.node()
	r.must(n.events.Record(t.Context(), account.Event{Action: account.TokenIssued, Details: map[string]string{"a": "b"}}))
	ctx := account.WithActor(t.Context(), account.Actor{Kind: account.ActorClient, ID: "service", ClientID: "service"})
	r.clock.advance(time.Second)
	r.must(n.events.Record(ctx, account.Event{Action: account.TokenRevoked, Outcome: account.Failure, ClientID: "another"}))
	events, err := n.events.List(t.Context(), account.EventQuery{})
	r.must(err)
	if len(events) != 2 || events[0].ActorKind != account.ActorClient || events[0].ActorID != "service" || events[0].ClientID != "another" || events[0].Outcome != account.Failure ||
		events[1].ActorKind != account.ActorServer || events[1].Outcome != account.Success || events[1].Details["a"] != "b" {
		t.Errorf("%s", fmt.Sprintf("%+v", events))
	}
	r.clock.advance(time.Hour)
	if purged, err := n.events.Purge(t.Context(), time.Hour); err != nil || purged != 1 {
		t.Errorf("purged %d, %v", purged, err)
	}
}

func TestEventsOfOneMomentAreListedInOrder(t *testing.T) {
	r := newRig(t)
	n := r.node()
	actions := []string{account.ClientDisabled, account.ClientChanged, account.AccountChanged, account.KeyRotated}
	for range 10 { // the clock stands
		r.must(n.events.Record(t.Context(), account.Event{Action: actions[0]}, account.Event{Action: actions[1]}))
		r.must(n.events.Record(t.Context(), account.Event{Action: actions[2]}, account.Event{Action: actions[3]}))
	}
	got := n.actions(account.EventQuery{})
	slices.Reverse(got)
	if want := slices.Repeat(actions, 10); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestWhatIsRecordedSparingly(t *testing.T) {
	r := newRig(t)
	n := r.node()
	fail := func(client, from string) {
		t.Helper()
		ctx := account.WithActor(t.Context(), account.Actor{Kind: account.ActorAnonymous, ClientIP: from})
		r.must(n.events.RecordSparingly(ctx, account.Event{Action: account.ClientAuthFailed, ClientID: client}))
	}
	count := func(want int, why string) {
		t.Helper()
		if got := n.actions(account.EventQuery{Actions: []string{account.ClientAuthFailed}}); len(got) != want {
			t.Errorf("%s: %d events, want %d", why, len(got), want)
		}
	}
	for range 20 {
		fail("service", "192.0.2.1")
	}
	count(1, "again and again")
	fail("service", "192.0.2.2")
	count(2, "from another address")
	fail("other", "192.0.2.1")
	fail("", "192.0.2.1")
	count(4, "other clients")
	fail("service", "2001:db8::1")
	fail("service", "2001:db8::ffff")
	count(5, "from one IPv6 network")
	r.clock.advance(time.Minute)
	fail("service", "192.0.2.1")
	count(6, "a minute later")
	r.clock.advance(-time.Hour)
	fail("service", "192.0.2.1")
	count(7, "after the clock was set back")
}

func TestWhatCouldNotBeRecordedSparinglyIsRecordedLater(t *testing.T) {
	r := newRig(t)
	store := &forgetfulStore{AuthenticatorStore: r.store, fails: 1}
	events := account.NewEvents(store, account.EventOptions{Now: r.clock.Now})
	failed := account.Event{Action: account.ClientAuthFailed, ClientID: "service"}
	if err := events.RecordSparingly(t.Context(), failed); !errors.Is(err, errStorage) {
		t.Errorf("got %v, want the store's error", err)
	}
	r.must(events.RecordSparingly(t.Context(), failed))
	if got := r.node().actions(account.EventQuery{}); len(got) != 1 {
		t.Errorf("the log tells of %v", got)
	}
}
