package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/stagedoor/stagedoor/server/account"
)

type userImportCmd struct {
	File          string `arg:"" help:"JSON file, or - for standard input."`
	MaxBcryptCost int    `help:"Highest cost of bcrypt hashes; give the server the same." default:"12" env:"STAGEDOOR_MAX_BCRYPT_COST"`
	policyDirs           // to know the roles
}

func (*userImportCmd) Help() string {
	return `The file is a list of users, or a dictionary from username to user:

  {"carol": {"full_name": "Carol", "email": "carol@example.com", "role": "client",
             "hashed_password": "$2b$12$…", "disabled": false}}

Besides these a user may have "roles" (a list) instead of "role", and "attributes" (an object). A hash is bcrypt ($2a$, $2b$, $2y$) or argon2id (PHC string); bcrypt becomes argon2id at the next login. Everything that is wrong is reported with its position, and then nothing is imported.

  stagedoor user import users.json`
}

// Run imports all of the file or nothing.
func (c *userImportCmd) Run(ctx context.Context, e *env) error {
	file := io.NopCloser(e.stdin)
	if c.File != "-" {
		opened, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("opening what to import: %w", err)
		}
		file = opened
	}
	defer file.Close()
	options := account.Options{MaxBcryptCost: c.MaxBcryptCost}
	return withNewState(ctx, e, options, func(s *state) error {
		accounts := s.accounts
		names, err := accounts.Import(ctx, file)
		if err != nil {
			return err
		}
		for _, name := range names {
			fmt.Fprintln(e.stdout, printable(name))
		}
		fmt.Fprintf(e.stderr, "Imported %s.\n", count(len(names), "account"))

		all, err := accounts.List(ctx)
		if err != nil {
			return err
		}
		var roles []string
		for _, a := range all {
			if slices.Contains(names, a.Username) {
				roles = append(roles, a.Roles...)
			}
		}
		c.warnOfUnknownRoles(ctx, e, roles)
		return nil
	})
}
