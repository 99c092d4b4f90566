package gate

import (
	"context"
	"net/netip"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
)

// Passage is what the gate found out about a request that it lets pass. It is
// for reading only.
type Passage struct {
	// Request is the question that the policy was asked: the caller as
	// Request.Subject (nil when anonymous), the route and its parameters.
	// Request.Resource is nil on routes whose policy does not read it, even where a
	// loader is registered: it was not called then.
	Request *authz.Request
	// Decision is the policy's answer.
	Decision authz.Decision
	// DecisionID is the decision's, as in X-Decision-ID.
	DecisionID string
	// RequestID is the request's, as in X-Request-ID.
	RequestID string
	// Snapshot is the policy that decided, with the table by which the request was
	// matched; whoever serves the request takes no other.
	Snapshot *policy.Snapshot
	// ClientIP is the caller's address, seen through trusted proxies only; not
	// valid where the connection has none.
	ClientIP netip.Addr
}

type passageKey struct{}

// passageContext is a request's context that knows the passage.
type passageContext struct {
	context.Context
	passage *Passage
}

// Value implements [context.Context].
func (c *passageContext) Value(key any) any {
	if _, ok := key.(passageKey); ok {
		return c.passage
	}
	return c.Context.Value(key)
}

// FromContext returns the passage of a request that came through a gate; nil
// outside of one.
func FromContext(ctx context.Context) *Passage {
	p, _ := ctx.Value(passageKey{}).(*Passage)
	return p
}
