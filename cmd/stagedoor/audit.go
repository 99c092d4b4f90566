package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

type auditCmd struct {
	Since   moment   `help:"From this time on: a date, a time as RFC 3339 has it, or how long ago, such as 24h." placeholder:"TIME"`
	Until   moment   `help:"Before this time." placeholder:"TIME"`
	Action  []string `help:"Only this action, such as login.failed; repeat it for several." placeholder:"ACTION"`
	Account string   `help:"Only about this account: its username, e-mail address or id; the id of one that is gone." placeholder:"ACCOUNT"`
	Client  string   `help:"Only by way of this client, or about it." placeholder:"ID"`
	Outcome string   `help:"Only successes or failures." enum:",success,failure" default:"" placeholder:"success|failure"`
	Limit   int      `help:"How many at most: the latest." default:"100" placeholder:"N"`
	outputFlag
}

func (*auditCmd) Help() string {
	return `What happened: logins and failures, tokens issued, refreshed and revoked, changes of accounts, clients and keys; the latest comes last. An event is stored together with what it tells of, so none is missing. No event has a password, secret or token.

  stagedoor audit
  stagedoor audit --action login.failed --since 1h
  stagedoor audit --account carol --since 2026-11-01 --limit 1000
  stagedoor audit --output json | jq -r '.[] | select(.actor_kind == "operator") | .action'`
}

// moment is a time on the command line; a duration counts back from now.
type moment struct {
	at  time.Time
	ago time.Duration
}

// UnmarshalText reads RFC 3339, a date, or a duration.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			m.at = at
			return nil
		}
	}
	ago, err := time.ParseDuration(string(text))
	if err != nil || ago <= 0 {
		return fmt.Errorf("%q is neither a date such as 2026-11-01, a time such as 2026-11-01T12:00:00Z, nor a duration such as 24h", text)
	}
	m.ago = ago
	return nil
}

// time is the moment; zero where none was given.
func (m moment) time(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago)
	}
	return m.at
}

// Validate refuses a limit that lists nothing.
func (c *auditCmd) Validate() error {
	if c.Limit < 1 {
		return errors.New("--limit is less than 1")
	}
	return nil
}

// Run prints events.
func (c *auditCmd) Run(ctx context.Context, e *env) error {
	return withState(ctx, e, func(s *state) error {
		query := account.EventQuery{
			Since: c.Since.time(e.now()), Until: c.Until.time(e.now()), Actions: c.Action,
			ClientID: c.Client, Outcome: c.Outcome, Limit: c.Limit,
		}
		if c.Account != "" {
			query.AccountID = c.Account
			switch a, err := s.accounts.Find(ctx, c.Account); {
			case err == nil:
				query.AccountID = a.ID
			case !errors.Is(err, account.ErrNotFound):
				return err
			}
		}
		events, err := s.events.List(ctx, query)
		if err != nil {
			return err
		}
		slices.Reverse(events)
		if c.json() {
			return writeJSON(e.stdout, list(events))
		}
		if len(events) == 0 {
			fmt.Fprintln(e.stderr, "There are no such events.")
			return nil
		}
		rows := newTable(e.stdout)
		rows.row("TIME", "ACTION", "ACTOR", "CLIENT", "ABOUT", "ADDRESS", "DETAILS")
		for _, event := range events {
			rows.row(stamp(event.At), event.Action, strings.TrimSuffix(event.ActorKind+":"+event.ActorID, ":"), dash(event.ClientID),
				dash(about(event)), dash(event.ClientIP), dash(details(event)))
		}
		return rows.flush()
	})
}

// about is whom or what an event is about.
func about(event account.Event) string {
	if event.TargetKind == "" {
		return event.AccountID
	}
	return event.TargetKind + ":" + event.TargetID
}

func details(event account.Event) string {
	var parts []string
	if event.Reason != "" {
		parts = append(parts, "reason="+event.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(event.Details)) {
		if value := event.Details[name]; value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, " ")
}
