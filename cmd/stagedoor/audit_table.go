package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
)

// namedActions are the actions that somebody has named; see [account.NamedActions].
func namedActions(names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		named := account.NamedActions(name)
		if named == nil {
			return nil, fmt.Errorf("--action: there is no action %q, but %s", name, strings.Join(account.Actions(), ", "))
		}
		all = append(all, named...)
	}
	return all, nil
}

// printEvents prints a table, in which accounts have their present names.
func printEvents(ctx context.Context, e *env, s *state, events []account.Event) error {
	names := accountNames{accounts: s.accounts, known: map[string]string{}}
	rows := newTable(e.stdout)
	rows.row("TIME", "ACTION", "OUTCOME", "ACTOR", "CLIENT", "ABOUT", "ADDRESS", "DETAILS")
	for _, event := range events {
		actor, err := names.of(ctx, event.ActorKind, event.ActorID)
		if err != nil {
			return err
		}
		whose, err := names.of(ctx, "account", event.AccountID)
		if err != nil {
			return err
		}
		about := join(event.TargetKind, event.TargetID)
		if event.TargetKind == "" || event.TargetKind == "account" {
			about = whose
		}
		if whose == about || whose == actor {
			whose = "" // said already
		}
		rows.row(stamp(event.At), event.Action, event.Outcome, actor, dash(event.ClientID),
			dash(about), dash(event.ClientIP), dash(details(event, whose)))
	}
	return rows.flush()
}

// accountNames looks each account up once.
type accountNames struct {
	accounts *account.Directory
	known    map[string]string // by id
}

// of says who or what it is: an account by its name as long as it is there.
func (n accountNames) of(ctx context.Context, kind, id string) (string, error) {
	if kind != account.ActorAccount || id == "" {
		return join(kind, id), nil
	}
	name, found := n.known[id]
	if !found {
		switch a, err := n.accounts.Find(ctx, id); {
		case err == nil:
			name = a.Username
		case errors.Is(err, account.ErrNotFound):
			name = id
		default:
			return "", err
		}
		n.known[id] = name
	}
	return join(kind, name), nil
}

// join is "kind:id", or what there is of it.
func join(kind, id string) string {
	if id == "" && kind == account.ActorAccount {
		return ""
	}
	return strings.TrimSuffix(kind+":"+id, ":")
}

// details are the rest of an event, as NAME=VALUE.
func details(event account.Event, whose string) string {
	var parts []string
	if whose != "" {
		parts = append(parts, whose)
	}
	add := func(name, value string) {
		switch {
		case value == "":
			return
		case strings.ContainsAny(value, ` "=`): // or it could pass for two
			value = strconv.Quote(value)
		}
		parts = append(parts, name+"="+value)
	}
	add("reason", event.Reason)
	for _, name := range slices.Sorted(maps.Keys(event.Details)) {
		add(name, event.Details[name])
	}
	return strings.Join(parts, " ")
}
