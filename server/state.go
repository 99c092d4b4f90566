package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stagedoor/stagedoor/server/store"
)

// databaseFile is the name, inside the state directory, of the SQLite database.
const databaseFile = "stagedoor.db"

// ErrNoState means that a directory holds no state of Stagedoor.
var ErrNoState = errors.New("there is no state yet")

// OpenState opens the store in the state directory dir and makes both if they
// are missing. The command line uses it beside a running server.
func OpenState(ctx context.Context, dir string) (*store.Store, error) {
	if err := validState(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	opened, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, databaseFile)})
	if err != nil {
		return nil, fmt.Errorf("opening the state in %s: %w", dir, err)
	}
	return opened, nil
}

// OpenExistingState is [OpenState] for commands that only make sense on a state
// that is there: otherwise the error is [ErrNoState], and nothing is made.
func OpenExistingState(ctx context.Context, dir string) (*store.Store, error) {
	if err := validState(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: name the right directory with --state, or make one with `stagedoor serve` or `stagedoor user add`", ErrNoState, dir)
	} else if err != nil {
		return nil, fmt.Errorf("opening the state: %w", err)
	}
	return OpenState(ctx, dir)
}
