package account

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// effects are what a change of an account brings with it: its events, and after a
// new password the end of its sessions, but for keep: whoever has them may be
// somebody else. A disabled account keeps its own: the policy refuses what they
// ask for, says why, and lets them go on once it is enabled.
func (d *Directory) effects(ctx context.Context, before, after *Account, keep string) (Effects, error) {
	var effects Effects
	var events []Event
	if before.PasswordHash != after.PasswordHash {
		events = append(events, accountEvent(AccountPasswordChanged, after))
		effects.Revoke = &SessionRevocation{AccountID: after.ID, Except: keep, Reason: "the password was changed", At: after.UpdatedAt}
	}
	switch {
	case !before.Disabled && after.Disabled:
		events = append(events, accountEvent(AccountDisabled, after))
	case before.Disabled && !after.Disabled:
		events = append(events, accountEvent(AccountEnabled, after))
	}
	if names := changedMembers(before, after); len(names) > 0 || len(events) == 0 {
		e := accountEvent(AccountChanged, after)
		e.Details["changed"] = strings.Join(names, " ")
		events = append(events, e)
	}
	var err error
	effects.Events, err = d.stamps.events(ctx, events)
	return effects, err
}

// changedMembers names what has changed, but for the password and disabled.
func changedMembers(before, after *Account) []string {
	return changed([]comparison{
		{"username", before.Username == after.Username},
		{"email", before.Email == after.Email},
		{"full_name", before.FullName == after.FullName},
		{"roles", slices.Equal(before.Roles, after.Roles)},
		{"attributes", maps.EqualFunc(before.Attributes, after.Attributes, sameJSON)},
	})
}

// comparison says of a member whether it is what it was.
type comparison struct {
	name string
	same bool
}

// changed names the members that are not what they were.
func changed(members []comparison) []string {
	var names []string
	for _, member := range members {
		if !member.same {
			names = append(names, member.name)
		}
	}
	return names
}

// sameJSON compares what normalizeAttributes has made.
func sameJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, sameJSON)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameJSON)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

func createdEvents(accounts []Account) []Event {
	events := make([]Event, len(accounts))
	for i := range accounts {
		events[i] = accountEvent(AccountCreated, &accounts[i])
	}
	return events
}

func accountEvent(action string, a *Account) Event {
	return Event{
		Action: action, AccountID: a.ID, TargetKind: "account", TargetID: a.ID,
		Details: map[string]string{"username": a.Username},
	}
}
