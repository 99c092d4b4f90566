package authz

import (
	"context"
	"time"
)

// Request is one question: may this HTTP request pass? It becomes the input of
// data.authz.decision, member by member; an empty member is left out of the
// input, so a policy sees it as undefined.
type Request struct {
	// Method is the request's method as it was sent, such as "GET".
	Method string
	// Host is the request's host in lower case, without a port or a dot at its end.
	Host string
	// Path is the canonical, still encoded path, exactly as an upstream gets it.
	Path string
	// Segments are the path's segments, decoded once. "/items/" has two: "items"
	// and "".
	Segments []string
	// Route is the declared pattern that host and path matched; empty when undeclared.
	Route string
	// Params are the values of the route's parameters, decoded once.
	Params map[string]string
	// Query holds the decoded query parameters.
	Query map[string][]string
	// Headers holds the configured headers only: lower-case names, never
	// credentials.
	Headers map[string][]string
	// Preflight is the method that a CORS preflight asks about. It is set only
	// when the configuration admits the preflight's origin.
	Preflight string
	// Subject is who asks, as they are now; nil when no token was presented, or
	// the one presented was refused.
	Subject *Subject
	// Claims is what the verified token says; nil exactly when Subject is.
	Claims *Claims
	// Resource holds the facts that the route's loader found; nil where there
	// is no loader, or nothing was found.
	Resource map[string]any
	// TokenError says why the presented token was refused; empty when none was
	// presented or it was good.
	TokenError TokenError
	// ClientIP is the caller's address, seen through trusted proxies only.
	ClientIP string
	// Now is the moment of the request.
	Now time.Time
}

// Decision answers a [Request]. The zero value denies.
type Decision struct {
	// Allow is true only when the policy answered with the boolean true.
	Allow bool
	// Status is the HTTP status that the policy wants for a denial, 400 to 499;
	// 0 when it did not say.
	Status int
	// Reasons is complete and ordered on a denial; it may be empty when allowed.
	Reasons []Reason
	// Needs says what would have to be presented for the request to pass.
	Needs Needs
	// Headers go to the upstream or onto the forward-auth answer. Names are in
	// lower case.
	Headers map[string][]string
	// Revision is the content digest of the policy that decided.
	Revision string
}

// Reason is one reason for a denial. Both members come from the METADATA of the
// rule that gave it.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// DependsOn is DependsOnResource where the same caller's same request for another
	// resource might not be refused for it; empty otherwise.
	DependsOn string `json:"-"`
}

// String is how a log in text shows it.
func (r Reason) String() string { return r.Code + " (" + r.Message + ")" }

// DependsOnResource is a value of [Reason].DependsOn.
const DependsOnResource = "resource"

// Needs is what a caller would have to present; it becomes the challenge of
// RFC 6750 section 3.
type Needs struct {
	Scope []string `json:"scope,omitempty"`
}

// Decider answers requests. An error means that no decision could be made (the
// engine failed, or its deadline passed); the request must then be refused.
type Decider interface {
	Decide(ctx context.Context, r *Request) (Decision, error)
}

// SubjectKind says which namespace a subject's id belongs to. An external
// subject is never mistaken for one of ours, whatever its id.
type SubjectKind string

// The kinds of subjects.
const (
	KindAccount  SubjectKind = "account"
	KindClient   SubjectKind = "client"
	KindExternal SubjectKind = "external"
)

// Subject is who asks, as they are now and not as they were when the token was
// minted. It is shared by many requests and must not be changed.
type Subject struct {
	Kind     SubjectKind
	ID       string
	Username string
	Roles    []string
	// Scopes are those that a client is registered with, or that an external
	// subject's token grants, as the configuration maps them; nil for accounts.
	Scopes     []string
	Disabled   bool
	Attributes map[string]any
	// Issuer names who vouches for an external subject; empty for our own.
	Issuer string
	// Prepared is the policy engine's own form of the other members, made once for
	// a subject that is kept; nil where the engine has not seen it. Whoever changes
	// another member takes it away.
	Prepared any
}

// UniqueID is an id that no other subject has: another issuer's may have the id of
// one of our own.
func (s *Subject) UniqueID() string {
	if s.Kind == KindExternal {
		return s.Issuer + " " + s.ID
	}
	return s.ID
}

// MaxNumber is how long a number may be that reaches a policy by a token, an
// account's attributes or a text, in bytes. A float64 needs 24, a 128-bit integer
// 40; but the policy computes with numbers exactly, at a cost that grows faster than
// their length.
const MaxNumber = 64

// Claims is a verified token's claims set, whole. It is shared by every request
// that presents the token and must not be changed.
type Claims struct {
	// Values holds the members as encoding/json decodes them, numbers as
	// json.Number.
	Values map[string]any
	// Prepared is the policy engine's own form of Values, made once for a token;
	// nil where the engine has not seen it.
	Prepared any
}
