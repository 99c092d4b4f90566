package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// Options configure a [Directory].
type Options struct {
	// Hasher makes and checks password hashes. Default: NewHasher with
	// MaxBcryptCost.
	Hasher *Hasher
	// MaxBcryptCost is the default Hasher's; see [HasherOptions].
	MaxBcryptCost int
	// Logger gets a line for every change. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is where ids come from. Default crypto/rand.
	Rand io.Reader
	// CacheBytes bounds the memory, in bytes, that [Directory.Subject] answers
	// from. 0 is 16 MiB; with a negative value every call asks the store.
	CacheBytes int64
	// Prepare makes the policy engine's own form of a subject that is kept; what it
	// returns becomes [authz.Subject].Prepared. Default: none.
	Prepare func(*authz.Subject) any
	// Revocations is told of the sessions that end with a change. Default: nobody.
	Revocations *Revocations
}

// Directory administers accounts. It is safe for concurrent use, also by several
// processes on one store.
//
// Where a method takes a ref, it is an account's id, username or e-mail address.
// Errors: [ErrNotFound], [*InvalidError] (several are joined), [*ConflictError];
// any other is the store's.
type Directory struct {
	store  Store
	hasher *Hasher
	logger *slog.Logger

	prepare     func(*authz.Subject) any
	subjects    subjects
	revocations *Revocations
	stamps      stamp
}

// New makes a Directory over a store.
func New(store Store, opts Options) *Directory {
	d := &Directory{store: store, hasher: opts.Hasher, logger: orDiscard(opts.Logger), prepare: opts.Prepare,
		revocations: opts.Revocations, stamps: newStamp(opts.Now, opts.Rand)}
	d.subjects.cache = cache.New[*remembered](cmp.Or(opts.CacheBytes, DefaultCacheBytes))
	if d.hasher == nil {
		d.hasher = NewHasher(HasherOptions{MaxBcryptCost: opts.MaxBcryptCost})
	}
	return d
}

// Hasher is the one that the directory uses, for an [Authenticator] beside it.
func (d *Directory) Hasher() *Hasher { return d.hasher }

// Create adds an account and returns it as stored. Its ID and times are made
// here. Exactly one of password and a.PasswordHash must be given.
func (d *Directory) Create(ctx context.Context, a Account, password string) (Account, error) {
	err := a.normalize()
	switch {
	case password != "" && a.PasswordHash != "":
		err = errors.Join(err, invalid("password", "and a hash of one were both given; give one"))
	case a.PasswordHash != "":
		err = errors.Join(err, d.checkHash(a.PasswordHash))
	default:
		err = errors.Join(err, CheckPassword(password))
	}
	if err != nil {
		return Account{}, err
	}
	if password != "" {
		if a.PasswordHash, err = d.hasher.Hash(password); err != nil {
			return Account{}, err
		}
	}
	if err := d.stamp(&a); err != nil {
		return Account{}, err
	}
	events, err := d.stamps.events(ctx, createdEvents([]Account{a}))
	if err != nil {
		return Account{}, err
	}
	if err := d.store.InsertAccounts(ctx, []Account{a}, events...); err != nil {
		return Account{}, fmt.Errorf("adding %s: %w", a.Username, err)
	}
	d.logger.Info("account created", "account", a.ID)
	return a, nil
}

// EnsureAccounts adds those accounts whose usernames are missing, in one
// transaction, and returns the usernames added. Accounts need a PasswordHash.
func (d *Directory) EnsureAccounts(ctx context.Context, accounts []Account) ([]string, error) {
	// Another process may add one of them in between; then look again.
	for attempt := 1; ; attempt++ {
		var missing []Account
		var names []string
		for _, a := range accounts {
			if err := errors.Join(a.normalize(), d.checkHash(a.PasswordHash)); err != nil {
				return nil, fmt.Errorf("account %q: %w", a.Username, err)
			}
			_, err := d.store.AccountByIdentity(ctx, a.Identities()[0])
			if err == nil {
				continue
			}
			if !errors.Is(err, ErrNotFound) {
				return nil, fmt.Errorf("looking for %s: %w", a.Username, err)
			}
			if err := d.stamp(&a); err != nil {
				return nil, err
			}
			missing, names = append(missing, a), append(names, a.Username)
		}
		if len(missing) == 0 {
			return nil, nil
		}
		events, err := d.stamps.events(ctx, createdEvents(missing))
		if err != nil {
			return nil, err
		}
		err = d.store.InsertAccounts(ctx, missing, events...)
		var conflict *ConflictError
		if errors.As(err, &conflict) && attempt < 3 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("adding accounts: %w", err)
		}
		for _, a := range missing {
			d.logger.Info("account created", "account", a.ID)
		}
		return names, nil
	}
}

