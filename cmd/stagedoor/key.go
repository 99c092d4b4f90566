package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/token"
)

type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List the signing keys."`
	Rotate keyRotateCmd `cmd:"" help:"Make the key that signs next."`
	Retire keyRetireCmd `cmd:"" help:"Take a key back: its tokens are refused."`
	Rekey  keyRekeyCmd  `cmd:"" help:"Encrypt the keys at rest, or with another secret."`
}

func (*keyCmd) Help() string {
	return `A key goes through four states: next (published, so that everybody learns of it), signing, former (verifies until the last token that it has signed has expired), retired (its tokens are refused, its secret is erased).

The server makes the next key by itself, every 90 days unless --key-rotation says otherwise. The commands work on the state that --state names, also while a server runs with it: it follows within a second.`
}

// secretKeyVariable encrypts the signing keys at rest. It is no flag: other users
// of the machine see those.
const secretKeyVariable = "STAGEDOOR_SECRET_KEY"

// secretFlag is how commands that read private keys are told the secret.
type secretFlag struct {
	SecretKeyFile string `help:"File with the secret that encrypts the signing keys at rest, at least 32 bytes; or set STAGEDOOR_SECRET_KEY to it." placeholder:"FILE" env:"STAGEDOOR_SECRET_KEY_FILE" group:"Tokens and login"`
}

// secretKey reads a variable that holds a secret. One that is set to nothing is
// refused: whoever set it meant to give one.
func secretKey(variable string) (string, error) {
	secret, set := os.LookupEnv(variable)
	if set && secret == "" {
		return "", usageError(variable + " is set, but empty: unset it, or set it to a secret, such as from `openssl rand -base64 48`")
	}
	if set {
		if _, err := token.NewSealer([]byte(secret)); err != nil {
			return "", usageError(variable + ": " + err.Error())
		}
	}
	return secret, nil
}

// fill puts the secret, and the file that may hold it, into a configuration.
func (f secretFlag) fill(cfg *server.Config) (err error) {
	cfg.SecretKeyFile = f.SecretKeyFile
	cfg.SecretKey, err = secretKey(secretKeyVariable)
	return err
}

// withKeys runs f on the keys of the state, which must exist. A command that reads
// no private key needs no secret, and has nil.
func withKeys(ctx context.Context, e *env, secret *secretFlag, f func(*server.Keys) error) error {
	cfg := server.DefaultConfig()
	cfg.State = e.state
	if secret != nil {
		if err := secret.fill(&cfg); err != nil {
			return err
		}
	}
	keys, err := server.OpenKeys(ctx, cfg)
	if err != nil {
		return err
	}
	err = f(keys)
	if errors.Is(err, token.ErrKeyNotFound) {
		err = fmt.Errorf("%w; `stagedoor key list` shows the keys there are", err)
	}
	if closeErr := keys.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the state: %w", closeErr))
	}
	return err
}

type keyListCmd struct {
	outputFlag
}

func (*keyListCmd) Help() string {
	return `  stagedoor key list
  stagedoor key list --output json | jq -r '.[] | select(.state == "signing") | .id'

A key that was retired, or has expired, is listed until the first rotation a month later.`
}

// Run prints all keys, the signing one first. It needs no secret.
func (c *keyListCmd) Run(ctx context.Context, e *env) error {
	return withKeys(ctx, e, nil, func(keys *server.Keys) error {
		all, err := keys.List(ctx)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, list(all))
		}
		if len(all) == 0 {
			fmt.Fprintln(e.stderr, "There are no keys yet; the first start of the server makes one.")
			return nil
		}
		rows := newTable(e.stdout)
		rows.row("STATE", "ALGORITHM", "SIGNS FROM", "UNTIL", "VERIFIES UNTIL", "AT REST", "ID")
		for _, key := range all {
			rows.row(string(key.State), key.Algorithm, stamp(key.ActivateAt), stamp(key.RetireAt), stamp(key.ExpiresAt), atRest(key), key.ID)
		}
		return rows.flush()
	})
}

func atRest(key token.KeyStatus) string {
	switch {
	case key.State == token.KeyExpired:
		return "erased"
	case key.Sealed:
		return "encrypted"
	}
	return "clear"
}

// stamp is a moment in UTC, or a dash.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

type keyRotateCmd struct {
	AtOnce bool `name:"now" help:"Have it sign at once, without the time for others to learn of it."`
	secretFlag
	outputFlag
}

