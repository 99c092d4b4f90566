package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/store"
)

// withAccounts runs f on the accounts in the state directory, which must exist:
// a command that only looks must not leave a new state behind.
func withAccounts(ctx context.Context, e *env, f func(*account.Directory) error) error {
	opened, err := server.OpenExistingState(ctx, e.state)
	if err != nil {
		return err
	}
	return useAccounts(opened, account.Options{}, f)
}

// withNewAccounts is withAccounts for commands that may come before the first
// start of the server: it makes the state that is missing.
func withNewAccounts(ctx context.Context, e *env, opts account.Options, f func(*account.Directory) error) error {
	opened, err := server.OpenState(ctx, e.state)
	if err != nil {
		return err
	}
	return useAccounts(opened, opts, f)
}

func useAccounts(opened *store.Store, opts account.Options, f func(*account.Directory) error) error {
	err := explain(f(account.New(opened, opts)))
	if closeErr := opened.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the state: %w", closeErr))
	}
	return err
}

// explain adds what to do next to the errors that users meet.
func explain(err error) error {
	if errors.Is(err, account.ErrNotFound) {
		return fmt.Errorf("%w; `stagedoor user list` shows the accounts there are", err)
	}
	return err
}
