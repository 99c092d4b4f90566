package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// Each test here holds a line of the list of attacks on logins.

func TestUnknownWrongDisabledAndLockedLookAlike(t *testing.T) {
	cases := []struct {
		name            string
		login, password string
		before          func(r *rig)
		reject          bool // the password is right; the policy refuses
	}{
		{name: "unknown user", login: "nobody", password: "secretcarol"},
		{name: "wrong password", login: "carol", password: "wrong"},
		{name: "disabled, right password", login: "carol", password: "secretcarol", reject: true, before: func(r *rig) {
			_, err := r.directory.Update(r.t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil })
			if err != nil {
				r.t.Error(err)
			}
		}},
		{name: "locked, right password", login: "carol", password: "secretcarol", before: func(r *rig) { r.guess(6, "carol", home) }},
		{name: "locked, wrong password", login: "carol", password: "wrong", before: func(r *rig) { r.guess(6, "carol", home) }},
		{name: "locked name that nobody has", login: "nobody", password: "wrong", before: func(r *rig) { r.guess(6, "nobody", home) }},
		{name: "empty password", login: "carol", password: ""},
		{name: "empty login", login: "", password: "secretcarol"},
		{name: "password of a megabyte", login: "carol", password: strings.Repeat("x", 1<<20)},
		{name: "login of a megabyte", login: strings.Repeat("x", 1<<20), password: "secretcarol"},
		{name: "login that is no name", login: "carol\x00", password: "secretcarol"},
		{name: "login that is not UTF-8", login: "\xff\xfe", password: "secretcarol"},
		{name: "login by id", login: "01J00000000000000000000000", password: "secretcarol"},
		{name: "stored hash that can't be verified", login: "broken", password: "secretcarol", before: func(r *rig) {
			_, err := r.store.UpdateAccount(r.t.Context(), r.create(account.Account{Username: "broken"}, "x").ID, func(a *account.Account, _ *account.Effects) error {
				a.PasswordHash = "$2b$31$" + strings.Repeat("x", 53)
				return nil
			})
			if err != nil {
				r.t.Error(err)
			}
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.carol()
			if tc.before != nil {
				tc.before(r)
			}
			r.takeWaits()
			attempt, err := r.authenticator.Authenticate(t.Context(), tc.login, tc.password, home)
			if tc.reject {
				if err != nil {
					t.Fatal(err)
				}
				if waits := r.takeWaits(); len(waits) != 0 {
					t.Errorf("waited before the policy was asked: %v", waits)
				}
				r.clock.advance(20 * time.Millisecond) // the policy thinks
				if err := attempt.Reject(t.Context()); err != nil {
					t.Errorf("Reject: %v", err)
				}
				r.clock.advance(-20 * time.Millisecond)
			} else if err != account.ErrBadCredentials || attempt != nil {
				t.Errorf("got %v, %v, want the plain ErrBadCredentials", attempt, err)
			}
			// All of them answer at the same time after their turn came.
			if waits := r.takeWaits(); len(waits) != 1 || !waits[0].Equal(r.clock.Now().Add(floor)) {
				t.Errorf("waited until %v, want once until %v", waits, r.clock.Now().Add(floor))
			}
		})
	}
}