func (*keyRotateCmd) Help() string {
	return `The key is published at once and signs six minutes later, when everybody who keeps the published keys for 300 seconds has had the time to fetch it. Tokens that are out stay good: the former key verifies until the last of them has expired.

  stagedoor key rotate
  stagedoor key rotate --now && stagedoor key retire OLD-ID      when a key has leaked

With --now others may refuse new tokens until they fetch the keys again. If a next key is published already, --now has that one sign.`
}

// Run makes the next key.
func (c *keyRotateCmd) Run(ctx context.Context, e *env) error {
	return withKeys(ctx, e, &c.secretFlag, func(keys *server.Keys) error {
		key, err := keys.Rotate(ctx, c.AtOnce)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, key)
		}
		when := "from now on"
		if !c.AtOnce {
			when = "from " + stamp(key.ActivateAt)
		}
		fmt.Fprintf(e.stdout, "%s (%s) signs %s.\n", key.ID, key.Algorithm, when)
		return nil
	})
}

type keyRetireCmd struct {
	ID   string `arg:"" help:"The key's id."`
	Last bool   `help:"Also the key that signs while no other one does: the server makes another."`
	Yes  bool   `help:"Do not ask. Only a terminal is asked at all." short:"y"`
}

func (*keyRetireCmd) Help() string {
	return `Every token that the key has signed is refused: by this state's servers within a second, by others when they fetch the keys again. The private key is erased; there is no way back. The key that signs can't be retired before another one does, unless with --last: it is for a lost STAGEDOOR_SECRET_KEY, without which no other one can be made beside it.

  stagedoor key list
  stagedoor key rotate --now
  stagedoor key retire 5uVBi3ev0cE2cOjlOZYMy5cRHUZAu5OAvQJTgpfC5mg`
}

// Run asks, at a terminal and unless --yes is given, and retires the key.
func (c *keyRetireCmd) Run(ctx context.Context, e *env) error {
	return withKeys(ctx, e, nil, func(keys *server.Keys) error {
		if !c.Yes && isTerminal(e.stdin) {
			sure, err := confirm(ctx, e, fmt.Sprintf("Refuse every token that %s has signed, and erase it?", printable(c.ID)))
			if err != nil {
				return err
			}
			if !sure {
				return errors.New("nothing was changed")
			}
		}
		retire := keys.Retire
		if c.Last {
			retire = keys.RetireLast
		}
		if err := retire(ctx, c.ID); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "Retired %s.\n", printable(c.ID))
		return nil
	})
}

type keyRekeyCmd struct {
	NewSecretKeyFile string `help:"File with the secret to encrypt the keys with; or set STAGEDOOR_NEW_SECRET_KEY to it." placeholder:"FILE"`
	Clear            bool   `help:"Store the keys in clear instead."`
	secretFlag
}

func (*keyRekeyCmd) Help() string {
	return `The present secret is STAGEDOOR_SECRET_KEY, or in --secret-key-file; a state whose keys are in clear needs none. All keys are encrypted anew, or none. Then start the server with the new secret: one that runs with the former goes on with the keys that it has, but can't read the next one.

  openssl rand -base64 48 > new.secret
  stagedoor key rekey --secret-key-file old.secret --new-secret-key-file new.secret`
}

// Run encrypts the keys anew.
func (c *keyRekeyCmd) Run(ctx context.Context, e *env) error {
	const variable = "STAGEDOOR_NEW_SECRET_KEY"
	secret, err := secretKey(variable)
	if err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{secret != "", c.NewSecretKeyFile != "", c.Clear} {
		if is {
			given++
		}
	}
	if given != 1 {
		return usageError("give the new secret in one way: " + variable + ", --new-secret-key-file or, for none, --clear")
	}
	var to *token.Sealer
	switch {
	case secret != "":
		if to, err = token.NewSealer([]byte(secret)); err != nil {
			return usageError(variable + ": " + err.Error())
		}
	case c.NewSecretKeyFile != "":
		if to, err = server.SealerFromFile("new-secret-key-file", c.NewSecretKeyFile); err != nil {
			return err
		}
	}
	return withKeys(ctx, e, &c.secretFlag, func(keys *server.Keys) error {
		n, err := keys.Rekey(ctx, to)
		if err != nil {
			return err
		}
		how := "encrypted with the new secret; start the server with it"
		if c.Clear {
			how = "stored in clear"
		}
		fmt.Fprintf(e.stdout, "%s: %s.\n", count(n, "key"), how)
		return nil
	})
}
