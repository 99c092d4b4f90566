package oauth

import (
	"context"
	"net/netip"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// grant is what one grant type adds to the pipeline. Nothing else about it is
// known to the pipeline, and it can't leave out a step.
type grant interface {
	// check looks at the grant's own parameters, before anybody is
	// authenticated. It changes nothing; its error is an [*Error].
	check(f form) error
	// authenticate finds out who the token is about. An [*Error] is answered as
	// it is, [context.Canceled] and the like as unavailable, anything else as a
	// fault of the server.
	authenticate(ctx context.Context, r *tokenRequest) (*login, error)
}

// tokenRequest is a token request whose form has been read.
type tokenRequest struct {
	form      form
	grantType string
	grant     grant
	client    clientCredentials
	// scope and audience are what was requested; nil when nothing was.
	scope, audience []string
	clientIP        netip.Addr
	now             time.Time
}

// login is somebody who has proved who they are, but who has no token yet.
type login struct {
	subject authz.Subject
	// amr lists how they proved it (RFC 8176), such as "pwd".
	amr []string
	// accept settles the login: what a success changes is changed here, after
	// the token was signed and before it is answered. If it fails, nothing is
	// handed out.
	accept func(context.Context) error
	// reject settles a login that the policy refused on account of the subject:
	// to the outside it must look like one whose proof was wrong, in time too.
	reject func(context.Context) error
}
