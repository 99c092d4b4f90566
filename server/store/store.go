package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/pressly/goose/v3"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

var (
	_ account.AuthenticatorStore = (*Store)(nil)
	_ account.ClientStore        = (*Store)(nil)
	_ account.SessionStore       = (*Store)(nil)
	_ account.RevocationStore    = (*Store)(nil)
	_ token.KeyStore             = (*Store)(nil)
)

// Options say which database to open.
type Options struct {
	// Path is the SQLite database's file. Its directory is made (mode 0700) if it
	// is missing, and so is the file (mode 0600).
	Path string
	// Logger gets a line for every migration. Default: none.
	Logger *slog.Logger
}

// dialect is what differs between databases.
type dialect struct {
	name       goose.Dialect
	migrations fs.FS
	// version is a query for a number that changes whenever another connection
	// has changed the database.
	version string
	// explain makes an error of the database say what to do next.
	explain func(error) error
}

// Store is an open database. It is safe for concurrent use. Close it.
type Store struct {
	dialect dialect
	// writer has one connection, so this process's writers queue in Go; readers
	// never wait for it.
	writer, readers *sql.DB
	prepared        statements

	watch struct {
		sync.Mutex
		conn    *sql.Conn
		version int64
	}
}

// statements are those of the hot path: a look-up per request.
type statements struct {
	subjectByID, accountByID, accountByIdentity *sql.Stmt
}

// Open opens the database, makes it if it is missing, and migrates it. A database
// that a newer Stagedoor has migrated is refused.
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openSQLite(ctx, opts); err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", opts.Path, err)
	}
	if s.prepared.subjectByID, err = s.readers.PrepareContext(ctx, selectSubject+` WHERE id = $1`); err != nil {
		return nil, fmt.Errorf("preparing a query: %w", s.explain(err))
	}
	if s.prepared.accountByID, err = s.readers.PrepareContext(ctx, selectAccount+` WHERE id = $1`); err != nil {
		return nil, fmt.Errorf("preparing a query: %w", s.explain(err))
	}
	if s.prepared.accountByIdentity, err = s.readers.PrepareContext(ctx, selectAccount+` WHERE id = (SELECT account_id FROM identities WHERE identity = $1)`); err != nil {
		return nil, fmt.Errorf("preparing a query: %w", s.explain(err))
	}
	// The first call of Changed compares with this.
	if _, err := s.Changed(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close waits for queries under way and closes the database.
func (s *Store) Close() error {
	var errs []error
	s.watch.Lock()
	if s.watch.conn != nil {
		errs = append(errs, s.watch.conn.Close())
		s.watch.conn = nil
	}
	s.watch.Unlock()
	for _, statement := range []*sql.Stmt{s.prepared.subjectByID, s.prepared.accountByID, s.prepared.accountByIdentity} {
		if statement != nil {
			errs = append(errs, statement.Close())
		}
	}
	// The writer last: the last connection to go folds the log into the database,
	// and readers may not write.
	for _, db := range []*sql.DB{s.readers, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// Changed reports whether anything may have been changed since the last call (or
// since Open), by this process or another. It costs some microseconds.
func (s *Store) Changed(ctx context.Context) (bool, error) {
	s.watch.Lock()
	defer s.watch.Unlock()
	fresh := s.watch.conn == nil
	if fresh {
		conn, err := s.readers.Conn(ctx)
		if err != nil {
			return false, fmt.Errorf("asking the database for changes: %w", s.explain(err))
		}
		s.watch.conn = conn
	}
	var version int64
	if err := s.watch.conn.QueryRowContext(ctx, s.dialect.version).Scan(&version); err != nil {
		// The counter belongs to the connection; a new one starts afresh, and the
		// next call then reports a change to be safe.
		err = errors.Join(err, s.watch.conn.Close())
		s.watch.conn = nil
		return false, fmt.Errorf("asking the database for changes: %w", s.explain(err))
	}
	changed := fresh || version != s.watch.version
	s.watch.version = version
	return changed, nil
}

// write runs work in a transaction that holds the write lock from its beginning,
// so that what work has read is still true when it writes.
func (s *Store) write(ctx context.Context, work func(tx *sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(err)
	}
	if err := work(tx); err != nil {
		if rollbackErr := tx.Rollback(); rollbackErr != nil && !errors.Is(rollbackErr, sql.ErrTxDone) {
			err = errors.Join(err, s.explain(rollbackErr))
		}
		return err
	}
	return s.explain(tx.Commit())
}

func (s *Store) explain(err error) error {
	if err == nil || s.dialect.explain == nil {
		return err
	}
	return s.dialect.explain(err)
}
