package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

type userSessionsCmd struct {
	List   userSessionsListCmd   `cmd:"" help:"List an account's sessions."`
	Revoke userSessionsRevokeCmd `cmd:"" help:"End sessions of an account."`
}

func (*userSessionsCmd) Help() string {
	return `A session is one login on one device. It has the access tokens that came from the login, and a refresh token if the client may have one. Clients that act for themselves have none: ` + "`stagedoor client disable`" + ` ends their tokens.

  stagedoor user sessions list carol
  stagedoor user sessions revoke carol --all`
}

type userSessionsListCmd struct {
	accountArg
	outputFlag
}

func (*userSessionsListCmd) Help() string {
	return `  stagedoor user sessions list carol
  stagedoor user sessions list carol --output json | jq -r '.[].id'`
}

// Run prints the sessions that are live, the youngest first.
func (c *userSessionsListCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		a, err := s.accounts.Find(ctx, c.Account)
		if err != nil {
			return err
		}
		sessions, err := s.sessions.List(ctx, a.ID)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, list(sessions))
		}
		if len(sessions) == 0 {
			fmt.Fprintf(e.stderr, "%s is logged in nowhere.\n", printable(a.Username))
			return nil
		}
		rows := newTable(e.stdout)
		rows.row("ID", "CLIENT", "SINCE", "LAST USED", "ENDS", "ADDRESS", "SCOPE", "DEVICE")
		for _, session := range sessions {
			ends := session.ExpiresAt
			if session.IdleExpiresAt.Before(ends) {
				ends = session.IdleExpiresAt
			}
			rows.row(session.ID, session.ClientID, stamp(session.CreatedAt), stamp(session.LastUsedAt), stamp(ends),
				dash(session.ClientIP), dash(strings.Join(session.Scope, ",")), dash(session.UserAgent))
		}
		return rows.flush()
	})
}

type userSessionsRevokeCmd struct {
	accountArg
	Session string `arg:"" optional:"" help:"Id of the session."`
	All     bool   `help:"End all of them."`
}

func (*userSessionsRevokeCmd) Help() string {
	return `Whoever has the session must log in again; its access tokens and its refresh token open nothing any more. A server that runs with this state knows within a second.

  stagedoor user sessions list carol
  stagedoor user sessions revoke carol 01KB52ZQ1V8R4C6T9W0X3Y7H2M
  stagedoor user sessions revoke carol --all`
}

// Validate wants one session, or all.
func (c *userSessionsRevokeCmd) Validate() error {
	switch {
	case c.Session == "" && !c.All:
		return errors.New("name a session, or say --all; `stagedoor user sessions list` shows them")
	case c.Session != "" && c.All:
		return errors.New("name a session or say --all, not both")
	}
	return nil
}

const revokedByOperator = "revoked by the operator"

// Run revokes.
func (c *userSessionsRevokeCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		a, err := s.accounts.Find(ctx, c.Account)
		if err != nil {
			return err
		}
		if c.All {
			revoked, err := s.sessions.RevokeAccount(ctx, a.ID, "", revokedByOperator)
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "Ended %s of %s.\n", count(revoked, "session"), printable(a.Username))
			return nil
		}
		session, err := s.sessions.Find(ctx, c.Session)
		if err != nil {
			return err
		}
		if session.AccountID != a.ID {
			return fmt.Errorf("the session %s is not one of %s; `stagedoor user sessions list %s` shows them", session.ID, printable(a.Username), printable(a.Username))
		}
		if !session.RevokedAt.IsZero() {
			return fmt.Errorf("the session %s of %s ended at %s already: %s", session.ID, printable(a.Username), stamp(session.RevokedAt), printable(session.RevokedReason))
		}
		if err := s.sessions.Revoke(ctx, session.ID, revokedByOperator); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "Ended the session %s of %s.\n", session.ID, printable(a.Username))
		return nil
	})
}
