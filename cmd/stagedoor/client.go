package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

type clientCmd struct {
	Add          clientAddCmd          `cmd:"" help:"Register a client."`
	List         clientListCmd         `cmd:"" help:"List the clients."`
	Show         clientShowCmd         `cmd:"" help:"Show one client."`
	Set          clientSetCmd          `cmd:"" help:"Change what a client is called, or may be granted."`
	RotateSecret clientRotateSecretCmd `cmd:"" help:"Give a client a new secret."`
	Disable      clientDisableCmd      `cmd:"" help:"Shut a client out, with the tokens that it has."`
	Enable       clientEnableCmd       `cmd:"" help:"Let a disabled client in again."`
	Remove       clientRemoveCmd       `cmd:"" help:"Remove a client for good."`
}

func (*clientCmd) Help() string {
	return `A client is a program that asks for tokens: a service, or an application that people log in with. A confidential one proves itself with a secret or a key; a public one, such as a mobile app, has nothing to prove itself with. What a client may be granted is said here; whether it is, the policy decides.

  stagedoor client add reports --grant client_credentials --scope items:read
  stagedoor client rotate-secret reports --overlap 24h

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
			views := make([]clientView, len(all))
			for i, client := range all {
				views[i] = viewClient(client)
			}
			return writeJSON(e.stdout, views)
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
  stagedoor client show reports --output json
  stagedoor client show stagedoor                 the built-in one`
}

// Run prints one client.
func (c *clientShowCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		client, err := s.clients.Find(ctx, c.Client)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, viewClient(client))
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
			until := "good without end"
			switch end := secret.ExpiresAt; {
			case end.IsZero():
			case e.now().Before(end):
				until = "good until " + stamp(end)
			default:
				until = "ended " + stamp(end)
			}
			rows.row(fmt.Sprintf("secret %d", i+1), "made "+stamp(secret.CreatedAt)+", "+until)
		}
		rows.row("created", stamp(client.CreatedAt))
		rows.row("changed", stamp(client.UpdatedAt))
		return rows.flush()
	})
}

// clientView is a client as JSON shows it: with what is known of its secrets, and
// the secret itself (RFC 7591 section 3.2.1) when it has just been made.
type clientView struct {
	account.Client
	Secrets []clientSecretView `json:"secrets,omitempty"`
	Secret  string             `json:"client_secret,omitempty"`
}

// clientSecretView is a secret without its hash.
type clientSecretView struct {
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

func viewClient(client account.Client) clientView {
	view := clientView{Client: client}
	for _, secret := range client.Secrets {
		view.Secrets = append(view.Secrets, clientSecretView{secret.CreatedAt, secret.ExpiresAt})
	}
	return view
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
