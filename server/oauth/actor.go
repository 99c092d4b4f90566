package oauth

import (
	"context"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// Who acts is known better with each step of a request; audit events name who was
// known when they were written.

// actingCaller begins with an address.
func actingCaller(ctx context.Context, c *caller) context.Context {
	return account.WithActor(ctx, account.Actor{Kind: account.ActorAnonymous, ClientIP: addrText(c.ip), RequestID: c.requestID})
}

// actingClient adds the client; it acts by itself only where it has proved who it
// is.
func actingClient(ctx context.Context, c *account.Client) context.Context {
	actor := account.ActorFrom(ctx)
	actor.ClientID = c.ID
	if c.Confidential {
		actor.Kind, actor.ID = account.ActorClient, c.ID
	}
	return account.WithActor(ctx, actor)
}

// actingSubject replaces it by who has logged in.
func actingSubject(ctx context.Context, s *authz.Subject) context.Context {
	actor := account.ActorFrom(ctx)
	actor.ID = s.ID
	if actor.Kind = account.ActorAccount; s.Kind == authz.KindClient {
		actor.Kind = account.ActorClient
	}
	return account.WithActor(ctx, actor)
}
