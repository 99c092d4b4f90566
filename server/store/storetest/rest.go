package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

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
	must(t, putKeys(t, store, key))
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
