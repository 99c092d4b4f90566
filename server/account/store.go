package account

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// Store keeps accounts. Every method is one transaction: when it returns an
// error nothing has changed, and when it returns none the change survives a
// crash. It must be safe for concurrent use, by several processes too.
type Store interface {
	// InsertAccounts inserts all of them or none. Names that are taken are a
	// [*ConflictError] with every conflict in it.
	InsertAccounts(ctx context.Context, accounts []Account, events ...Event) error
	// UpdateAccount hands the stored account to change and writes back what
	// becomes of it, with the effects that change has set, all in one transaction;
	// an error of change is returned as it is. change must not call the store.
	// [ErrNotFound] when the account is gone, [*ConflictError] when a new name is
	// taken.
	UpdateAccount(ctx context.Context, id string, change func(*Account, *Effects) error) (Account, error)
	// RemoveAccount removes the account and its names, unless a check of what is
	// stored returns an error, which is returned as it is; [ErrNotFound] when gone.
	RemoveAccount(ctx context.Context, id string, effects Effects, checks ...func(*Account) error) error
	// Account finds by id; [ErrNotFound] when there is none.
	Account(ctx context.Context, id string) (Account, error)
	// Subject is what [Account.Subject] makes of the account of that id, and of
	// which nothing else is read: each request of somebody new asks for one.
	// [ErrNotFound] when there is none.
	Subject(ctx context.Context, id string) (*authz.Subject, error)
	// AccountByIdentity finds by canonical name; [ErrNotFound] when there is none.
	AccountByIdentity(ctx context.Context, identity string) (Account, error)
	// Accounts lists all, by username.
	Accounts(ctx context.Context) ([]Account, error)
	// AccountsPage lists those that the query asks for, by id.
	AccountsPage(ctx context.Context, query Query) ([]Account, error)
	// CountAccounts counts all.
	CountAccounts(ctx context.Context) (int, error)
}

// LoginStore keeps what the throttle must remember. A mark's key says nothing
// about whom it belongs to.
type LoginStore interface {
	// LoginMarks reads those of keys that exist.
	LoginMarks(ctx context.Context, keys []string) (map[string]LoginMark, error)
	// RecordFailure counts one more failure for each key, at a time; a count whose
	// last failure lies before forget starts again at one.
	RecordFailure(ctx context.Context, keys []string, at, forget time.Time, events ...Event) error
	// RecordSuccess forgets the failures under clear, and marks known.
	RecordSuccess(ctx context.Context, clear, known string, at time.Time, events ...Event) error
	// PurgeLoginMarks removes counts whose last failure, and successes that, lie
	// before these times.
	PurgeLoginMarks(ctx context.Context, failuresBefore, successesBefore time.Time) error
}

// LoginMark is a count of failures, or (with no failures) a success.
type LoginMark struct {
	Failures int
	// At is when the last of them happened.
	At time.Time
}

// AuthenticatorStore is what an [Authenticator] needs.
type AuthenticatorStore interface {
	Store
	LoginStore
	EventStore
}
