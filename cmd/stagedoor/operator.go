package main

import (
	"context"
	"os/user"

	"github.com/stagedoor/stagedoor/server/account"
)

// asOperator has the audit log name who sits at the command line.
func asOperator(ctx context.Context) context.Context {
	actor := account.Actor{Kind: account.ActorOperator}
	if who, err := user.Current(); err == nil {
		actor.ID = who.Username
	}
	return account.WithActor(ctx, actor)
}

// asServer has the audit log name the server, for what it does by itself.
func asServer(ctx context.Context) context.Context {
	return account.WithActor(ctx, account.Actor{Kind: account.ActorServer})
}
