package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/rogpeppe/go-internal/lockedfile"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// busyTimeout is how long a writer waits for another process's transaction.
	busyTimeout = 15 * time.Second
	// minReaders is how many connections read at once where there are fewer
	// processors.
	minReaders = 4
	// readerPages is how much of the database each of them keeps, in KiB: its inner
	// pages, for 100,000 accounts and more. The rest is in the system's page cache,
	// once and not for each connection.
	readerPages = 512
)

//go:embed migrations
var migrations embed.FS

// openSQLite opens the database of opts and migrates it. Another process may be
// doing the same: a lock on a file beside the database lets one go first, since
// SQLite's own locks do not cover the switch to its write-ahead log.
func (s *Store) openSQLite(ctx context.Context, opts Options) error {
	if opts.Path == "" {
		return errors.New("needs the path of a file")
	}
	path, err := filepath.Abs(opts.Path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making its directory: %w", err)
	}
	lock, err := lockedfile.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("locking it: %w", err)
	}
	// Nothing was written to it: closing it can lose nothing.
	defer func() { _ = lock.Close() }()
	if err := protectFiles(path); err != nil {
		return err
	}

	scripts, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	s.dialect = dialect{name: goose.DialectSQLite3, migrations: scripts, version: `PRAGMA data_version`, explain: explainSQLite}
	if s.writer, err = sql.Open("sqlite", sqliteName(path, false)); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.readers, err = sql.Open("sqlite", sqliteName(path, true)); err != nil {
		return err
	}
	// One of them is Changed's for good.
	readers := 1 + max(minReaders, runtime.GOMAXPROCS(0))
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)
	if err := s.writer.PingContext(ctx); err != nil {
		return s.explain(err)
	}
	return s.migrate(ctx, opts.Logger)
}

// protectFiles makes the database and whatever SQLite has put beside it readable
// by the owner only. SQLite gives files that it makes later the database's mode.
func protectFiles(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keeping it from other users: %w", err)
		}
	}
	return nil
}

// sqliteName is the name under which the driver opens a connection.
func sqliteName(path string, readOnly bool) string {
	query := url.Values{}
	query.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	query.Set("_journal_mode", "WAL")
	query.Set("_synchronous", "FULL")
	query.Set("_foreign_keys", "on")
	query.Set("_txlock", "immediate")
	query.Set("_dqs", "false")
	query.Set("_error_rc", "true")
	if readOnly {
		query.Set("_txlock", "deferred")
		query.Set("_query_only", "on")
		query.Set("_pragma", fmt.Sprintf("cache_size(-%d)", readerPages))
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	return name.String()
}

// explainSQLite adds what to do to the errors that an operator can do something
// about.
func explainSQLite(err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("another process has held the database for more than %s; end it and try again: %w", busyTimeout, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk is full; make room and try again: %w", err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("the database's file and directory must be writable by this user: %w", err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is damaged or no database of Stagedoor; restore a backup: %w", err)
	}
	return err
}
