package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// person is an account with everything set.
func person(n int) account.Account {
	return account.Account{
		ID:       fmt.Sprintf("01J0000000000000000000%04d", n),
		Username: fmt.Sprintf("Person%d", n), Email: fmt.Sprintf("Person%d@Example.com", n), FullName: "Ömer O'Neill \"x\"",
		Roles: []string{"one", "two"}, Disabled: true,
		Attributes:   map[string]any{"big": json.Number("9007199254740993"), "list": []any{true, nil, "ü"}},
		PasswordHash: "$2b$12$not-a-real-hash", CreatedAt: noon, UpdatedAt: noon.Add(time.Microsecond),
	}
}

func accountsAreKeptWhole(t *testing.T, open Open) {
	store := opened(t, open)
	plain := account.Account{ID: "01J00000000000000000009999", Username: "plain", CreatedAt: noon, UpdatedAt: noon}
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1), plain}))

	got, err := store.Account(t.Context(), person(1).ID)
	must(t, err)
	if want := person(1); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	got, err = store.Account(t.Context(), plain.ID)
	must(t, err)
	if got.Email != "" || got.FullName != "" || len(got.Roles) != 0 || got.Disabled || len(got.Attributes) != 0 {
		t.Errorf("empty fields came back as %#v", got)
	}
	for _, a := range []account.Account{person(1), plain} {
		whole, err := store.Account(t.Context(), a.ID)
		must(t, err)
		subject, err := store.Subject(t.Context(), a.ID)
		must(t, err)
		if want := whole.Subject(); !reflect.DeepEqual(subject, want) {
			t.Errorf("got the subject  %#v\nwant %#v", subject, want)
		}
	}
	list, err := store.Accounts(t.Context())
	must(t, err)
	if len(list) != 2 || list[0].Username != "Person1" || list[1].Username != "plain" {
		t.Errorf("list is %v", list)
	}
	count, err := store.CountAccounts(t.Context())
	must(t, err)
	if count != 2 {
		t.Errorf("count is %d", count)
	}
}

func accountsAreFound(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1), person(2)}))
	for _, identity := range []string{"person2", "person2@example.com"} {
		got, err := store.AccountByIdentity(t.Context(), identity)
		if err != nil || got.ID != person(2).ID {
			t.Errorf("%s: %v, %v", identity, got, err)
		}
	}
	for _, unknown := range []string{"", "nobody", "person2' OR '1'='1", "%", "Person2"} {
		if _, err := store.AccountByIdentity(t.Context(), unknown); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("identity %q: %v, want ErrNotFound", unknown, err)
		}
		if _, err := store.Subject(t.Context(), unknown); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("subject of %q: %v", unknown, err)
		}
		if _, err := store.Account(t.Context(), unknown); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("id %q: %v, want ErrNotFound", unknown, err)
		}
	}
}

func conflictInsertsNothing(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	name, address, twin := person(2), person(3), person(4)
	name.Username = "PERSON1"
	address.Email = "person1@example.com"
	twin.ID, twin.Username, twin.Email = "01J00000000000000000005555", "person5", ""
	fifth := person(5)

	err := store.InsertAccounts(t.Context(), []account.Account{name, address, twin, fifth})
	var conflict *account.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a ConflictError", err)
	}
	want := []account.Conflict{
		{Index: 0, Identity: "person1", Holder: "Person1"},
		{Index: 1, Identity: "person1@example.com", Holder: "Person1"},
		{Index: 3, Identity: "person5", Holder: "person5"},
	}
	if !reflect.DeepEqual(conflict.Conflicts, want) {
		t.Errorf("conflicts are %+v, want %+v", conflict.Conflicts, want)
	}
	if count, err := store.CountAccounts(t.Context()); err != nil || count != 1 {
		t.Errorf("%d accounts afterwards (%v), want the 1 from before", count, err)
	}
	if _, err := store.AccountByIdentity(t.Context(), "person2@example.com"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a name of the refused batch is there: %v", err)
	}
}

