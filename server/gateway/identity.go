package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

// The headers that say who asks, in the form of [http.CanonicalHeaderKey].
const (
	headerSubject        = "X-Auth-Subject"
	headerScopes         = "X-Auth-Scopes"
	headerRoles          = "X-Auth-Roles"
	headerAuthDecisionID = "X-Auth-Decision-Id"
	headerDecisionID     = "X-Decision-Id"
	headerRequestID      = "X-Request-Id"
)

// errUntellable is for a subject whose name, roles or scopes can't be written into a
// header so that only they are read from it.
var errUntellable = errors.New("the subject's id, roles or scopes can't be written into a header")

// identity is what an upstream is told about a request that may pass.
type identity struct{ subject, scopes, roles, decisionID, requestID string }

// tell finds out what to tell of a request. An error that is not errUntellable is one
// of the policy's.
func tell(ctx context.Context, p *gate.Passage) (identity, error) {
	scopes := ""
	if s := p.Request.Subject; s != nil && !s.Disabled {
		var err error
		if scopes, err = p.Snapshot.Scopes(ctx, p.Request); err != nil {
			return identity{}, err
		}
	}
	return identify(p, scopes)
}

// identify writes down who asks. An external subject is told with its issuer, as
// in https://issuer.example.com|id, for its id may well be one of ours.
func identify(p *gate.Passage, scopes string) (identity, error) {
	told := identity{decisionID: p.DecisionID, requestID: p.RequestID}
	s := p.Request.Subject
	if s == nil || s.Disabled {
		return told, nil // a public route may be open to who is disabled, but not as them
	}
	told.subject = s.ID
	if s.Kind == authz.KindExternal {
		told.subject = s.Issuer + "|" + s.ID
	} else if strings.Contains(s.ID, "|") {
		return told, errUntellable
	}
	for _, role := range s.Roles {
		if role == "" || strings.ContainsAny(role, ", ") {
			return told, errUntellable
		}
	}
	told.roles = strings.Join(s.Roles, ",")
	told.scopes = scopes
	for _, value := range []string{told.subject, told.roles, told.scopes} {
		if !isValue(value) {
			return told, errUntellable
		}
	}
	return told, nil
}

// untold answers a request whose caller can't be told to the service behind.
func (g *Gateway) untold(p *gate.Passage, err error, refuse func(status int, detail string)) {
	status, detail := http.StatusForbidden, "the caller can't be told to the service behind; see the server's log"
	if !errors.Is(err, errUntellable) {
		status, detail = http.StatusServiceUnavailable, "the caller can't be told to the service behind; try again later"
	}
	g.o.Logger.Error("request refused", "error", err, "status", status, "decision_id", p.DecisionID)
	refuse(status, detail)
}

// isValue reports whether a text comes out of a header as it went in.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// decisionHeaders calls set with the headers of a decision that data declares. What
// is not declared is not told, since it would not have been removed from requests
// for which the policy doesn't say it.
func (g *Gateway) decisionHeaders(p *gate.Passage, set func(name string, values []string)) {
	if len(p.Decision.Headers) == 0 {
		return
	}
	left := len(p.Decision.Headers)
	for _, name := range p.Snapshot.DecisionHeaders() {
		if values, ok := p.Decision.Headers[name]; ok {
			set(http.CanonicalHeaderKey(name), values)
			left--
		}
	}
	if left > 0 {
		g.o.Logger.Warn("the decision has headers that data.decision_headers does not declare; they are not passed on",
			slog.String("route", p.Request.Route), slog.String("decision_id", p.DecisionID))
	}
}

// strip removes from a request whatever an upstream could take for ours: what we
// say, what proxies say, and what changes method or path behind the policy's back,
// in any spelling that some program reads as the same name. Of the headers that the
// policy has seen it leaves those that it has seen, and no other spelling.
func (g *Gateway) strip(header http.Header, declared []string) {
	for name := range header {
		if spoofs(name, declared, g.seen) {
			delete(header, name)
		}
	}
}

// pass sees to it that an upstream gets the headers that the policy has seen: the
// caller may name any of them in Connection, and it would be gone.
func (g *Gateway) pass(out, in http.Header) {
	for _, name := range g.seen {
		if values := in[name]; values != nil {
			out[name] = values
		}
	}
}

// endToEnd are the canonical names among those that the policy sees, without those
// that belong to the connection.
func endToEnd(names []string) []string {
	var seen []string
	for _, name := range names {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		default:
			seen = append(seen, name)
		}
	}
	return seen
}

// stripped are the names that are removed from every request, as appendPlain
// writes them.
var stripped = map[string]bool{
	"x-auth-subject": true, "x-auth-scopes": true, "x-auth-roles": true, "x-auth-decision-id": true, "x-auth-assertion": true,
	"x-decision-id": true, "x-request-id": true,
	// Who asks, and from where, according to some proxy.
	"remote-user": true, "x-remote-user": true, "x-real-ip": true, "client-ip": true, "x-client-ip": true,
	"true-client-ip": true, "x-cluster-client-ip": true,
	// Where the request went, according to some proxy.
	"forwarded": true, "x-forwarded": true, "x-original-uri": true, "x-original-url": true, "x-original-method": true,
	"x-original-host": true, "x-rewrite-url": true, "x-envoy-original-path": true, "x-host": true,
	// Another method than the one that was decided.
	"x-http-method-override": true, "x-http-method": true, "x-method-override": true,
	// CGI makes of it where the program's own requests go.
	"proxy": true,
}

func spoofs(name string, declared, seen []string) bool {
	switch name { // the usual ones, without a look at their letters
	case "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Length", "Content-Type", "Cookie", "User-Agent":
		return false
	}
	var room [64]byte
	text := appendPlain(room[:0], name)
	if stripped[string(text)] || bytes.HasPrefix(text, []byte("x-forwarded-")) {
		return true
	}
	same := func(other string) bool {
		return len(other) == len(text) && string(appendPlain(text, other)[len(text):]) == string(text)
	}
	return slices.ContainsFunc(declared, same) ||
		slices.ContainsFunc(seen, func(other string) bool { return other != name && same(other) })
}

// appendPlain appends a name in lower case, with a hyphen for whatever is neither
// letter nor digit: CGI and its heirs (WSGI, Rack, PHP) don't tell those apart.
func appendPlain(text []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '-'
		}
		text = append(text, c)
	}
	return text
}