// Update hands the account to change and stores what becomes of it, in one
// transaction: nobody else's change is lost, and an error of change leaves
// everything as it was. change must be quick and must not use the directory. It
// can't change the account's ID and CreatedAt. A new password ends the
// account's sessions.
func (d *Directory) Update(ctx context.Context, ref string, change func(*Account) error) (Account, error) {
	return d.update(ctx, ref, "", change)
}

// update is Update; the session of that id goes on.
func (d *Directory) update(ctx context.Context, ref, keep string, change func(*Account) error) (Account, error) {
	a, err := d.Find(ctx, ref)
	if err != nil {
		return Account{}, err
	}
	defer d.subjects.forget() // even after an error: it may have been changed all the same
	updated, err := d.store.UpdateAccount(ctx, a.ID, func(stored *Account, effects *Effects) error {
		before := *stored
		if err := change(stored); err != nil {
			return err
		}
		err := stored.normalize()
		if stored.PasswordHash != before.PasswordHash {
			err = errors.Join(err, d.checkHash(stored.PasswordHash))
		}
		stored.ID, stored.CreatedAt, stored.UpdatedAt = before.ID, before.CreatedAt, d.stamps.moment()
		if err != nil {
			return err
		}
		*effects, err = d.effects(ctx, &before, stored, keep)
		return err
	})
	d.revocations.catchUp(ctx)
	if err != nil {
		return Account{}, fmt.Errorf("changing %s: %w", a.Username, err)
	}
	d.logger.Info("account changed", "account", updated.ID)
	return updated, nil
}

// SetPassword replaces the account's password, and ends its sessions.
func (d *Directory) SetPassword(ctx context.Context, ref, password string) error {
	return d.SetPasswordKeeping(ctx, ref, password, "")
}

// SetPasswordKeeping is SetPassword by the account itself: the session of that id,
// from which it is done, goes on.
func (d *Directory) SetPasswordKeeping(ctx context.Context, ref, password, session string) error {
	// Hashing takes long: not inside the transaction.
	hash, err := d.hasher.Hash(password)
	if err != nil {
		return err
	}
	_, err = d.update(ctx, ref, session, func(a *Account) error {
		a.PasswordHash = hash
		return nil
	})
	return err
}

// Remove removes the account, and ends its sessions. Its id is never used again.
// An error of a check, which is handed what is stored in the same transaction,
// leaves everything as it was.
func (d *Directory) Remove(ctx context.Context, ref string, checks ...func(*Account) error) error {
	a, err := d.Find(ctx, ref)
	if err != nil {
		return err
	}
	defer d.subjects.forget()
	events, err := d.stamps.events(ctx, []Event{accountEvent(AccountRemoved, &a)})
	if err != nil {
		return err
	}
	err = d.store.RemoveAccount(ctx, a.ID, Effects{
		Events: events,
		Revoke: &SessionRevocation{AccountID: a.ID, Reason: "the account was removed", At: d.stamps.moment()},
	}, checks...)
	d.revocations.catchUp(ctx)
	if err != nil {
		return fmt.Errorf("removing %s: %w", a.Username, err)
	}
	d.logger.Info("account removed", "account", a.ID)
	return nil
}

// Find returns the account that ref names.
func (d *Directory) Find(ctx context.Context, ref string) (Account, error) {
	a, err := find(ctx, d.store, ref)
	if err != nil {
		return Account{}, fmt.Errorf("finding %q: %w", shorten(ref), err)
	}
	return a, nil
}

// find is Find for the authenticator too, whose logins are not for messages.
func find(ctx context.Context, store Store, ref string) (Account, error) {
	if id, isID := parseID(ref); isID {
		return store.Account(ctx, id)
	}
	identity, err := Canonical(ref)
	if err != nil {
		return Account{}, ErrNotFound
	}
	return store.AccountByIdentity(ctx, identity)
}

// List returns all accounts, by username.
func (d *Directory) List(ctx context.Context) ([]Account, error) {
	accounts, err := d.store.Accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	return accounts, nil
}

// Count returns how many accounts there are.
func (d *Directory) Count(ctx context.Context) (int, error) {
	count, err := d.store.CountAccounts(ctx)
	if err != nil {
		return 0, fmt.Errorf("counting accounts: %w", err)
	}
	return count, nil
}

func (d *Directory) checkHash(hash string) error {
	if err := d.hasher.Check(hash); err != nil {
		return &InvalidError{Field: "hashed_password", Err: fmt.Errorf("is an %w", err)}
	}
	return nil
}

// stamp gives a new account its id and times.
func (d *Directory) stamp(a *Account) error {
	now := d.stamps.moment()
	id, err := d.stamps.id()
	if err != nil {
		return fmt.Errorf("adding an account: %w", err)
	}
	a.ID, a.CreatedAt, a.UpdatedAt = id, now, now
	return nil
}