func updateIsOneTransaction(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1), person(2)}))
	id := person(1).ID

	updated, err := store.UpdateAccount(t.Context(), id, func(a *account.Account, _ *account.Effects) error {
		a.Disabled, a.Roles, a.Attributes = false, []string{"three"}, nil
		return nil
	})
	must(t, err)
	got, err := store.Account(t.Context(), id)
	must(t, err)
	if got.Disabled || !reflect.DeepEqual(got.Roles, []string{"three"}) || len(got.Attributes) != 0 || updated.Disabled {
		t.Errorf("stored %#v", got)
	}

	refusal := errors.New("no")
	if _, err := store.UpdateAccount(t.Context(), id, func(a *account.Account, _ *account.Effects) error {
		a.Disabled = true
		return refusal
	}); !errors.Is(err, refusal) {
		t.Errorf("got %v, want change's error", err)
	}
	var conflict *account.ConflictError
	if _, err := store.UpdateAccount(t.Context(), id, func(a *account.Account, _ *account.Effects) error {
		a.Disabled, a.Email = true, "person2@EXAMPLE.com"
		return nil
	}); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a ConflictError", err)
	}
	if got, err := store.Account(t.Context(), id); err != nil || got.Disabled || got.Email != person(1).Email {
		t.Errorf("a refused change was stored: %#v, %v", got, err)
	}
	if _, err := store.AccountByIdentity(t.Context(), "person1@example.com"); err != nil {
		t.Errorf("a refused change took a name away: %v", err)
	}
	if _, err := store.UpdateAccount(t.Context(), "nobody", func(*account.Account, *account.Effects) error { return nil }); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func updateMovesNames(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	_, err := store.UpdateAccount(t.Context(), person(1).ID, func(a *account.Account, _ *account.Effects) error {
		a.Username, a.Email = "renamed", "PERSON1"
		return nil
	})
	must(t, err)
	for identity, want := range map[string]error{"renamed": nil, "person1": nil, "person1@example.com": account.ErrNotFound} {
		if _, err := store.AccountByIdentity(t.Context(), identity); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", identity, err, want)
		}
	}
}

func updatesAtOnceLoseNothing(t *testing.T, open Open) {
	first, second := opened(t, open), opened(t, open)
	a := person(1)
	a.Attributes = map[string]any{"n": json.Number("0")}
	must(t, first.InsertAccounts(t.Context(), []account.Account{a}))
	const writers, rounds = 8, 10
	var wait sync.WaitGroup
	for i := range writers {
		store := first
		if i%2 == 1 {
			store = second
		}
		wait.Go(func() {
			for range rounds {
				_, err := store.UpdateAccount(t.Context(), a.ID, func(a *account.Account, _ *account.Effects) error {
					n, err := a.Attributes["n"].(json.Number).Int64()
					a.Attributes["n"] = json.Number(fmt.Sprint(n + 1))
					return err
				})
				if err != nil {
					t.Errorf("update: %v", err)
				}
				if _, err := store.Account(t.Context(), a.ID); err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	wait.Wait()
	got, err := first.Account(t.Context(), a.ID)
	must(t, err)
	if want := json.Number(fmt.Sprint(writers * rounds)); got.Attributes["n"] != want {
		t.Errorf("counted to %v, want %v", got.Attributes["n"], want)
	}
}

func removalFreesNames(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	must(t, store.RemoveAccount(t.Context(), person(1).ID, account.Effects{}))
	if err := store.RemoveAccount(t.Context(), person(1).ID, account.Effects{}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("second removal: %v, want ErrNotFound", err)
	}
	if _, err := store.Account(t.Context(), person(1).ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	again := person(1)
	again.ID = "01J00000000000000000007777"
	must(t, store.InsertAccounts(t.Context(), []account.Account{again}))
}

func accountChangesAreCounted(t *testing.T, open Open) {
	store := opened(t, open)
	last, err := store.AccountChanges(t.Context())
	must(t, err)
	counted := func(what string, want bool) {
		t.Helper()
		count, err := store.AccountChanges(t.Context())
		must(t, err)
		if (count != last) != want {
			t.Errorf("%s: the count went from %d to %d", what, last, count)
		}
		last = count
	}
	change := func(f func(*account.Account)) {
		t.Helper()
		_, err := store.UpdateAccount(t.Context(), person(1).ID, func(a *account.Account, _ *account.Effects) error { f(a); return nil })
		must(t, err)
	}
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	counted("a new account", true)
	change(func(a *account.Account) { a.Disabled = false })
	counted("enabled", true)
	change(func(a *account.Account) { a.Roles = nil })
	counted("no role", true)
	change(func(a *account.Account) { a.Attributes = map[string]any{"x": true} })
	counted("another attribute", true)
	change(func(a *account.Account) { a.Username = "somebody" })
	counted("another name", true)
	change(func(a *account.Account) { a.PasswordHash = "$2b$12$another" })
	counted("another password", false)
	must(t, store.RecordFailure(t.Context(), []string{"a"}, noon, noon))
	counted("a failed login", false)
	must(t, store.RemoveAccount(t.Context(), person(1).ID, account.Effects{}))
	counted("removed", true)
}
