package gate

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/problem"
	"github.com/stagedoor/stagedoor/server/token"
)

// Options is what a [Gate] is made of. Policy is required, and Tokens once tokens
// are to be understood; everything else may be left out.
type Options struct {
	// Policy holds the snapshot that decides; [policy.Engine] does.
	Policy interface{ Current() *policy.Snapshot }
	// Tokens verifies access tokens, as a [token.Verifier] does; its refusals unwrap
	// to [authz.TokenError]. Nil: every presented token is refused as unsupported.
	Tokens interface {
		Verify(ctx context.Context, raw string) (*token.Verified, error)
	}
	// Subjects finds who one of our own subjects is now. One that is gone is nil,
	// or account.ErrNotFound. It goes with Issuer; a program that only trusts other
	// issuers has neither.
	Subjects interface {
		Subject(ctx context.Context, id string) (*authz.Subject, error)
	}
	// Issuer is our own issuer. The subjects of its tokens are looked up in
	// Subjects; those of every other issuer that Tokens trusts are external,
	// whatever their names. Without one all are, and a token that Tokens takes for
	// our own can't be decided about.
	Issuer string
	// Realm names the protection space in challenges.
	Realm string
	// TrustedProxies are the networks whose X-Forwarded-For is believed. None by
	// default.
	TrustedProxies []netip.Prefix
	// Headers names the request headers that the policy may see. Those that carry
	// credentials are refused by [New].
	Headers []string
	// CORSOrigins are the origins that browsers may call from, such as
	// "https://app.example.com"; one "*" may stand for a part of an origin, or
	// for all. Without any there is no CORS.
	CORSOrigins []string
	// Loaders find a route's resource, by declared pattern.
	Loaders map[string]Loader
	// Refusals answer in a route's own manner, by declared pattern; others are
	// answered with problem documents.
	Refusals map[string]RefusalWriter
	// Observe is told each decision, before it is acted on. [FromContext] of its
	// context has the ids. It must not change what it is given. May be nil.
	Observe func(ctx context.Context, r *authz.Request, d *authz.Decision)
	// ObserveFailure is told each request that could not be decided and is answered
	// 503, with the reason, but not those whose client has gone. May be nil.
	ObserveFailure func(ctx context.Context, err error)
	// Logger gets a line for each denial (info) and failure (error); nil
	// discards.
	Logger *slog.Logger
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
	// NewID makes the ids of requests and decisions; nil means ULIDs.
	NewID func() string
}

// Loader finds the facts about the resource that a request is about, such as
// its owner. The policy judges them as input.resource. Nil without an error
// means that there is no such resource; with an error the request is answered
// 503. It is asked before the decision, for callers of every kind, so it must be
// cheap and change nothing; but only where the policy can read input.resource for
// the route and method.
type Loader func(ctx context.Context, r *authz.Request) (map[string]any, error)

// RefusalWriter answers a refused request. X-Request-ID, X-Decision-ID, Allow
// and Retry-After are set already, where they apply; the challenge is not.
type RefusalWriter func(w http.ResponseWriter, r *http.Request, refusal *Refusal)

// Refusal is what a refused caller may be told.
type Refusal struct {
	// Problem has the status, and the reasons where the caller may know them.
	Problem problem.Problem
	// Challenge goes into WWW-Authenticate; nil where there is none.
	Challenge *problem.Challenge
	// RetryAfter is when to try again, after a failure; 0 otherwise.
	RetryAfter time.Duration
}
