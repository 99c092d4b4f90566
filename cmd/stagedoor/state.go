package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// state is what commands administer. A running server knows within a second what
// they change.
type state struct {
	accounts *account.Directory
	clients  *account.Clients
	sessions *account.Sessions
	events   *account.Events
}

// withState runs f on the state directory, which must exist: a command that only
// looks must not leave a new state behind.
func withState(ctx context.Context, e *env, f func(*state) error) error {
	opened, err := server.OpenExistingState(ctx, e.state)
	if err != nil {
		return err
	}
	return useState(ctx, opened, account.Options{}, f)
}

// withNewState is withState for commands that may come before the first start of
// the server: it makes the state that is missing.
func withNewState(ctx context.Context, e *env, opts account.Options, f func(*state) error) error {
	opened, err := server.OpenState(ctx, e.state)
	if err != nil {
		return err
	}
	return useState(ctx, opened, opts, f)
}

// withAccounts is withState for what is about accounts only.
func withAccounts(ctx context.Context, e *env, f func(*account.Directory) error) error {
	return withState(ctx, e, func(s *state) error { return f(s.accounts) })
}

// useState opens what the commands need in one place. Nothing is told of
// revocations here: they are stored with the change that they belong to, and it is
// the server that keeps them in memory.
func useState(ctx context.Context, opened *store.Store, opts account.Options, f func(*state) error) error {
	clients, err := account.OpenClients(ctx, opened, account.ClientOptions{CheckJWKS: token.CheckJWKS})
	if err == nil {
		err = explain(f(&state{
			accounts: account.New(opened, opts),
			clients:  clients,
			sessions: account.NewSessions(opened, account.SessionOptions{}),
			events:   account.NewEvents(opened, account.EventOptions{}),
		}))
	}
	if closeErr := opened.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the state: %w", closeErr))
	}
	return err
}

// explain adds what to do next to the errors that users meet.
func explain(err error) error {
	for _, missing := range []struct {
		err  error
		next string
	}{
		{account.ErrNotFound, "`stagedoor user list` shows the accounts there are"},
		{account.ErrClientNotFound, "`stagedoor client list` shows the clients there are"},
		{account.ErrSessionNotFound, "`stagedoor user sessions list ACCOUNT` shows the sessions there are"},
		{account.ErrClientExists, "`stagedoor client set` changes it"},
	} {
		if errors.Is(err, missing.err) {
			return fmt.Errorf("%w; %s", err, missing.next)
		}
	}
	return err
}
