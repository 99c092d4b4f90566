package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// event is one with everything set; the higher n, the later.
func event(n int) account.Event {
	return account.Event{
		ID: fmt.Sprintf("01J0000000000000000000%04d", n), At: noon.Add(time.Duration(n) * time.Minute),
		Action: account.ClientChanged, Outcome: account.Success, Reason: "reason", ActorKind: account.ActorOperator, ActorID: "ops",
		ClientID: "client", AccountID: person(1).ID, TargetKind: "client", TargetID: "client", ClientIP: "192.0.2.1", RequestID: "request",
		Details: map[string]string{"changed": "name \"ü\""},
	}
}

// wantEvents wants the whole log, the latest first.
func wantEvents(t *testing.T, store Store, want ...account.Event) {
	t.Helper()
	got, err := store.Events(t.Context(), account.EventQuery{})
	must(t, err)
	if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("the log holds %v\nwant %v", got, want)
	}
}

func eventsAreListed(t *testing.T, open Open) {
	store := opened(t, open)
	third := event(3)
	third.Action, third.Outcome, third.AccountID, third.ClientID, third.Details = account.LoginFailed, account.Failure, "", "other", nil
	third.ActorKind = account.ActorAnonymous
	twin := event(2)
	twin.ID = "01J00000000000000000002222" // of the same moment
	must(t, store.InsertEvents(t.Context(), []account.Event{event(1), third, twin, event(2)}))
	must(t, store.InsertEvents(t.Context(), nil))
	all := []account.Event{third, twin, event(2), event(1)}
	wantEvents(t, store, all...)

	cases := []struct {
		name  string
		query account.EventQuery
		want  []account.Event
	}{
		{"since counts its moment", account.EventQuery{Since: event(2).At}, all[:3]},
		{"until does not", account.EventQuery{Until: event(2).At}, all[3:]},
		{"an action", account.EventQuery{Actions: []string{account.LoginFailed}}, all[:1]},
		{"one of several actions", account.EventQuery{Actions: []string{account.LoginFailed, account.ClientChanged}}, all},
		{"an account", account.EventQuery{AccountID: person(1).ID}, all[1:]},
		{"a client", account.EventQuery{ClientID: "other"}, all[:1]},
		{"a kind of actor", account.EventQuery{ActorKind: account.ActorOperator}, all[1:]},
		{"an actor", account.EventQuery{ActorID: event(1).ActorID}, all},
		{"an actor of a kind", account.EventQuery{ActorKind: account.ActorAnonymous, ActorID: event(1).ActorID}, all[:1]},
		{"another actor", account.EventQuery{ActorID: "nobody"}, nil},
		{"an outcome", account.EventQuery{Outcome: account.Success}, all[1:]},
		{"several conditions", account.EventQuery{Outcome: account.Success, Since: event(2).At, Actions: []string{account.ClientChanged}}, all[1:3]},
		{"a first page", account.EventQuery{Limit: 2}, all[:2]},
		{"the next page, within one moment", account.EventQuery{Before: twin.ID, Limit: 2}, all[2:]},
		{"after the last", account.EventQuery{Before: event(1).ID}, nil},
		{"an action that is SQL", account.EventQuery{Actions: []string{"x') OR ('1'='1"}}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := store.Events(t.Context(), tc.query)
			must(t, err)
			if len(got) != len(tc.want) || len(got) > 0 && !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %v\nwant %v", got, tc.want)
			}
		})
	}
}

func eventsArePurged(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertEvents(t.Context(), []account.Event{event(1), event(2), event(3)}))
	if purged, err := store.PurgeEvents(t.Context(), event(3).At); err != nil || purged != 2 {
		t.Errorf("purged %d, %v", purged, err)
	}
	wantEvents(t, store, event(3))
}

// eventsBelongToTheirChange has the second of two events fail, since its id is
// taken: then nothing may have changed.
func eventsBelongToTheirChange(t *testing.T, open Open) {
	bad := []account.Event{event(2), event(1)}
	revoke := &account.SessionRevocation{AccountID: person(1).ID, Reason: "reason", At: noon}
	cases := []struct {
		name   string
		change func(Store) error
	}{
		{"inserting accounts", func(s Store) error { return s.InsertAccounts(t.Context(), []account.Account{person(2)}, bad...) }},
		{"updating an account", func(s Store) error {
			_, err := s.UpdateAccount(t.Context(), person(1).ID, func(a *account.Account, effects *account.Effects) error {
				a.FullName, *effects = "changed", account.Effects{Events: bad, Revoke: revoke}
				return nil
			})
			return err
		}},
		{"removing an account", func(s Store) error {
			return s.RemoveAccount(t.Context(), person(1).ID, account.Effects{Events: bad, Revoke: revoke})
		}},
		{"counting a failure", func(s Store) error { return s.RecordFailure(t.Context(), []string{"mark"}, noon, noon, bad...) }},
		{"recording a success", func(s Store) error { return s.RecordSuccess(t.Context(), "other", "mark", noon, bad...) }},
		{"inserting a client", func(s Store) error { return s.InsertClient(t.Context(), program("b"), account.Effects{Events: bad}) }},
		{"updating a client", func(s Store) error {
			_, err := s.UpdateClient(t.Context(), "a", func(c *account.Client, effects *account.Effects) error {
				c.Name, *effects = "changed", account.Effects{Events: bad, Revoke: revoke}
				return nil
			})
			return err
		}},
		{"removing a client", func(s Store) error {
			return s.RemoveClient(t.Context(), "a", account.Effects{Events: bad, Revoke: revoke})
		}},
		{"beginning a session", func(s Store) error {
			return s.BeginSession(t.Context(), login(2), refresh(2, 1), agree, account.Effects{Events: bad})
		}},
		{"rotating", func(s Store) error { return rotate(t, s, 1, 1, 2, bad...) }},
		{"revoking sessions", func(s Store) error { _, err := s.RevokeSessions(t.Context(), *revoke, bad); return err }},
		{"revoking a token", func(s Store) error {
			return s.Revoke(t.Context(), account.Revocation{Kind: account.RevokedToken, ID: "jti", ExpiresAt: noon.Add(time.Hour)}, bad)
		}},
		{"events alone", func(s Store) error { return s.InsertEvents(t.Context(), bad) }},
	}
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}, event(1)))
	must(t, store.InsertClient(t.Context(), program("a"), account.Effects{}))
	must(t, store.BeginSession(t.Context(), login(1), refresh(1, 1), agree, account.Effects{}))
	before := everything(t, store)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.change(store); err == nil {
				t.Error("no error, though its event was not written")
			}
			if after := everything(t, store); !reflect.DeepEqual(after, before) {
				t.Errorf("something has changed:\n%v\nwas\n%v", after, before)
			}
		})
	}
}

// everything is what the changes above could change.
func everything(t *testing.T, store Store) []any {
	t.Helper()
	accounts, err := store.Accounts(t.Context())
	must(t, err)
	clients, err := store.Clients(t.Context())
	must(t, err)
	sessions, err := store.Sessions(t.Context(), account.SessionQuery{})
	must(t, err)
	token, _, err := store.RefreshToken(t.Context(), refresh(1, 1).Hash)
	must(t, err)
	revocations, err := store.Revocations(t.Context(), 0, time.Time{})
	must(t, err)
	events, err := store.Events(t.Context(), account.EventQuery{})
	must(t, err)
	return []any{accounts, clients, sessions, token, revocations, events, marks(t, store, "mark")}
}
