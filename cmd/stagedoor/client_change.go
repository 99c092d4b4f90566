package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

type clientAddCmd struct {
	ID          string   `arg:"" help:"Client id: printable ASCII without space, quote, backslash, colon, comma and slash."`
	Name        string   `help:"Name for people to read." placeholder:"NAME"`
	Public      bool     `help:"A client that can keep nothing secret, such as an app on its user's device." xor:"kind"`
	AuthMethod  string   `help:"How a confidential client proves itself: client_secret_basic (client_secret_post will do, too) or private_key_jwt." default:"client_secret_basic" enum:"client_secret_basic,private_key_jwt" placeholder:"METHOD" xor:"kind"`
	JWKS        string   `name:"jwks" help:"File with the client's public keys as a JWK set, for private_key_jwt." type:"existingfile" placeholder:"FILE"`
	SecretStdin bool     `help:"Take the secret from standard input, one line of at least 32 random characters, instead of making one: for a client that has one already."`
	Grant       []string `help:"Grant that it may use: client_credentials, password, refresh_token, authorization_code. Repeat it for several." placeholder:"GRANT"`
	Scope       []string `help:"Scope that it may be granted; '*' is every scope of the account that logs in with it." placeholder:"SCOPE"`
	Role        []string `help:"Role that it has when it acts for itself." placeholder:"ROLE"`
	Audience    []string `help:"Audience that it may ask for, and whose tokens it may introspect." placeholder:"URI"`
	RedirectURI []string `name:"redirect-uri" help:"Redirect URI." placeholder:"URI"`
	outputFlag
}

func (*clientAddCmd) Help() string {
	return `The secret that is made for a confidential client is printed once, and can't be had again: only its hash is kept.

  stagedoor client add reports --grant client_credentials --scope items:read
  stagedoor client add shop-app --public --grant password --grant refresh_token --scope '*'
  stagedoor client add robot --auth-method private_key_jwt --jwks robot.json --grant client_credentials --scope items:read

RFC 9700 forbids the password grant to new applications; it is for first-party clients of old.`
}

// Run registers the client and prints its secret.
func (c *clientAddCmd) Run(ctx context.Context, e *env) error {
	client := account.Client{
		ID: c.ID, Name: c.Name, Confidential: !c.Public, AuthMethod: c.AuthMethod,
		Grants: c.Grant, Scopes: c.Scope, Roles: notEmpty(c.Role), Audiences: c.Audience, RedirectURIs: c.RedirectURI,
	}
	if c.Public {
		client.AuthMethod = account.AuthNone
	}
	if c.SecretStdin && client.AuthMethod != account.AuthSecret {
		return usageError("--secret-stdin is for a client that authenticates by client_secret_basic")
	}
	var err error
	if client.JWKS, err = readJWKS(c.JWKS); err != nil {
		return err
	}
	return withNewState(ctx, e, account.Options{}, func(s *state) error {
		var secret string
		switch {
		case c.SecretStdin:
			if secret, err = readLine(e.stdin); err != nil {
				return fmt.Errorf("reading the client's secret from standard input: %w", err)
			}
			client, err = s.clients.CreateWithSecret(ctx, client, secret)
			secret = "" // whoever gave it has it
		default:
			client, secret, err = s.clients.Create(ctx, client)
		}
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, withSecret{client, secret})
		}
		fmt.Fprintf(e.stdout, "Added the client %s.\n", client.ID)
		printSecret(e, secret)
		if len(client.Grants) == 0 {
			fmt.Fprintf(e.stderr, "It may use no grant yet: `stagedoor client set %s --grant client_credentials`.\n", client.ID)
		}
		return nil
	})
}

// withSecret is a client with the secret that was made for it (RFC 7591 section
// 3.2.1).
type withSecret struct {
	account.Client
	Secret string `json:"client_secret,omitempty"`
}

func printSecret(e *env, secret string) {
	if secret != "" {
		fmt.Fprintf(e.stdout, "Its secret, which is shown only now:\n%s\n", secret)
	}
}

func readJWKS(file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the client's keys: %w", err)
	}
	if !json.Valid(text) {
		return nil, usageError(fmt.Sprintf("--jwks %s: is not JSON", file))
	}
	return text, nil
}

type clientSetCmd struct {
	clientArg
	Name        *string  `help:"Name for people to read; '' for none." placeholder:"NAME"`
	JWKS        string   `name:"jwks" help:"File with the client's public keys as a JWK set, instead of those that it has." type:"existingfile" placeholder:"FILE"`
	Grant       []string `help:"Grants, instead of those that it has; repeat it for several, --grant '' for none." placeholder:"GRANT"`
	Scope       []string `help:"Scopes, instead of those that it has." placeholder:"SCOPE"`
	Role        []string `help:"Roles, instead of those that it has." placeholder:"ROLE"`
	Audience    []string `help:"Audiences, instead of those that it has." placeholder:"URI"`
	RedirectURI []string `name:"redirect-uri" help:"Redirect URIs, instead of those that it has." placeholder:"URI"`
}

