package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

const (
	defaultQueue = 256
	minFloor     = 300 * time.Millisecond
	maxFloor     = time.Second // at the default bcrypt cost
	// recordTimeout bounds the recording of a failure, which goes on when the
	// client has gone away.
	recordTimeout = 10 * time.Second
)

// AuthenticatorOptions configure an [Authenticator].
type AuthenticatorOptions struct {
	// DisableThrottle checks every login however many failed before.
	DisableThrottle bool
	// Concurrency is how many passwords are hashed at once. Default: GOMAXPROCS.
	Concurrency int
	// Queue is how many more logins may wait. Default 256; negative: none.
	Queue int
	// Floor is the time that every failed login takes, from the moment that its
	// turn came. Default: measured at the first login, one and a half times what
	// the slowest accepted hash takes here, at least 300 ms.
	Floor time.Duration
	// Wait returns at a time, or with the context's error. Default: a timer.
	Wait func(ctx context.Context, until time.Time) error
	// Logger gets a line for every failure, with the account's id but never with
	// what was typed. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is for what lives no longer than the process. Default crypto/rand.
	Rand io.Reader
}

// Authenticator checks logins. It is safe for concurrent use.
type Authenticator struct {
	store    AuthenticatorStore
	hasher   *Hasher
	throttle *throttle // nil when disabled
	slots    *slots
	logger   *slog.Logger
	now      func() time.Time
	wait     func(ctx context.Context, until time.Time) error
	floor    func() time.Duration
	stamp    stamp
	secrets  func() (*loginSecrets, error)
}

// loginSecrets are made at the first login.
type loginSecrets struct {
	// dummy is what the passwords of unknown accounts are checked against.
	dummy   string
	repeats *repeats
}

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(store AuthenticatorStore, hasher *Hasher, opts AuthenticatorOptions) *Authenticator {
	a := &Authenticator{store: store, hasher: hasher, logger: orDiscard(opts.Logger), now: orTimeNow(opts.Now), wait: opts.Wait}
	if a.wait == nil {
		a.wait = waitUntil
	}
	if !opts.DisableThrottle {
		a.throttle = &throttle{store: store, now: a.now}
	}
	concurrency, queue := opts.Concurrency, opts.Queue
	if concurrency <= 0 {
		concurrency = runtime.GOMAXPROCS(0)
	}
	if queue == 0 {
		queue = defaultQueue
	}
	a.stamp = newStamp(a.now, nil)
	a.slots = newSlots(concurrency, max(queue, 0))
	floor := opts.Floor
	a.floor = sync.OnceValue(func() time.Duration {
		if floor > 0 {
			return floor
		}
		return calibrate(hasher, stopwatch)
	})
	random := orCryptoRand(opts.Rand)
	a.secrets = sync.OnceValues(func() (*loginSecrets, error) {
		repeats, err := newRepeats(random, a.now)
		if err != nil {
			return nil, err
		}
		dummy, err := hasher.Hash("the password of nobody")
		return &loginSecrets{dummy, repeats}, err
	})
	return a
}

// calibrate chooses a floor above the slowest hash.
func calibrate(hasher *Hasher, stopwatch func(func()) time.Duration) time.Duration {
	// A machine that is busy at that moment must not slow refusals down for good.
	return min(maxFloor<<max(0, hasher.maxBcryptCost-defaultMaxBcryptCost), max(minFloor, hasher.slowest(stopwatch)*3/2))
}

