package account

import (
	"context"
	"slices"
	"strings"
)

// changedClientMembers names what has changed, but for secrets and disabled.
func changedClientMembers(before, after *Client) []string {
	return changed([]comparison{
		{"client_name", before.Name == after.Name},
		{"confidential", before.Confidential == after.Confidential},
		{"token_endpoint_auth_method", before.AuthMethod == after.AuthMethod},
		{"jwks", string(before.JWKS) == string(after.JWKS)},
		{"grant_types", slices.Equal(before.Grants, after.Grants)},
		{"scopes", slices.Equal(before.Scopes, after.Scopes)},
		{"roles", slices.Equal(before.Roles, after.Roles)},
		{"audiences", slices.Equal(before.Audiences, after.Audiences)},
		{"redirect_uris", slices.Equal(before.RedirectURIs, after.RedirectURIs)},
	})
}

// effects are the events of a change, and the end of the sessions of a client that
// was disabled.
func (c *Clients) effects(ctx context.Context, action string, before, after *Client) (Effects, error) {
	var effects Effects
	var events []Event
	switch {
	case !before.Disabled && after.Disabled:
		events = append(events, clientEvent(ClientDisabled, after.ID))
		effects.Revoke = &SessionRevocation{ClientID: after.ID, Reason: "the client was disabled", At: after.UpdatedAt}
	case before.Disabled && !after.Disabled:
		events = append(events, clientEvent(ClientEnabled, after.ID))
	}
	if names := changedClientMembers(before, after); action != ClientChanged || len(names) > 0 || len(events) == 0 {
		e := clientEvent(action, after.ID)
		if len(names) > 0 {
			e.Details = map[string]string{"changed": strings.Join(names, " ")}
		}
		events = append(events, e)
	}
	var err error
	effects.Events, err = c.stamp.events(ctx, events)
	return effects, err
}

func clientEvent(action, id string) Event {
	return Event{Action: action, ClientID: id, TargetKind: "client", TargetID: id}
}