func (*clientSetCmd) Help() string {
	return `What is not named stays as it is. A scope or grant that is taken away is felt at the next request or refresh.

  stagedoor client set reports --scope items:read --scope items:write
  stagedoor client set shop-app --name 'Shop' --redirect-uri com.example.shop:/callback`
}

// Validate refuses a command that would change nothing.
func (c *clientSetCmd) Validate() error {
	if c.Name == nil && c.JWKS == "" && c.Grant == nil && c.Scope == nil && c.Role == nil && c.Audience == nil && c.RedirectURI == nil {
		return errors.New("nothing to set; name what shall change, such as --scope items:read")
	}
	return nil
}

// Run changes the client.
func (c *clientSetCmd) Run(ctx context.Context, e *env) error {
	jwks, err := readJWKS(c.JWKS)
	if err != nil {
		return err
	}
	return changeClient(ctx, e, c.Client, "Changed", func(client *account.Client) error {
		replace(&client.Name, c.Name)
		if jwks != nil {
			client.JWKS = jwks
		}
		for _, l := range []struct {
			to   *[]string
			from []string
		}{
			{&client.Grants, c.Grant}, {&client.Scopes, c.Scope}, {&client.Roles, c.Role},
			{&client.Audiences, c.Audience}, {&client.RedirectURIs, c.RedirectURI},
		} {
			if l.from != nil {
				*l.to = notEmpty(l.from)
			}
		}
		return nil
	})
}

type clientRotateSecretCmd struct {
	clientArg
	Overlap time.Duration `help:"How long the former secret is good yet; without it, no longer." placeholder:"DURATION"`
	outputFlag
}

func (*clientRotateSecretCmd) Help() string {
	return `  stagedoor client rotate-secret reports                  the former secret has leaked
  stagedoor client rotate-secret reports --overlap 24h    time to hand out the new one`
}

// Validate refuses an overlap that means nothing.
func (c *clientRotateSecretCmd) Validate() error {
	if c.Overlap < 0 {
		return errors.New("--overlap is negative")
	}
	return nil
}

// Run makes a secret and prints it.
func (c *clientRotateSecretCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		secret, err := s.clients.RotateSecret(ctx, c.Client, c.Overlap)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, map[string]string{"client_id": c.Client, "client_secret": secret})
		}
		printSecret(e, secret)
		return nil
	})
}

type clientDisableCmd struct{ clientArg }

func (*clientDisableCmd) Help() string {
	return `A disabled client gets no tokens, those that were issued to it open nothing any more, and whoever is logged in with it has to log in again. ` + "`stagedoor client enable`" + ` lets it in again.

  stagedoor client disable reports`
}

// Run disables the client.
func (c *clientDisableCmd) Run(ctx context.Context, e *env) error {
	return changeClient(ctx, e, c.Client, "Disabled", func(client *account.Client) error {
		client.Disabled = true
		return nil
	})
}

type clientEnableCmd struct{ clientArg }

func (*clientEnableCmd) Help() string { return `  stagedoor client enable reports` }

// Run enables the client.
func (c *clientEnableCmd) Run(ctx context.Context, e *env) error {
	return changeClient(ctx, e, c.Client, "Enabled", func(client *account.Client) error {
		client.Disabled = false
		return nil
	})
}

type clientRemoveCmd struct {
	clientArg
	Yes bool `help:"Do not ask. Only a terminal is asked at all." short:"y"`
}

func (*clientRemoveCmd) Help() string {
	return `The client is gone for good, with the tokens that were issued to it and the sessions of those who are logged in with it.

  stagedoor client remove reports
  stagedoor client remove reports --yes`
}

// Run asks, at a terminal and unless --yes is given, and removes the client.
func (c *clientRemoveCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		client, err := s.clients.Find(ctx, c.Client)
		if err != nil {
			return err
		}
		if err := sure(ctx, e, c.Yes, fmt.Sprintf("Remove the client %s for good?", client.ID)); err != nil {
			return err
		}
		if err := s.clients.Remove(ctx, client.ID); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "Removed the client %s.\n", client.ID)
		return nil
	})
}

// changeClient changes one client and says so.
func changeClient(ctx context.Context, e *env, id, done string, change func(*account.Client) error) error {
	return withState(ctx, e, func(s *state) error {
		client, err := s.clients.Update(ctx, id, change)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s the client %s.\n", done, client.ID)
		return nil
	})
}
