package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagedoor/stagedoor/server/account"
)

type clientRotateSecretCmd struct {
	clientArg
	Overlap span `help:"How long the former secret is good yet, such as 24h or 7d; without it, no longer." placeholder:"DURATION"`
	outputFlag
}

func (*clientRotateSecretCmd) Help() string {
	return `The new secret is the last line that is printed, once: it can't be had again.

  stagedoor client rotate-secret reports                  the former secret has leaked
  stagedoor client rotate-secret reports --overlap 24h    time to hand out the new one

The tokens that the client has stay good until they expire: if the secret has leaked, ` + "`stagedoor client disable`" + ` keeps them out meanwhile.`
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
		secret, err := s.clients.RotateSecret(ctx, c.Client, c.Overlap.duration())
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(e.stdout, map[string]string{"client_id": c.Client, "client_secret": secret})
		}
		former := "the former one opens nothing any more"
		if c.Overlap > 0 {
			former = "the former one is good until " + stamp(e.now().Add(c.Overlap.duration()))
		}
		fmt.Fprintf(e.stdout, "Made a secret for the client %s; %s.\n", c.Client, former)
		fmt.Fprintf(e.stdout, "Its secret, which is shown only now:\n%s\n", secret)
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

func (*clientEnableCmd) Help() string {
	return `It may ask for tokens again. Those that were issued before it was disabled, and the sessions that ended then, do not come back.

  stagedoor client enable reports`
}

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
	return `The client is gone for good, with the tokens that were issued to it and the sessions of those who are logged in with it. To shut it out for a while, use ` + "`stagedoor client disable`" + `.

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
		if client.ID != account.FirstPartyClient { // which can't be removed: why ask
			if err := sure(ctx, e, c.Yes, fmt.Sprintf("Remove the client %s for good?", client.ID)); err != nil {
				return err
			}
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
