package account_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/store"
)

// floor is the floor of the rigs' authenticators.
const floor = 345 * time.Millisecond

var (
	home      = netip.MustParseAddr("192.0.2.1")
	elsewhere = netip.MustParseAddr("198.51.100.9")
)

// clock stands still until it is told otherwise.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a directory and an authenticator over a real store, with a clock that
// stands still and waits that are only written down.
type rig struct {
	t     *testing.T
	path  string
	clock *clock
	// store may be replaced before authenticator is first called.
	store         account.AuthenticatorStore
	hasher        *account.Hasher
	directory     *account.Directory
	authenticator *account.Authenticator

	ids     *rand.ChaCha8
	guesses int

	mu    sync.Mutex
	waits []time.Time
}

func cheapHasher() *account.Hasher {
	return account.NewHasher(account.HasherOptions{Memory: 8, Time: 1, MaxBcryptCost: 5})
}

func newRig(t *testing.T, change ...func(*account.AuthenticatorOptions)) *rig {
	// Ids are the same in every run, and so are the turns that addresses have.
	r := &rig{t: t, ids: rand.NewChaCha8([32]byte{1}), path: filepath.Join(t.TempDir(), "stagedoor.db"), clock: &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, hasher: cheapHasher()}
	r.open(change...)
	return r
}

// open opens the store, and makes what stands on it, as a new process would.
func (r *rig) open(change ...func(*account.AuthenticatorOptions)) {
	r.t.Helper()
	opened, err := store.Open(r.t.Context(), store.Options{Path: r.path})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.store = opened
	r.directory = account.New(opened, account.Options{Hasher: r.hasher, Now: r.clock.Now, Rand: r.ids})
	r.authenticate(change...)
}

// authenticate makes the authenticator, over r.store.
func (r *rig) authenticate(change ...func(*account.AuthenticatorOptions)) {
	opts := account.AuthenticatorOptions{
		Floor: floor,
		Now:   r.clock.Now,
		Wait: func(_ context.Context, until time.Time) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.waits = append(r.waits, until)
			return nil
		},
	}
	for _, change := range change {
		change(&opts)
	}
	r.authenticator = account.NewAuthenticator(r.store, r.hasher, opts)
}

// takeWaits returns the waits since the last call.
func (r *rig) takeWaits() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	waits := r.waits
	r.waits = nil
	return waits
}

func (r *rig) create(a account.Account, password string) account.Account {
	r.t.Helper()
	created, err := r.directory.Create(r.t.Context(), a, password)
	if err != nil {
		r.t.Fatal(err)
	}
	return created
}

func (r *rig) carol() account.Account {
	r.t.Helper()
	return r.create(account.Account{Username: "carol", Email: "Carol@Example.com", Roles: []string{"client"}}, "secretcarol")
}

// login logs in and accepts.
func (r *rig) login(login, password string, addr netip.Addr) error {
	attempt, err := r.authenticator.Authenticate(r.t.Context(), login, password, addr)
	if err != nil {
		return err
	}
	return attempt.Accept(r.t.Context())
}

func (r *rig) mustLogin(login, password string, addr netip.Addr) {
	r.t.Helper()
	if err := r.login(login, password, addr); err != nil {
		r.t.Errorf("logging in as %s: %v", login, err)
	}
}

func (r *rig) mustFail(login, password string, addr netip.Addr) {
	r.t.Helper()
	if err := r.login(login, password, addr); !errors.Is(err, account.ErrBadCredentials) {
		r.t.Errorf("logging in as %s: %v, want ErrBadCredentials", login, err)
	}
}

// guess fails n times, with another password each time.
func (r *rig) guess(n int, login string, addr netip.Addr) {
	r.t.Helper()
	for range n {
		r.guesses++
		r.mustFail(login, fmt.Sprint("guess number ", r.guesses), addr)
	}
}

// bcryptHash makes a cheap hash of another program's.
func bcryptHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}