func TestBcryptNeverSeesMoreThan72Bytes(t *testing.T) {
	long := strings.Repeat("a", 72)
	hasher := cheapHasher()
	cases := []struct {
		name, hashed, password string
		want                   bool
	}{
		{"the 72 bytes themselves", long, long, true},
		{"72 bytes and a tail", long, long + "x", false},
		{"72 bytes and a NUL", long, long + "\x00", false},
		{"the key's own repetition", "secret", "secret\x00secret", false},
		{"a NUL at the end", "secret", "secret\x00", false},
		{"the password", "secret", "secret", true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := hasher.Verify(bcryptHash(t, tc.hashed), tc.password)
			if err != nil || got != tc.want {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
	t.Run("argon2id sees every byte", func(t *testing.T) {
		hash, err := hasher.Hash(long + "x")
		if err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]bool{long + "x": true, long + "y": false, long: false} {
			if got, err := hasher.Verify(hash, password); err != nil || got != want {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		}
	})
}

// blockingStore holds every login in its slot until it is released, and counts
// how many are held.
type blockingStore struct {
	account.AuthenticatorStore
	release            chan struct{}
	entered            chan struct{}
	running, atOnceMax atomic.Int64
}

func (s *blockingStore) AccountByIdentity(ctx context.Context, identity string) (account.Account, error) {
	running := s.running.Add(1)
	defer s.running.Add(-1)
	for {
		most := s.atOnceMax.Load()
		if running <= most || s.atOnceMax.CompareAndSwap(most, running) {
			break
		}
	}
	if s.entered != nil {
		s.entered <- struct{}{}
	}
	<-s.release
	return s.AuthenticatorStore.AccountByIdentity(ctx, identity)
}

func Test500LoginsAtOnceAreBounded(t *testing.T) {
	const concurrency, queue, logins = 2, 256, 500
	r := newRig(t)
	r.carol()
	blocking := &blockingStore{AuthenticatorStore: r.store, release: make(chan struct{})}
	r.store = blocking
	r.authenticate(func(opts *account.AuthenticatorOptions) { opts.Concurrency, opts.Queue = concurrency, queue })

	results := make(chan error, logins)
	for range logins {
		go func() { results <- r.login("carol", "secretcarol", home) }()
	}
	// While those in the slots are held, exactly the excess is answered.
	for range logins - concurrency - queue {
		var busy *account.BusyError
		if err := <-results; !errors.As(err, &busy) || busy.RetryAfter <= 0 {
			t.Fatalf("got %v, want a BusyError that says when to come back", err)
		}
	}
	close(blocking.release)
	for range concurrency + queue {
		if err := <-results; err != nil {
			t.Errorf("a login that had waited its turn: %v", err)
		}
	}
	if most := blocking.atOnceMax.Load(); most > concurrency {
		t.Errorf("%d at once, want at most %d", most, concurrency)
	}
	if waits := r.takeWaits(); len(waits) != 0 {
		t.Errorf("good or busy logins waited: %d", len(waits))
	}
	r.mustLogin("carol", "secretcarol", home)
}

func TestLoginThatGivesUpLeavesTheQueue(t *testing.T) {
	r := newRig(t)
	r.carol()
	blocking := &blockingStore{AuthenticatorStore: r.store, release: make(chan struct{}), entered: make(chan struct{}, 10)}
	r.store = blocking
	r.authenticate(func(opts *account.AuthenticatorOptions) { opts.Concurrency, opts.Queue = 1, 1 })
	first := make(chan error, 1)
	go func() { first <- r.login("carol", "secretcarol", home) }()
	<-blocking.entered

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 { // more often than the queue is long
		if _, err := r.authenticator.Authenticate(ctx, "carol", "secretcarol", home); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}
	close(blocking.release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestLockoutCountsTheAccountHoweverItIsSpelt(t *testing.T) {
	cases := []struct {
		name      string
		spellings []string
	}{
		{"case", []string{"zoë", "ZOË", "Zoë"}},
		{"Unicode form", []string{"zoë", "zoe\u0308", "ZOE\u0308"}},
		{"width", []string{"zoë", "ｚｏë"}},
		{"e-mail or username", []string{"zoë", "zoe@example.com", "ZOE@EXAMPLE.COM"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.create(account.Account{Username: "Zoë", Email: "Zoe@example.com"}, "secretzoe")
			for i := range 6 {
				r.guess(1, tc.spellings[i%len(tc.spellings)], home)
			}
			for _, spelling := range tc.spellings {
				r.mustFail(spelling, "secretzoe", home)
			}
			r.clock.advance(time.Second)
			for _, spelling := range tc.spellings {
				r.mustLogin(spelling, "secretzoe", home)
			}
		})
	}
	t.Run("a name that nobody has", func(t *testing.T) {
		// Whoever takes the name later starts with a clean slate; until then the
		// spellings share a count, which only the address's delay can show.
		r := newRig(t)
		r.guess(3, "NOBODY", home)
		r.guess(3, "nobody", home)
		r.create(account.Account{Username: "nobody"}, "secretnobody")
		r.mustLogin("nobody", "secretnobody", home)
	})
}

func TestDelaysGrowAndEnd(t *testing.T) {
	r := newRig(t)
	r.carol()
	r.guess(5, "carol", home)
	r.mustLogin("carol", "secretcarol", home) // five are free, and forgotten
	r.guess(6, "carol", home)
	for _, delay := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900} {
		delay *= time.Second
		r.clock.advance(delay - time.Microsecond)
		r.mustFail("carol", "secretcarol", home)
		r.clock.advance(time.Microsecond)
		r.guess(1, "carol", home) // checked, and starts the next delay
	}
	r.clock.advance(15 * time.Minute)
	r.mustLogin("carol", "secretcarol", home)
	r.guess(5, "carol", home)
	r.mustLogin("carol", "secretcarol", home)

	t.Run("forgotten after a day", func(t *testing.T) {
		r.guess(5, "carol", home)
		r.clock.advance(24*time.Hour + time.Second)
		r.guess(5, "carol", home)
		r.mustLogin("carol", "secretcarol", home)
	})
}

func TestAttemptsDuringADelayDoNotProlongIt(t *testing.T) {
	r := newRig(t)
	r.carol()
	r.guess(6, "carol", home)
	for range 100 {
		r.guess(1, "carol", home)
		r.clock.advance(time.Millisecond)
	}
	r.clock.advance(900 * time.Millisecond)
	r.mustLogin("carol", "secretcarol", home)
}

func TestLockoutCanNotLockTheOwnerOutForEver(t *testing.T) {
	// A thousand addresses, each in another network, guess at carol.
	attack := func(r *rig) {
		for n := range 1000 {
			r.guess(1, "carol", netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 1}))
		}
	}
	t.Run("where the owner has logged in before", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		r.mustLogin("carol", "secretcarol", home)
		r.clock.advance(29 * 24 * time.Hour)
		attack(r)
		r.mustLogin("carol", "secretcarol", home)
		r.mustFail("carol", "secretcarol", elsewhere)
	})
	t.Run("where the owner has never been, a minute later", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		attack(r)
		r.mustFail("carol", "secretcarol", home)
		r.clock.advance(time.Minute)
		r.mustLogin("carol", "secretcarol", home)
	})
	t.Run("where the owner has never been, while the guessing goes on", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		attack(r)
		for tries := 1; ; tries++ {
			// Whenever the delay is over, somebody else comes first.
			r.guess(1, "carol", netip.AddrFrom4([4]byte{11, byte(tries >> 8), byte(tries), 1}))
			attempt, err := r.authenticator.Authenticate(t.Context(), "carol", "secretcarol", home)
			if err == nil {
				if err := attempt.Accept(t.Context()); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, account.ErrBadCredentials) || tries == 100 {
				t.Fatalf("try %d: %v", tries, err)
			}
			r.clock.advance(10 * time.Second)
		}
	})
	t.Run("at the guesser's own address, a quarter of an hour later", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		for range 50 {
			r.guess(1, "carol", home)
			r.clock.advance(15 * time.Minute)
		}
		r.mustLogin("carol", "secretcarol", home)
	})
	t.Run("behind one address with guesses at others", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		r.mustLogin("carol", "secretcarol", home)
		for n := range 30 {
			r.guess(1, fmt.Sprintf("user%d", n), home)
		}
		r.mustLogin("carol", "secretcarol", home)
	})
	t.Run("when the clock was set back", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		r.guess(6, "carol", home)
		r.clock.advance(-48 * time.Hour)
		r.mustLogin("carol", "secretcarol", home)
	})
}

