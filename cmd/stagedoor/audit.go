package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
)

type auditCmd struct {
	Since   moment      `help:"From this time on: a date, a time as RFC 3339 has it (UTC where it names no zone), or how long ago, such as 24h or 7d." placeholder:"TIME"`
	Until   moment      `help:"Before this time." placeholder:"TIME"`
	Action  []string    `help:"Only this action, such as login.failed, or all of a kind, such as login; repeat it for several." placeholder:"ACTION"`
	Actor   string      `help:"Only what they did: an account, by its username, e-mail address or id; or KIND:ID or KIND, as the table names them, such as client:reports, operator:root or operator." placeholder:"ACTOR"`
	Account string      `help:"Only about this account: its username, e-mail address or id; the id of one that is gone." placeholder:"ACCOUNT"`
	Client  string      `help:"Only by way of this client, or about it." placeholder:"ID"`
	Outcome outcome     `help:"Only successes or failures." placeholder:"success|failure"`
	Limit   int         `help:"How many at most: the latest. Default: ${default}." default:"100" placeholder:"N"`
	Output  auditOutput `help:"How to print: text for people; json, one list whose members stay; or jsonl, an event a line. Default: ${default}." short:"o" default:"text" placeholder:"text|json|jsonl"`
}

func (*auditCmd) Help() string {
	return `What happened: logins and failures, tokens issued, refreshed and revoked, changes of accounts, clients and keys; the latest comes last, in every format. An event is stored together with what it tells of, so no change is without one. No event has a password, secret or token.

  stagedoor audit
  stagedoor audit --action login.failed --since 1h
  stagedoor audit --action client --action key --since 7d             all about clients and keys
  stagedoor audit --actor operator                                    what was done at the command line
  stagedoor audit --account carol --since 2026-11-01 --limit 1000
  stagedoor audit --output json | jq -r '.[] | select(.actor_kind == "operator") | .action'
  stagedoor audit --since 24h --limit 1000000 --output jsonl > yesterday.jsonl

The table names accounts as they are called now, and JSON by their ids, which never change.`
}

// outcome is how what events tell of has ended; empty is either.
type outcome string

// UnmarshalText refuses what no event has.
func (o *outcome) UnmarshalText(text []byte) error {
	*o = outcome(text)
	if *o != account.Success && *o != account.Failure {
		return fmt.Errorf("%q is not one of %s, %s", text, account.Success, account.Failure)
	}
	return nil
}

// auditOutput is how events are printed.
type auditOutput string

const (
	auditText  auditOutput = "text"
	auditJSON  auditOutput = "json"
	auditLines auditOutput = "jsonl"
)

// UnmarshalText refuses every other format.
func (o *auditOutput) UnmarshalText(text []byte) error {
	*o = auditOutput(text)
	if !slices.Contains([]auditOutput{auditText, auditJSON, auditLines}, *o) {
		return fmt.Errorf("%q is not one of %s, %s, %s", text, auditText, auditJSON, auditLines)
	}
	return nil
}

// Validate refuses what no event can match: silence would look like innocence.
func (c *auditCmd) Validate() error {
	if c.Limit < 1 {
		return errors.New("--limit is less than 1")
	}
	_, err := namedActions(c.Action)
	return err
}

// Run prints events.
func (c *auditCmd) Run(ctx context.Context, e *env) error {
	actions, err := namedActions(c.Action)
	if err != nil {
		return err
	}
	query := account.EventQuery{
		Since: c.Since.time(e.now()), Until: c.Until.time(e.now()), Actions: actions,
		ClientID: c.Client, Outcome: string(c.Outcome),
	}
	if !query.Since.IsZero() && !query.Until.IsZero() && !query.Since.Before(query.Until) {
		return usageError(fmt.Sprintf("--since %s is not before --until %s", stamp(query.Since), stamp(query.Until)))
	}
	return withState(ctx, e, func(s *state) error {
		if query.ActorKind, query.ActorID, err = auditedActor(ctx, s, c.Actor); err != nil {
			return err
		}
		if query.AccountID, err = auditedAccount(ctx, s, c.Account); err != nil {
			return err
		}
		query.Limit = c.Limit + 1 // to know whether there are more
		events, err := s.events.List(ctx, query)
		if err != nil {
			return err
		}
		more := len(events) > c.Limit
		events = events[:min(len(events), c.Limit)]
		slices.Reverse(events)
		if err := c.print(ctx, e, s, events); err != nil {
			return err
		}
		if more {
			fmt.Fprintf(e.stderr, "There are earlier ones: these are the latest %d; --limit N shows more.\n", c.Limit)
		}
		return nil
	})
}

func (c *auditCmd) print(ctx context.Context, e *env, s *state, events []account.Event) error {
	switch {
	case c.Output == auditJSON:
		return writeJSON(e.stdout, list(events))
	case c.Output == auditLines:
		encoder := json.NewEncoder(e.stdout)
		encoder.SetEscapeHTML(false)
		for _, event := range events {
			if err := encoder.Encode(event); err != nil {
				return fmt.Errorf("printing JSON: %w", err)
			}
		}
		return nil
	case len(events) == 0:
		fmt.Fprintln(e.stderr, "There are no such events.")
		return nil
	}
	return printEvents(ctx, e, s, events)
}

// accountID is the shape of an account's id (a ULID), which no username has.
var accountID = regexp.MustCompile(`^[0-9A-Za-z]{26}$`)

// auditedAccount is the id of the account that is meant, which may be gone.
func auditedAccount(ctx context.Context, s *state, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	a, err := s.accounts.Find(ctx, ref)
	switch {
	case err == nil:
		return a.ID, nil
	case !errors.Is(err, account.ErrNotFound):
		return "", err
	case accountID.MatchString(ref):
		return strings.ToUpper(ref), nil
	}
	return "", fmt.Errorf("%w; for one that is gone, give the id: `stagedoor audit --action account.removed` shows it", err)
}

// auditedActor is the actor that is meant: all of a kind, one of a kind, or an
// account.
func auditedActor(ctx context.Context, s *state, ref string) (kind, id string, err error) {
	if ref == "" {
		return "", "", nil
	}
	kind, id, _ = strings.Cut(ref, ":")
	switch {
	case !slices.Contains(account.ActorKinds(), kind):
		kind, id = account.ActorAccount, ref
	case kind != account.ActorAccount || id == "":
		return kind, id, nil
	}
	if id, err = auditedAccount(ctx, s, id); errors.Is(err, account.ErrNotFound) {
		err = fmt.Errorf("--actor: %w; another actor is named as KIND:ID, where KIND is one of %s", err, strings.Join(account.ActorKinds(), ", "))
	}
	return kind, id, err
}
