package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

type userCmd struct {
	Add      userAddCmd      `cmd:"" help:"Add an account."`
	List     userListCmd     `cmd:"" help:"List the accounts."`
	Show     userShowCmd     `cmd:"" help:"Show one account."`
	Set      userSetCmd      `cmd:"" help:"Change an account's roles, names or attributes."`
	Disable  userDisableCmd  `cmd:"" help:"Shut an account out, with the tokens that it has."`
	Enable   userEnableCmd   `cmd:"" help:"Let a disabled account in again."`
	Sessions userSessionsCmd `cmd:"" help:"List or end an account's sessions."`
	Passwd   userPasswdCmd   `cmd:"" help:"Set an account's password."`
	Import   userImportCmd   `cmd:"" help:"Add accounts from JSON, with the hashes that they have."`
	Remove   userRemoveCmd   `cmd:"" help:"Remove an account for good."`
}

func (*userCmd) Help() string {
	return `The commands work on the state that --state names, also while a server runs with it: within a second, what they change holds for every request, on tokens issued before too.`
}

// accountArg names the account that a command is about.
type accountArg struct {
	Account string `arg:"" help:"Username, e-mail address or id."`
}

type userListCmd struct {
	outputFlag
}

func (*userListCmd) Help() string {
	return `  stagedoor user list
  stagedoor user list --output json | jq -r '.[] | select(.disabled) | .username'`
}

// Run prints all accounts, by username.
func (c *userListCmd) Run(ctx context.Context, e *env) error {
	return withAccounts(ctx, e, func(accounts *account.Directory) error {
		all, err := accounts.List(ctx)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, list(all))
		}
		if len(all) == 0 {
			fmt.Fprintln(e.stderr, "There are no accounts yet; `stagedoor user add` adds one.")
			return nil
		}
		rows := newTable(e.stdout)
		rows.row("USERNAME", "ROLES", "STATUS", "E-MAIL", "FULL NAME", "ID")
		for _, a := range all {
			rows.row(a.Username, dash(strings.Join(a.Roles, ",")), status(a), dash(a.Email), dash(a.FullName), a.ID)
		}
		return rows.flush()
	})
}

type userShowCmd struct {
	accountArg
	outputFlag
}

func (*userShowCmd) Help() string {
	return `  stagedoor user show carol
  stagedoor user show carol@example.com --output json`
}

// Run prints one account.
func (c *userShowCmd) Run(ctx context.Context, e *env) error {
	return withAccounts(ctx, e, func(accounts *account.Directory) error {
		a, err := accounts.Find(ctx, c.Account)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, a)
		}
		rows := newTable(e.stdout)
		rows.row("id", a.ID)
		rows.row("username", a.Username)
		rows.row("e-mail", dash(a.Email))
		rows.row("full name", dash(a.FullName))
		rows.row("roles", dash(strings.Join(a.Roles, ", ")))
		rows.row("status", status(a))
		for _, name := range slices.Sorted(maps.Keys(a.Attributes)) {
			rows.row("attribute "+name, compactJSON(a.Attributes[name]))
		}
		rows.row("created", a.CreatedAt.UTC().Format(time.RFC3339))
		rows.row("changed", a.UpdatedAt.UTC().Format(time.RFC3339))
		return rows.flush()
	})
}

func status(a account.Account) string {
	if a.Disabled {
		return "disabled"
	}
	return "enabled"
}

// dash stands for nothing, so that columns can be told apart.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
