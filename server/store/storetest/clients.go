package storetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// program is a client with everything set.
func program(id string) account.Client {
	return account.Client{
		ID: id, Name: "Reporting \"ü\"", Confidential: true, AuthMethod: account.AuthSecret,
		Secrets: []account.ClientSecret{{Hash: "sha256$one", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}, {Hash: "sha256$two", CreatedAt: noon}},
		JWKS:    json.RawMessage(`{"keys":[]}`),
		Grants:  []string{"client_credentials"}, Scopes: []string{"a:b", "c"}, Roles: []string{"one"}, Audiences: []string{"https://api.example.com"},
		RedirectURIs: []string{"https://app.example.com/cb?a=b&c"}, Disabled: true, CreatedAt: noon, UpdatedAt: noon.Add(time.Microsecond),
	}
}

func clientsAreKeptWhole(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertClient(t.Context(), program("b"), account.Effects{}))
	must(t, store.InsertClient(t.Context(), program("a"), account.Effects{}))
	got, err := store.Client(t.Context(), "b")
	must(t, err)
	if want := program("b"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	list, err := store.Clients(t.Context())
	must(t, err)
	if len(list) != 2 || list[0].ID != "a" || list[1].ID != "b" {
		t.Errorf("list is %v", list)
	}
	if _, err := store.Client(t.Context(), "A"); !errors.Is(err, account.ErrClientNotFound) {
		t.Errorf("another id: %v", err)
	}
	again := program("a")
	again.Name = "another"
	effects := account.Effects{Events: []account.Event{event(1)}}
	if err := store.InsertClient(t.Context(), again, effects); !errors.Is(err, account.ErrClientExists) {
		t.Errorf("inserting it again: %v", err)
	}
	if got, err := store.Client(t.Context(), "a"); err != nil || got.Name == "another" {
		t.Errorf("inserting it again has changed it: %v, %v", got, err)
	}
	wantEvents(t, store)
}

func clientsAreChanged(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertClient(t.Context(), program("a"), account.Effects{}))
	failure := errors.New("no")
	_, err := store.UpdateClient(t.Context(), "a", func(c *account.Client, effects *account.Effects) error {
		c.Name, effects.Events = "changed", []account.Event{event(1)}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want the error of change", err)
	}
	if got, err := store.Client(t.Context(), "a"); err != nil || got.Name == "changed" {
		t.Errorf("a change that failed was stored: %v, %v", got, err)
	}
	wantEvents(t, store)
	updated, err := store.UpdateClient(t.Context(), "a", func(c *account.Client, effects *account.Effects) error {
		c.Name, effects.Events = "changed", []account.Event{event(1)}
		return nil
	})
	if err != nil || updated.Name != "changed" {
		t.Errorf("%v, %v", updated, err)
	}
	wantEvents(t, store, event(1))
	must(t, store.RemoveClient(t.Context(), "a", account.Effects{Events: []account.Event{event(2)}}))
	wantEvents(t, store, event(2), event(1))
	for what, err := range map[string]error{
		"finding":  func() error { _, err := store.Client(t.Context(), "a"); return err }(),
		"removing": store.RemoveClient(t.Context(), "a", account.Effects{Events: []account.Event{event(3)}}),
		"changing": func() error {
			_, err := store.UpdateClient(t.Context(), "a", func(*account.Client, *account.Effects) error { return nil })
			return err
		}(),
	} {
		if !errors.Is(err, account.ErrClientNotFound) {
			t.Errorf("%s a removed client: %v", what, err)
		}
	}
	wantEvents(t, store, event(2), event(1))
}

func clientChangesAreCounted(t *testing.T, open Open) {
	store, other := opened(t, open), opened(t, open)
	last := int64(-1)
	changed := func(want bool, after string) {
		t.Helper()
		count, err := store.ClientChanges(t.Context())
		must(t, err)
		if (count != last) != want {
			t.Errorf("after %s: %d, before %d", after, count, last)
		}
		last = count
	}
	changed(true, "nothing")
	must(t, other.InsertClient(t.Context(), program("a"), account.Effects{}))
	changed(true, "an insertion")
	_, err := other.UpdateClient(t.Context(), "a", func(c *account.Client, _ *account.Effects) error {
		c.Secrets = nil
		return nil
	})
	must(t, err)
	changed(true, "a change of secrets")
	must(t, other.InsertAccounts(t.Context(), []account.Account{person(1)}))
	changed(false, "a new account")
	must(t, other.RemoveClient(t.Context(), "a", account.Effects{}))
	changed(true, "a removal")
}

func assertionsAreUsedOnce(t *testing.T, open Open) {
	first, second := opened(t, open), opened(t, open)
	expiry := noon.Add(time.Minute)
	var good, used atomic.Int64
	var wait sync.WaitGroup
	for i := range 20 {
		store := first
		if i%2 == 1 {
			store = second
		}
		wait.Go(func() {
			switch err := store.UseAssertion(t.Context(), "a", "jti", expiry, noon); {
			case err == nil:
				good.Add(1)
			case errors.Is(err, account.ErrAssertionUsed):
				used.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if good.Load() != 1 || used.Load() != 19 {
		t.Errorf("%d uses were good and %d refused, want 1 and 19", good.Load(), used.Load())
	}
	must(t, first.UseAssertion(t.Context(), "b", "jti", expiry, noon)) // another client's
	if err := first.UseAssertion(t.Context(), "a", "jti", expiry, expiry); !errors.Is(err, account.ErrAssertionUsed) {
		t.Errorf("at its expiry: %v", err)
	}
	must(t, first.UseAssertion(t.Context(), "a", "jti", expiry.Add(time.Hour), expiry.Add(time.Second)))
}
