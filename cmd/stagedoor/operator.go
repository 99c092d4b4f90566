package main

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/stagedoor/stagedoor/server/account"
)

// asOperator has the audit log name who sits at the command line: by the name that
// the operating system has for them or, where it has none (as in a container), by
// their number.
func asOperator(ctx context.Context) context.Context {
	actor := account.Actor{Kind: account.ActorOperator, ID: fmt.Sprintf("uid %d", os.Getuid())}
	if who, err := user.Current(); err == nil && who.Username != "" {
		actor.ID = who.Username
	}
	return account.WithActor(ctx, actor)
}

// asServer has the audit log name the server, for what it does by itself.
func asServer(ctx context.Context) context.Context {
	return account.WithActor(ctx, account.Actor{Kind: account.ActorServer})
}
