package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
)

type clientCmd struct {
	Add          clientAddCmd          `cmd:"" help:"Register a client."`
	List         clientListCmd         `cmd:"" help:"List the clients."`
	Show         clientShowCmd         `cmd:"" help:"Show one client."`
	Set          clientSetCmd          `cmd:"" help:"Change what a client may be granted."`
	RotateSecret clientRotateSecretCmd `cmd:"" help:"Give a client a new secret."`
	Disable      clientDisableCmd      `cmd:"" help:"Shut a client out, with the tokens that it has."`
	Enable       clientEnableCmd       `cmd:"" help:"Let a disabled client in again."`
	Remove       clientRemoveCmd       `cmd:"" help:"Remove a client for good."`
}

func (*clientCmd) Help() string {
	return `A client is a program that asks for tokens: a service, or an application that people log in with. A confidential one proves itself with a secret or a key; a public one, such as a mobile app, has nothing to prove itself with. What a client may be granted is said here; whether it is, the policy decides.

A request that names no client is made for the built-in one, stagedoor, which is not listed. The commands work on the state that --state names, also while a server runs with it: it follows within a second.`
}

// clientArg names the client that a command is about.
type clientArg struct {
	Client string `arg:"" help:"Client id."`
}

type clientListCmd struct {
	outputFlag
}

func (*clientListCmd) Help() string {
	return `  stagedoor client list
  stagedoor client list --output json | jq -r '.[] | select(.confidential | not) | .client_id'`
}

// Run prints all clients, by id.
func (c *clientListCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		all, err := s.clients.List(ctx)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, list(all))
		}
		if len(all) == 0 {
			fmt.Fprintln(e.stderr, "There are no clients yet but the built-in one; `stagedoor client add` adds one.")
			return nil
		}
		rows := newTable(e.stdout)
		rows.row("ID", "KIND", "AUTHENTICATION", "STATUS", "GRANTS", "SCOPES", "NAME")
		for _, client := range all {
			rows.row(client.ID, clientKind(client), client.AuthMethod, clientStatus(client),
				dash(strings.Join(client.Grants, ",")), dash(strings.Join(client.Scopes, ",")), dash(client.Name))
		}
		return rows.flush()
	})
}

type clientShowCmd struct {
	clientArg
	outputFlag
}

func (*clientShowCmd) Help() string {
	return `A secret is shown when it is made, and never again: only its hash is kept.

  stagedoor client show reports
  stagedoor client show reports --output json`
}

// Run prints one client.
func (c *clientShowCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		client, err := s.clients.Find(ctx, c.Client)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, client)
		}
		rows := newTable(e.stdout)
		rows.row("id", client.ID)
		rows.row("name", dash(client.Name))
		rows.row("kind", clientKind(client))
		rows.row("authentication", client.AuthMethod)
		rows.row("status", clientStatus(client))
		for _, l := range []struct {
			name  string
			items []string
		}{
			{"grants", client.Grants}, {"scopes", client.Scopes}, {"roles", client.Roles},
			{"audiences", client.Audiences}, {"redirect uris", client.RedirectURIs},
		} {
			rows.row(l.name, dash(strings.Join(l.items, ", ")))
		}
		for i, secret := range client.Secrets {
			until := "without end"
			if !secret.ExpiresAt.IsZero() {
				until = "until " + stamp(secret.ExpiresAt)
			}
			rows.row(fmt.Sprintf("secret %d", i+1), "made "+stamp(secret.CreatedAt)+", good "+until)
		}
		rows.row("created", stamp(client.CreatedAt))
		rows.row("changed", stamp(client.UpdatedAt))
		return rows.flush()
	})
}

func clientKind(client account.Client) string {
	if client.Confidential {
		return "confidential"
	}
	return "public"
}

func clientStatus(client account.Client) string {
	if client.Disabled {
		return "disabled"
	}
	return "enabled"
}
