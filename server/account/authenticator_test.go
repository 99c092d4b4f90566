package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func TestThrottleCanBeDisabled(t *testing.T) {
	r := newRig(t, func(opts *account.AuthenticatorOptions) { opts.DisableThrottle = true })
	r.carol()
	r.guess(50, "carol", home)
	r.mustLogin("carol", "secretcarol", home)
}

func TestGuessWhoseClientGoesAwayIsCounted(t *testing.T) {
	r := newRig(t, func(opts *account.AuthenticatorOptions) {
		opts.Wait = func(context.Context, time.Time) error { return context.Canceled }
	})
	r.carol()
	for n := range 6 {
		if err := r.login("carol", fmt.Sprint("guess", n), home); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want the context's error", err)
		}
	}
	r.authenticate()
	r.mustFail("carol", "secretcarol", home)
}

func TestRejectedAttemptCountsAsAFailure(t *testing.T) {
	r := newRig(t)
	r.carol()
	for range 11 { // every second one is the repeat of the one before
		attempt, err := r.authenticator.Authenticate(t.Context(), "carol", "secretcarol", home)
		if err != nil {
			t.Fatal(err)
		}
		if err := attempt.Reject(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := attempt.Accept(t.Context()); err == nil {
			t.Error("a rejected attempt was accepted")
		}
	}
	r.mustFail("carol", "secretcarol", home)
}

func TestClientThatSendsEveryFailureTwiceIsCountedOnce(t *testing.T) {
	r := newRig(t)
	r.carol()
	for n := range 5 {
		r.mustFail("carol", fmt.Sprint("guess", n), home)
		r.mustFail("carol", fmt.Sprint("guess", n), home)
	}
	r.mustLogin("carol", "secretcarol", home)
	t.Run("but one guess for ever is not free", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		for range 12 {
			r.mustFail("carol", "guess", home)
		}
		r.mustFail("carol", "secretcarol", home)
	})
}

func TestStorageFailureIsNoBadLoginAndNoGoodOne(t *testing.T) {
	broken := errors.New("disk on fire")
	cases := []struct {
		name     string
		store    func(account.AuthenticatorStore) account.AuthenticatorStore
		password string
	}{
		{"looking up", func(s account.AuthenticatorStore) account.AuthenticatorStore {
			return &brokenStore{s, broken, "lookup"}
		}, "secretcarol"},
		{"reading failures", func(s account.AuthenticatorStore) account.AuthenticatorStore { return &brokenStore{s, broken, "marks"} }, "secretcarol"},
		{"counting a failure", func(s account.AuthenticatorStore) account.AuthenticatorStore {
			return &brokenStore{s, broken, "failure"}
		}, "wrong"},
		{"recording a success", func(s account.AuthenticatorStore) account.AuthenticatorStore {
			return &brokenStore{s, broken, "success"}
		}, "secretcarol"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.carol()
			r.store = tc.store(r.store)
			r.authenticate()
			if err := r.login("carol", tc.password, home); !errors.Is(err, broken) || errors.Is(err, account.ErrBadCredentials) {
				t.Errorf("got %v, want the store's error", err)
			}
		})
	}
}

type brokenStore struct {
	account.AuthenticatorStore
	err  error
	what string
}

func (s *brokenStore) AccountByIdentity(ctx context.Context, identity string) (account.Account, error) {
	if s.what == "lookup" {
		return account.Account{}, s.err
	}
	return s.AuthenticatorStore.AccountByIdentity(ctx, identity)
}

func (s *brokenStore) LoginMarks(ctx context.Context, keys []string) (map[string]account.LoginMark, error) {
	if s.what == "marks" {
		return nil, s.err
	}
	return s.AuthenticatorStore.LoginMarks(ctx, keys)
}

func (s *brokenStore) RecordFailure(ctx context.Context, keys []string, at, forget time.Time, events ...account.Event) error {
	if s.what == "failure" {
		return s.err
	}
	return s.AuthenticatorStore.RecordFailure(ctx, keys, at, forget, events...)
}

func (s *brokenStore) RecordSuccess(ctx context.Context, clear, known string, at time.Time, events ...account.Event) error {
	if s.what == "success" {
		return s.err
	}
	return s.AuthenticatorStore.RecordSuccess(ctx, clear, known, at, events...)
}

func TestHashOfAnOldKindIsReplacedAtTheNextLogin(t *testing.T) {
	hashOf := func(r *rig) string {
		a, err := r.directory.Find(r.t.Context(), "dave")
		if err != nil {
			r.t.Fatal(err)
		}
		return a.PasswordHash
	}
	t.Run("accepted", func(t *testing.T) {
		r := newRig(t)
		created := r.create(account.Account{Username: "dave", PasswordHash: bcryptHash(t, "secretdave")}, "")
		r.clock.advance(time.Hour)
		r.mustLogin("dave", "secretdave", home)
		hash := hashOf(r)
		if !strings.HasPrefix(hash, "$argon2id$v=19$m=8,t=1,p=1$") {
			t.Errorf("the hash is now %.20s…", hash)
		}
		r.mustLogin("dave", "secretdave", home)
		if hashOf(r) != hash {
			t.Error("a good hash was replaced")
		}
		if a, err := r.directory.Find(t.Context(), "dave"); err != nil || !a.UpdatedAt.Equal(created.UpdatedAt) {
			t.Errorf("a rehash counts as an update: %v", err)
		}
	})
	t.Run("rejected or wrong", func(t *testing.T) {
		r := newRig(t)
		before := r.create(account.Account{Username: "dave", PasswordHash: bcryptHash(t, "secretdave")}, "").PasswordHash
		r.guess(1, "dave", home)
		attempt, err := r.authenticator.Authenticate(t.Context(), "dave", "secretdave", home)
		if err != nil {
			t.Fatal(err)
		}
		if err := attempt.Reject(t.Context()); err != nil {
			t.Fatal(err)
		}
		if hashOf(r) != before {
			t.Error("the hash was replaced")
		}
	})
	t.Run("a password set meanwhile wins", func(t *testing.T) {
		r := newRig(t)
		r.create(account.Account{Username: "dave", PasswordHash: bcryptHash(t, "secretdave")}, "")
		attempt, err := r.authenticator.Authenticate(t.Context(), "dave", "secretdave", home)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.directory.SetPassword(t.Context(), "dave", "another one"); err != nil {
			t.Fatal(err)
		}
		if err := attempt.Accept(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.mustLogin("dave", "another one", home)
		r.mustFail("dave", "secretdave", home)
	})
}
