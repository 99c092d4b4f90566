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

// StatusFile is the name, inside the state directory, of what the running
// server says of its policy.
const StatusFile = "policy-status.json"

// passedFile is the name, inside the state directory, of the note on which
// policy has passed its checks and tests.
const passedFile = "policy-passed.json"

// stateFile is a small file in the state directory. It implements
// [policy.Record].
type stateFile struct{ dir, name string }

// Read returns the file's content; nothing where there is none.
func (f stateFile) Read() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(f.dir, f.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// Write replaces the content. The rename makes it whole at any moment.
func (f stateFile) Write(text []byte) error {
	// A new file of its own name, so that no link planted there is followed.
	file, err := os.CreateTemp(f.dir, f.name+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(f.dir, f.name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// ErrNoState means that a directory holds no state of Stagedoor.
var ErrNoState = errors.New("there is no state yet")

// OpenState opens the store in the state directory dir and makes both if they
// are missing. The command line uses it beside a running server.
func OpenState(ctx context.Context, dir string) (*store.Store, error) {
	if err := validState(dir); err != nil {
		return nil, err
	}
	if err := makeState(dir); err != nil {
		return nil, err
	}
	opened, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, databaseFile)})
	if err != nil {
		return nil, fmt.Errorf("opening the state in %s: %w", dir, err)
	}
	return opened, nil
}

// makeState makes the state directory if it is missing.
func makeState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	return nil
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
