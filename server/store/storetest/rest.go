package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

func oneKeyPerAlgorithm(t *testing.T, open Open) {
	first, second := opened(t, open), opened(t, open)
	ids := make([]string, 8)
	var wait sync.WaitGroup
	for i := range ids {
		store := first
		if i%2 == 1 {
			store = second
		}
		wait.Go(func() {
			key, err := store.EnsureKey(t.Context(), token.Key{ID: string(rune('a' + i)), Algorithm: "EdDSA", Secret: []byte{byte(i)}, CreatedAt: noon})
			if err != nil {
				t.Error(err)
			}
			if len(key.Secret) != 1 || key.ID != string(rune('a'+key.Secret[0])) {
				t.Errorf("id and secret of %v do not belong together", key)
			}
			ids[i] = key.ID
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("several keys were handed out: %q", ids)
		}
	}
	if _, err := first.EnsureKey(t.Context(), token.Key{ID: "other", Algorithm: "ES256", Secret: []byte("x"), CreatedAt: noon}); err != nil {
		t.Fatal(err)
	}
	keys, err := second.Keys(t.Context())
	must(t, err)
	if len(keys) != 2 {
		t.Errorf("%d keys, want one for each algorithm", len(keys))
	}
}

func keysAreKeptWhole(t *testing.T, open Open) {
	store := opened(t, open)
	want := token.Key{ID: "kid", Algorithm: "RS256", Secret: []byte{0, 1, 255, 0}, CreatedAt: noon}
	got, err := store.EnsureKey(t.Context(), want)
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("EnsureKey gave another key: %v", got)
	}
	keys, err := store.Keys(t.Context())
	must(t, err)
	if len(keys) != 1 || !reflect.DeepEqual(keys[0], want) {
		t.Errorf("Keys gave %v", keys)
	}
}

func settingsAreKept(t *testing.T, open Open) {
	store := opened(t, open)
	if value, err := store.Setting(t.Context(), "issuer"); err != nil || value != "" {
		t.Errorf("unset: %q, %v", value, err)
	}
	for _, step := range []struct{ ensure, want string }{{"first", "first"}, {"second", "first"}} {
		if value, err := store.EnsureSetting(t.Context(), "issuer", step.ensure); err != nil || value != step.want {
			t.Errorf("ensuring %s: %q, %v", step.ensure, value, err)
		}
	}
	must(t, store.SetSetting(t.Context(), "issuer", "third"))
	must(t, store.SetSetting(t.Context(), "other", ""))
	if value, err := store.EnsureSetting(t.Context(), "other", "not empty"); err != nil || value != "" {
		t.Errorf("a setting that was set to nothing: %q, %v", value, err)
	}
	if value, err := store.Setting(t.Context(), "issuer"); err != nil || value != "third" {
		t.Errorf("set: %q, %v", value, err)
	}
}

func everythingSurvives(t *testing.T, open Open) {
	key := token.Key{ID: "kid", Algorithm: "EdDSA", Secret: []byte("secret"), CreatedAt: noon}
	store := open(t)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	must(t, store.RecordFailure(t.Context(), []string{"mark"}, noon, noon))
	must(t, store.SetSetting(t.Context(), "name", "value"))
	if _, err := store.EnsureKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	must(t, store.Close())

	store = opened(t, open)
	if got, err := store.AccountByIdentity(t.Context(), "person1"); err != nil || !reflect.DeepEqual(got, person(1)) {
		t.Errorf("account: %v, %v", got, err)
	}
	if got := marks(t, store, "mark")["mark"]; got != (account.LoginMark{Failures: 1, At: noon}) {
		t.Errorf("mark: %v", got)
	}
	if value, err := store.Setting(t.Context(), "name"); err != nil || value != "value" {
		t.Errorf("setting: %q, %v", value, err)
	}
	if keys, err := store.Keys(t.Context()); err != nil || len(keys) != 1 || !reflect.DeepEqual(keys[0], key) {
		t.Errorf("keys: %v, %v", keys, err)
	}
}

func changesAreNoticed(t *testing.T, open Open) {
	watching, other := opened(t, open), opened(t, open)
	changed := func(want bool, after string) {
		t.Helper()
		if got, err := watching.Changed(t.Context()); err != nil || got != want {
			t.Errorf("after %s: %v, %v, want %v", after, got, err, want)
		}
	}
	changed(false, "opening")
	must(t, other.InsertAccounts(t.Context(), []account.Account{person(1)}))
	changed(true, "another's change")
	changed(false, "nothing")
	must(t, watching.SetSetting(t.Context(), "a", "b"))
	changed(true, "our own change")
	if _, err := other.Account(t.Context(), person(1).ID); err != nil {
		t.Error(err)
	}
	changed(false, "another's reading")
}

func cancelledChangesNothing(t *testing.T, open Open) {
	store := opened(t, open)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.InsertAccounts(cancelled, []account.Account{person(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	if err := store.InsertAccounts(ctx, []account.Account{person(2)}); err != nil {
		t.Errorf("the store is of no use after a cancellation: %v", err)
	}
	cancel()
	// A cancellation in the middle takes everything back, too.
	ctx, cancel = context.WithCancel(t.Context())
	_, err := store.UpdateAccount(ctx, person(2).ID, func(a *account.Account, _ *account.Effects) error {
		a.FullName = "changed"
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if got, err := store.Account(t.Context(), person(2).ID); err != nil || got.FullName == "changed" {
		t.Errorf("afterwards %v, %v", got, err)
	}
}
