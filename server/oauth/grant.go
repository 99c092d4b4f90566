package oauth

import (
	"context"
	"net/netip"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// grant is what one grant type adds to the pipeline. Nothing else about it is
// known to the pipeline, and it can't leave out a step.
type grant interface {
	// check looks at the grant's own parameters, before anybody is
	// authenticated. It changes nothing; its error is an [*Error].
	check(f form) error
	// authenticate finds out who the token is about. An [*Error] is answered as
	// it is, anything else as a fault of the server.
	authenticate(ctx context.Context, r *tokenRequest) (*login, error)
}

// tokenRequest is a token request whose form has been read.
type tokenRequest struct {
	form      form
	grantType string
	grant     grant
	client    clientCredentials
	// by is the client, once it has authenticated.
	by *account.Client
	// scope and audience are what was requested; nil when nothing was.
	scope, audience []string
	clientIP        netip.Addr
	userAgent       string
	now             time.Time
}

// login is somebody who has proved who they are, but who has no token yet.
type login struct {
	subject authz.Subject
	// amr lists how they proved it (RFC 8176), such as "pwd".
	amr []string
	// refreshed is the login from before that this request goes on with; nil for a
	// new one.
	refreshed *refreshed
	// accept settles the proof: what a success changes is changed here, after the
	// token was signed and before it is answered. If it fails, nothing is handed
	// out. Nil where there is nothing to do.
	accept func(context.Context) error
	// checked is the account when its password was checked; nil where the proof was
	// another.
	checked *account.Account
	// reject settles a login that the policy refused on account of the subject:
	// to the outside it must look like one whose proof was wrong, in time too. Nil
	// where there is nothing to do.
	reject func(context.Context) error
	// refused makes the answer to a wrong proof.
	refused func(cause error) *Error
}

// refreshed is a session whose refresh token was presented.
type refreshed struct {
	session account.Session
	// rotate replaces the refresh token by its successor.
	rotate func(context.Context, account.Rotation) (string, error)
}

func settled(ctx context.Context, step func(context.Context) error) error {
	if step == nil {
		return nil
	}
	return step(ctx)
}