func stopwatch(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

func waitUntil(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Authenticate checks a password. login is a username or an e-mail address; addr
// is where the login comes from.
//
// [ErrBadCredentials] is the answer to every failure, when its time has come. A
// login during a delay fails in the same way, unchecked and uncounted.
// [*BusyError] says that nothing was checked, since too many wait already. Any
// other error is the store's, or the context's.
func (a *Authenticator) Authenticate(ctx context.Context, login, password string, addr netip.Addr) (*Attempt, error) {
	if err := a.slots.acquire(ctx); err != nil {
		return nil, err
	}
	attempt, err := a.check(ctx, login, password, addr)
	if errors.Is(err, ErrBadCredentials) {
		// The slot is free again: waiting costs nobody anything.
		if waitErr := attempt.waitFloor(ctx); waitErr != nil {
			return nil, waitErr
		}
	}
	if err != nil {
		return nil, err
	}
	return attempt, nil
}

// check does everything that happens in a slot, and releases it. With
// ErrBadCredentials the attempt is there for its floor only.
func (a *Authenticator) check(ctx context.Context, login, password string, addr netip.Addr) (*Attempt, error) {
	defer a.slots.release()
	secrets, err := a.secrets()
	if err != nil {
		return nil, fmt.Errorf("preparing for logins: %w", err)
	}
	floor := a.floor()
	attempt := &Attempt{authenticator: a, until: a.now().Add(floor)}

	who, hash := "name:"+login, secrets.dummy
	identity, err := Canonical(login)
	if err == nil {
		who = "name:" + identity
		attempt.Account, err = a.store.AccountByIdentity(ctx, identity)
		switch {
		case err == nil:
			who, hash = "id:"+attempt.Account.ID, attempt.Account.PasswordHash
		case !errors.Is(err, ErrNotFound):
			return nil, fmt.Errorf("looking up a login: %w", err)
		}
	}
	attempt.keys = newLoginKeys(who, addr)
	attempt.guess = secrets.repeats.fingerprint(who, password, addr)

	if err := a.refuseDelayed(ctx, attempt); err != nil {
		return attempt, err
	}
	matches, err := a.hasher.Verify(hash, password)
	if err != nil {
		a.logger.Error("stored password hash can't be verified; set a new password", "account", attempt.Account.ID, "error", err)
		// Somebody who made the hash unusable should still cost what others cost.
		_, _ = a.hasher.Verify(secrets.dummy, password)
	}
	if !matches || attempt.Account.ID == "" {
		return attempt, a.recordFailure(ctx, attempt, "credentials")
	}
	// Guesses that ran beside this one may have started a delay meanwhile.
	if err := a.refuseDelayed(ctx, attempt); err != nil {
		return attempt, err
	}
	if a.hasher.NeedsRehash(hash) {
		// Here, since it needs the slot; Accept stores it.
		if attempt.rehash, err = a.hasher.Hash(password); err != nil {
			return nil, err
		}
	}
	return attempt, nil
}

// refuseDelayed is ErrBadCredentials while a delay runs.
func (a *Authenticator) refuseDelayed(ctx context.Context, attempt *Attempt) error {
	if a.throttle == nil {
		return nil
	}
	state, err := a.throttle.look(ctx, attempt.keys)
	if err != nil {
		return err
	}
	attempt.settled = state.settled
	if state.delayed {
		a.logger.Debug("login attempt failed", "account", attempt.Account.ID, "reason", "delayed")
		if a.throttle.tell(attempt.keys, state.since) {
			if err := a.recordUncounted(ctx, attempt, "delayed"); err != nil {
				a.throttle.untell(attempt.keys)
				return err
			}
		}
		return ErrBadCredentials
	}
	return nil
}

// recordFailure counts a failure, and returns ErrBadCredentials once that is
// stored. It does not stop when the client goes away: that would make guesses
// free.
func (a *Authenticator) recordFailure(ctx context.Context, attempt *Attempt, reason string) error {
	a.logger.Debug("login attempt failed", "account", attempt.Account.ID, "reason", reason)
	if a.throttle == nil {
		if err := a.recordUncounted(ctx, attempt, reason); err != nil {
			return err
		}
		return ErrBadCredentials
	}
	secrets, err := a.secrets()
	if err != nil {
		return err
	}
	if secrets.repeats.again(attempt.guess) {
		if err := a.recordUncounted(ctx, attempt, "repeated"); err != nil {
			return err
		}
		return ErrBadCredentials
	}
	events, err := a.failure(ctx, attempt, reason)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := a.throttle.failed(ctx, attempt.keys, events); err != nil {
		return err
	}
	return ErrBadCredentials
}

// failure is the event of a failed login. What was typed is not in it: people type
// their passwords where names belong.
func (a *Authenticator) failure(ctx context.Context, attempt *Attempt, reason string) ([]Event, error) {
	return a.stamp.events(ctx, []Event{{
		Action: LoginFailed, Outcome: Failure, Reason: reason, ActorKind: ActorAnonymous, AccountID: attempt.Account.ID,
	}})
}

// recordUncounted writes the event of a failure that the throttle does not count.
func (a *Authenticator) recordUncounted(ctx context.Context, attempt *Attempt, reason string) error {
	events, err := a.failure(ctx, attempt, reason)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return a.record(ctx, events)
}

func (a *Authenticator) record(ctx context.Context, events []Event) error {
	if err := a.store.InsertEvents(ctx, events); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}
