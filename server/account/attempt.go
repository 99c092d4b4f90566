package account

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Attempt is a login whose password is right. Exactly one of Accept and Reject
// is to be called, before the answer is sent.
type Attempt struct {
	// Account is who logs in, as stored when the password was checked.
	Account Account

	authenticator *Authenticator
	keys          loginKeys
	guess         guess
	until         time.Time // the floor
	rehash        string    // a new hash to store; "" when the old one will do
	settled       bool
	finished      atomic.Bool
}

var errFinished = errors.New("this login was accepted or rejected before")

// Accept forgets the failures that came before, remembers the address as one
// from which the account logs in, and replaces a hash of an old kind. An error
// is the store's: then no token should be issued.
func (t *Attempt) Accept(ctx context.Context) error {
	if t.finished.Swap(true) {
		return errFinished
	}
	a := t.authenticator
	events, err := a.stamp.events(ctx, []Event{{
		Action: LoginSucceeded, ActorKind: ActorAccount, ActorID: t.Account.ID, AccountID: t.Account.ID,
	}})
	if err != nil {
		return err
	}
	if a.throttle != nil && !t.settled {
		err = a.throttle.succeeded(ctx, t.keys, events)
	} else {
		err = a.record(ctx, events)
	}
	if err != nil {
		return err
	}
	if t.rehash == "" {
		return nil
	}
	_, err = a.store.UpdateAccount(ctx, t.Account.ID, func(stored *Account, _ *Effects) error {
		// A password set meanwhile wins.
		if stored.PasswordHash == t.Account.PasswordHash {
			stored.PasswordHash = t.rehash
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing a stronger password hash: %w", err)
	}
	a.logger.Info("password rehashed", "account", t.Account.ID)
	return nil
}

// Reject makes the login fail as a wrong password fails: it is counted, and
// Reject returns when the time has come. An error is the store's or the
// context's; the answer is then not to be that of a failed login.
func (t *Attempt) Reject(ctx context.Context) error {
	if t.finished.Swap(true) {
		return errFinished
	}
	if err := t.authenticator.recordFailure(ctx, t, "policy"); !errors.Is(err, ErrBadCredentials) {
		return err
	}
	return t.waitFloor(ctx)
}

func (t *Attempt) waitFloor(ctx context.Context) error {
	if err := t.authenticator.wait(ctx, t.until); err != nil {
		return fmt.Errorf("waiting to answer a failed login: %w", err)
	}
	return nil
}
