package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/stagedoor/stagedoor/server/account"
)

type clientAddCmd struct {
	ID           string     `arg:"" help:"Client id: printable ASCII without space, quote, backslash, colon, semicolon, comma and slash."`
	Name         string     `help:"Name for people to read." placeholder:"NAME"`
	Public       bool       `help:"A client that can keep nothing secret, such as an app on its user's device." xor:"kind"`
	Confidential bool       `help:"A client that proves itself; so is every one that is not --public." xor:"kind"`
	AuthMethod   authMethod `help:"How a confidential client proves itself: client_secret_basic (the default; client_secret_post will do, too) or private_key_jwt." placeholder:"METHOD"`
	JWKS         string     `name:"jwks" help:"File with the client's public keys as a JWK set, for private_key_jwt." type:"existingfile" placeholder:"FILE"`
	SecretStdin  bool       `help:"Take the secret from standard input, one line of at least 32 random characters, instead of making one: for a client that has one already."`
	Grant        []string   `help:"Grant that it may use: client_credentials, password, refresh_token, authorization_code. Repeat it for several." placeholder:"GRANT"`
	Scope        []string   `help:"Scope that it may be granted; '*' is every scope of the account that logs in with it." placeholder:"SCOPE"`
	Role         []string   `help:"Role that it has when it acts for itself." placeholder:"ROLE"`
	Audience     []string   `help:"Audience that it may ask for, and whose tokens it may introspect." sep:"none" placeholder:"URI"`
	RedirectURI  []string   `name:"redirect-uri" help:"Redirect URI." sep:"none" placeholder:"URI"`
	policyDirs              // to know the roles
	outputFlag
}

func (*clientAddCmd) Help() string {
	return `The secret that is made for a confidential client is the last line that is printed, once: it can't be had again, for only its hash is kept.

  stagedoor client add reports --grant client_credentials --scope items:read
  stagedoor client add shop-app --public --grant password --grant refresh_token --scope '*'
  stagedoor client add robot --auth-method private_key_jwt --jwks robot.json --grant client_credentials --scope items:read
  stagedoor client add billing --audience https://api.example.com             only introspects tokens
  stagedoor client add ci --grant client_credentials --scope items:read --output json | jq -r .client_secret

RFC 9700 forbids the password grant to new applications; it is for first-party clients of old.`
}

// authMethod is how a confidential client authenticates.
type authMethod string

// UnmarshalText refuses every other method, and says what stands for it.
func (m *authMethod) UnmarshalText(text []byte) error {
	switch *m = authMethod(text); *m {
	case account.AuthSecret, account.AuthPrivateKeyJWT:
		return nil
	case "client_secret_post":
		return fmt.Errorf("a client of %s may use client_secret_post, too: say that", account.AuthSecret)
	case account.AuthNone:
		return errors.New("a client that proves itself by nothing is a public one: say --public instead, when you add it")
	}
	return fmt.Errorf("%q is not one of %s, %s", text, account.AuthSecret, account.AuthPrivateKeyJWT)
}

// Validate refuses what does not go together.
func (c *clientAddCmd) Validate() error {
	byKey := c.AuthMethod == account.AuthPrivateKeyJWT
	switch {
	case c.Public && c.AuthMethod != "":
		return errors.New("--public and --auth-method can't be used together: a public client proves itself by nothing")
	case byKey && c.JWKS == "":
		return errors.New("private_key_jwt needs the client's public keys: --jwks FILE")
	case c.JWKS != "" && !byKey:
		return errors.New("--jwks is for a client that proves itself by a key: add --auth-method private_key_jwt")
	case c.SecretStdin && byKey:
		return errors.New("--secret-stdin is for a client that proves itself by a secret; this one does by a key")
	case c.SecretStdin && c.Public:
		return errors.New("--secret-stdin is for a client that proves itself by a secret; a public one has none")
	}
	return nil
}

// Run registers the client and prints its secret.
func (c *clientAddCmd) Run(ctx context.Context, e *env) error {
	client := account.Client{
		ID: c.ID, Name: c.Name, Confidential: !c.Public, AuthMethod: string(c.AuthMethod),
		Grants: notEmpty(c.Grant), Scopes: notEmpty(c.Scope), Roles: notEmpty(c.Role),
		Audiences: notEmpty(c.Audience), RedirectURIs: notEmpty(c.RedirectURI),
	}
	var err error
	if client.JWKS, err = readJWKS(c.JWKS); err != nil {
		return err
	}
	var given string
	if c.SecretStdin {
		if given, err = readSecret(ctx, e, c.ID); err != nil {
			return err
		}
	}
	c.warnOfUnknownRoles(ctx, e, c.Role)
	return withNewState(ctx, e, account.Options{}, func(s *state) error {
		var made string // a secret that was given is not printed: whoever gave it has it
		if c.SecretStdin {
			client, err = s.clients.CreateWithSecret(ctx, client, given)
		} else {
			client, made, err = s.clients.Create(ctx, client)
		}
		if err != nil {
			return err
		}
		adviseClient(e, client)
		if c.json() {
			view := viewClient(client)
			view.Secret = made
			return writeJSON(e.stdout, view)
		}
		fmt.Fprintf(e.stdout, "Added the client %s.\n", client.ID)
		if made != "" {
			fmt.Fprintf(e.stdout, "Its secret, which is shown only now:\n%s\n", made)
		}
		return nil
	})
}

// adviseClient says what a new client lacks before it gets a token that opens
// something.
func adviseClient(e *env, client account.Client) {
	grant := account.GrantClientCredentials
	if !client.Confidential {
		grant = account.GrantPassword
	}
	switch {
	case len(client.Grants) == 0:
		fmt.Fprintf(e.stderr, "It may use no grant yet: `stagedoor client set %s --add-grant %s`.\n", client.ID, grant)
	case len(client.Scopes) == 0:
		fmt.Fprintf(e.stderr, "Its tokens will carry no scope yet: `stagedoor client set %s --add-scope SCOPE`.\n", client.ID)
	}
}

// readSecret reads the secret that a client has already: typed without echo, or one
// line of standard input.
func readSecret(ctx context.Context, e *env, id string) (string, error) {
	if isTerminal(e.stdin) {
		return askSecret(ctx, e, fmt.Sprintf("Secret of the client %s: ", printable(id)))
	}
	secret, err := readLine(e.stdin)
	if errors.Is(err, io.EOF) {
		return "", errors.New("standard input holds no secret; pipe it as one line, or leave out --secret-stdin to have one made")
	}
	if err != nil {
		return "", fmt.Errorf("reading the client's secret from standard input: %w", err)
	}
	return secret, nil
}

// readJWKS reads a client's public keys; nil where no file is named.
func readJWKS(file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the client's keys: %w", err)
	}
	if !json.Valid(text) {
		return nil, usageError(fmt.Sprintf("--jwks %s: is not JSON, but should be a JWK set such as {\"keys\":[…]}", file))
	}
	return text, nil
}
