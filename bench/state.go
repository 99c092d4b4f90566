//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// issuer is the one of every server here: a state may move from port to port.
const issuer = "http://bench.test"

// password is that of every account.
const password = "a password for benchmarks"

// knownItem is an item that the demo starts with.
const knownItem = "01JDEM01TEM000000000000003"

// state is a state directory with accounts in it, and their tokens.
type state struct {
	dir string
	ids []string
	// tokens are those of ids, in their order.
	tokens []string
}

// makeState makes a state with n accounts. Each has a role of its own beside the
// one that opens the items: the policy reads roles, so no two accounts can share
// a decision. Without tokens there is none but the first account's.
func (b *bench) makeState(ctx context.Context, dir string, n int, tokens bool) (_ *state, err error) {
	opened, err := server.OpenState(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	s := &state{dir: dir}
	accounts, err := makeAccounts(n, nil)
	if err != nil {
		return nil, err
	}
	if err := opened.InsertAccounts(ctx, accounts); err != nil {
		return nil, fmt.Errorf("adding the accounts: %w", err)
	}
	for _, a := range accounts {
		s.ids = append(s.ids, a.ID)
	}
	keyring, err := token.OpenKeyring(ctx, opened, token.KeyringOptions{})
	if err != nil {
		return nil, err
	}
	s.tokens = make([]string, 1)
	if tokens {
		s.tokens = make([]string, n)
	}
	return s, mintAll(keyring, s.ids, s.tokens)
}

// makeAccounts makes n accounts that may read and write items, with more roles
// beside their own.
func makeAccounts(n int, more []string) ([]account.Account, error) {
	// One hash for all: making it is slow, and it is checked in full at each login.
	hash, err := account.NewHasher(account.HasherOptions{}).Hash(password)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	accounts := make([]account.Account, n)
	for i := range accounts {
		accounts[i] = account.Account{
			ID: ulid.Make().String(), Username: username(i), PasswordHash: hash, CreatedAt: now, UpdatedAt: now,
			Roles: append([]string{"client", fmt.Sprintf("team-%06d", i)}, more...),
		}
	}
	return accounts, nil
}

func username(i int) string { return fmt.Sprintf("person%06d", i) }

// mintAll fills tokens with one token for each of the ids.
func mintAll(keyring *token.Keyring, ids, tokens []string) error {
	var group errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		group.Go(func() (err error) {
			for i := worker; i < len(tokens); i += workers {
				if tokens[i], err = mint(keyring, ids[i], "items:read", "items:write"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// mint makes a token as a login would.
func mint(keyring *token.Keyring, id string, scope ...string) (string, error) {
	raw, _, _, err := keyring.Mint(token.Registered{
		Issuer: issuer, Subject: id, Audience: []string{issuer}, ClientID: account.FirstPartyClient,
		Scope: scope, Lifetime: 24 * time.Hour,
	}, nil)
	return raw, err
}

// copyState gives a server a state of its own.
func (b *bench) copyState() (string, error) {
	dir, err := os.MkdirTemp(b.dir, "state-*")
	if err != nil {
		return "", fmt.Errorf("making a state directory: %w", err)
	}
	if err := os.CopyFS(dir, os.DirFS(b.state.dir)); err != nil {
		return "", fmt.Errorf("copying the state: %w", err)
	}
	return dir, nil
}

// startFresh starts Stagedoor on a state of its own, with further flags.
func (b *bench) startFresh(ctx context.Context, name string, flags ...string) (*process, error) {
	stateDir, err := b.copyState()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, b.stagedoor(name, stateDir, flags...))
}

// stagedoor says how to start Stagedoor on a state, with further flags.
func (b *bench) stagedoor(name, stateDir string, flags ...string) launch {
	if b.smoke {
		// In miniature it runs beside other tests, on a machine that is anything but idle.
		flags = append(flags, "--policy-timeout", "1m")
	}
	return launch{name: name, argv: func(addr string) []string {
		return append([]string{b.programs.stagedoor, "--state", stateDir, "serve", "--demo", "--listen", addr, "--issuer", issuer}, flags...)
	}}
}

// policyWith copies the default policies and data, with further files among the
// policies.
func (b *bench) policyWith(files map[string]string) (policies, data string, err error) {
	dir, err := os.MkdirTemp(b.dir, "policy-*")
	if err != nil {
		return "", "", fmt.Errorf("making a policy directory: %w", err)
	}
	policies, data = filepath.Join(dir, "policies"), filepath.Join(dir, "data")
	for _, name := range []string{"policies", "data"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(b.root, name))); err != nil {
			return "", "", fmt.Errorf("copying the default policy: %w", err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(policies, name), []byte(text), 0o600); err != nil {
			return "", "", fmt.Errorf("writing the policy: %w", err)
		}
	}
	return policies, data, nil
}

// queryRule makes decisions depend on the query: each new value of blocked is a
// new decision.
const queryRule = `package authz

# METADATA
# title: Blocked
# custom:
#   code: blocked
#   message: the request says that it is blocked
deny contains reason(rego.metadata.rule(), []) if input.query.blocked == ["yes"]
`