func TestGuessesFromOneAddressAreSlowedDownOverAllAccounts(t *testing.T) {
	r := newRig(t)
	r.carol()
	for n := range 21 {
		r.guess(1, fmt.Sprintf("user%d", n), elsewhere)
	}
	r.mustFail("carol", "secretcarol", elsewhere)
	r.mustLogin("carol", "secretcarol", home)

	t.Run("an account of one's own buys no guesses", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		r.create(account.Account{Username: "mallory"}, "secretmallory")
		for n := range 21 {
			r.guess(1, fmt.Sprintf("user%d", n), elsewhere)
			r.clock.advance(time.Minute)
			r.mustLogin("mallory", "secretmallory", elsewhere)
			r.clock.advance(-time.Minute)
		}
		r.mustFail("carol", "secretcarol", elsewhere)
	})
	t.Run("an IPv6 network is one address", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		for n := range 6 {
			r.guess(1, "carol", netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", n+1)))
		}
		r.mustFail("carol", "secretcarol", netip.MustParseAddr("2001:db8::ffff"))
		r.mustLogin("carol", "secretcarol", netip.MustParseAddr("2001:db8:0:1::1"))
	})
	t.Run("IPv4 in IPv6 clothes is the same address", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		r.guess(3, "carol", home)
		r.guess(3, "carol", netip.MustParseAddr("::ffff:192.0.2.1"))
		r.mustFail("carol", "secretcarol", home)
	})
	t.Run("no address at all", func(t *testing.T) {
		r := newRig(t)
		r.carol()
		r.guess(6, "carol", netip.Addr{})
		r.mustFail("carol", "secretcarol", netip.Addr{})
	})
}

func TestGuessesAtOnceGetNoFreeRide(t *testing.T) {
	const concurrency = 4
	r := newRig(t, func(opts *account.AuthenticatorOptions) { opts.Concurrency = concurrency })
	carol := r.carol()
	counting := &countingStore{AuthenticatorStore: r.store}
	r.store = counting
	r.authenticate(func(opts *account.AuthenticatorOptions) { opts.Concurrency = concurrency })
	var wait sync.WaitGroup
	for n := range 100 {
		wait.Go(func() { r.mustFail("carol", fmt.Sprint("guess", n), home) })
	}
	wait.Wait()
	// Six start the delay, and as many as run at once may have begun before that.
	if checked := counting.failures.Load(); checked > 6+concurrency {
		t.Errorf("%d of 100 guesses at %s were checked, want at most %d", checked, carol.Username, 6+concurrency)
	}
}

type countingStore struct {
	account.AuthenticatorStore
	failures atomic.Int64
}

func (s *countingStore) RecordFailure(ctx context.Context, keys []string, at, forget time.Time, events ...account.Event) error {
	s.failures.Add(1)
	return s.AuthenticatorStore.RecordFailure(ctx, keys, at, forget, events...)
}

func TestThrottleSurvivesARestart(t *testing.T) {
	r := newRig(t)
	r.carol()
	r.mustLogin("carol", "secretcarol", home)
	r.guess(8, "carol", elsewhere)
	r.open()
	r.mustFail("carol", "secretcarol", elsewhere)
	r.mustLogin("carol", "secretcarol", home)
	r.clock.advance(4 * time.Second)
	r.mustLogin("carol", "secretcarol", elsewhere)
}
