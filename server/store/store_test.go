package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Open {
		// Characters that mean something in a URI must not in a path.
		path := filepath.Join(t.TempDir(), "a b?c#d%41&e", "stagedoor.db")
		return func(t *testing.T) storetest.Store { return open(t, path) }
	})
}

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	opened, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// count counts accounts and checks the database's structure.
func count(t *testing.T, path string) int {
	t.Helper()
	opened := open(t, path)
	defer func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}()
	accounts, err := opened.CountAccounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return accounts
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "stagedoor.db")
	if got := count(t, path); got != 0 {
		t.Fatalf("%d accounts in a new database", got)
	}
	// Somebody's copy came with another mode.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	opened := open(t, path)
	if err := opened.SetSetting(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{"": 0o700, "stagedoor.db": 0o600, "stagedoor.db-wal": 0o600, "stagedoor.db-shm": 0o600, "stagedoor.db.lock": 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != mode {
			t.Errorf("%q has mode %o, want %o", name, got, mode)
		}
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("closing left the log behind: %v", err)
	}
}

func TestDurability(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stagedoor.db")
	opened := open(t, path)
	defer func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "15000"} {
		if got, err := opened.Pragma(t.Context(), pragma); err != nil || got != want {
			t.Errorf("the writer's %s is %q (%v), want %q", pragma, got, err, want)
		}
	}
}

func TestDatabaseOfANewerVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stagedoor.db")
	count(t, path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{Path: path})
	if err == nil || !strings.Contains(err.Error(), "version 999") || !strings.Contains(err.Error(), "newer stagedoor") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the version, the remedy and the file", err)
	}
}

func TestFileThatIsNoDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stagedoor.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is a text file\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Path: path})
	if err == nil || !strings.Contains(err.Error(), "no database of Stagedoor") {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(content), "this is a text file") {
		t.Errorf("the file was touched: %v", err)
	}
}

func TestDirectoryThatCanNotBeMadeIsAnError(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Path: filepath.Join(blocked, "stagedoor.db")}); err == nil {
		t.Error("opened a database below a file")
	}
	if _, err := store.Open(t.Context(), store.Options{}); err == nil {
		t.Error("opened a database without a path")
	}
}
