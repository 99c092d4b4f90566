package account_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// lookupStore counts look-ups by id, and can do something within one.
type lookupStore struct {
	account.AuthenticatorStore
	mu      sync.Mutex
	lookups int
	during  func()
}

func (s *lookupStore) Subject(ctx context.Context, id string) (*authz.Subject, error) {
	subject, err := s.AuthenticatorStore.Subject(ctx, id)
	s.mu.Lock()
	s.lookups++
	during := s.during
	s.during = nil
	s.mu.Unlock()
	if during != nil {
		during()
	}
	return subject, err
}

func subjectRig(t *testing.T, opts account.Options) (*rig, *lookupStore, *account.Directory, account.Account) {
	r := newRig(t)
	counting := &lookupStore{AuthenticatorStore: r.store}
	opts.Hasher = r.hasher
	return r, counting, account.New(counting, opts), r.create(account.Account{Username: "carol", Roles: []string{"client"}}, "secretcarol")
}

func TestAWarmSubjectAsksNothingOfTheStore(t *testing.T) {
	prepared := 0
	_, store, directory, carol := subjectRig(t, account.Options{Prepare: func(s *authz.Subject) any { prepared++; return s.Username }})
	for range 10 {
		s, err := directory.Subject(t.Context(), carol.ID)
		if err != nil || s.Username != "carol" || s.Prepared != "carol" {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if store.lookups != 1 || prepared != 1 {
		t.Errorf("%d look-ups, prepared %d times; want one of each", store.lookups, prepared)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = directory.Subject(t.Context(), carol.ID) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if stats := directory.CacheStats(); stats.Entries != 1 || stats.Hits < 9 {
		t.Errorf("%+v", stats)
	}
}

func TestAChangeIsSeenByTheNextLookUp(t *testing.T) {
	_, _, directory, carol := subjectRig(t, account.Options{})
	look := func() (*authz.Subject, error) { return directory.Subject(t.Context(), carol.ID) }
	if s, err := look(); err != nil || s.Disabled {
		t.Fatal(s, err)
	}
	change := func(f func(*account.Account)) {
		t.Helper()
		if _, err := directory.Update(t.Context(), "carol", func(a *account.Account) error { f(a); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	change(func(a *account.Account) { a.Disabled = true })
	if s, err := look(); err != nil || !s.Disabled {
		t.Errorf("disabled: %+v, %v", s, err)
	}
	change(func(a *account.Account) { a.Roles = []string{"admin"} })
	if s, err := look(); err != nil || s.Roles[0] != "admin" {
		t.Errorf("another role: %+v, %v", s, err)
	}
	if err := directory.Remove(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	if s, err := look(); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("removed: %+v, %v", s, err)
	}
}

func TestAnotherProcessIsSeenAfterForget(t *testing.T) {
	r, _, directory, carol := subjectRig(t, account.Options{})
	if _, err := directory.Subject(t.Context(), carol.ID); err != nil {
		t.Fatal(err)
	}
	_, err := r.directory.Update(t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	directory.Forget()
	if s, err := directory.Subject(t.Context(), carol.ID); err != nil || !s.Disabled {
		t.Errorf("%+v, %v", s, err)
	}
}

// What was read before a change must not be kept after it.
func TestALookUpThatAChangeOvertakesKeepsNothing(t *testing.T) {
	_, store, directory, carol := subjectRig(t, account.Options{})
	store.during = func() { // the account has been read, the answer not yet been kept
		_, err := directory.Update(t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil })
		if err != nil {
			t.Error(err)
		}
	}
	if s, err := directory.Subject(t.Context(), carol.ID); err != nil || s.Disabled {
		t.Fatalf("the overtaken look-up: %+v, %v", s, err)
	}
	if s, err := directory.Subject(t.Context(), carol.ID); err != nil || !s.Disabled {
		t.Errorf("the one after it: %+v, %v", s, err)
	}
}

func TestLookUpsAndChangesAtOnce(t *testing.T) {
	_, _, directory, carol := subjectRig(t, account.Options{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				if _, err := directory.Subject(t.Context(), carol.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		disabled := i%2 == 0
		_, err := directory.Update(t.Context(), "carol", func(a *account.Account) error { a.Disabled = disabled; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if s, err := directory.Subject(t.Context(), carol.ID); err != nil || s.Disabled != disabled {
			t.Fatalf("change %d is not seen: %+v, %v", i, s, err)
		}
	}
	group.Wait()
}

func TestSubjectCacheOff(t *testing.T) {
	_, store, directory, carol := subjectRig(t, account.Options{CacheBytes: -1})
	for range 3 {
		if _, err := directory.Subject(t.Context(), carol.ID); err != nil {
			t.Fatal(err)
		}
	}
	if store.lookups != 3 {
		t.Errorf("%d look-ups, want 3", store.lookups)
	}
}

func BenchmarkSubject(b *testing.B) {
	directory := account.New(onlyCarol{}, account.Options{})
	for b.Loop() {
		if _, err := directory.Subject(b.Context(), "01J00000000000000000000000"); err != nil {
			b.Fatal(err)
		}
	}
}

type onlyCarol struct{ account.Store }

func (onlyCarol) Subject(_ context.Context, id string) (*authz.Subject, error) {
	return &authz.Subject{Kind: authz.KindAccount, ID: id, Username: "carol", Roles: []string{"client"}}, nil
}
