package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/problem"
	"github.com/stagedoor/stagedoor/server/route"
)

// retryAfter is when to ask again after a failure.
const retryAfter = time.Second

// deny answers a request that the policy did not allow.
func (v *visit) deny() {
	refusal := v.refusal()
	v.logDenial(refusal.Problem.Status)
	if refusal.Problem.Status == http.StatusMethodNotAllowed {
		v.answer.Header().Set("Allow", strings.Join(v.snapshot.Methods(v.question.Route), ", "))
	}
	v.refuse(refusal)
}

// refusal is the answers table: status, challenge and what the caller may know.
func (v *visit) refusal() *Refusal {
	q, d := &v.question, &v.passage.Decision
	refusal := &Refusal{Problem: problem.Problem{Status: status(q, d), DecisionID: v.passage.DecisionID}}
	refusal.Challenge = v.challenge(refusal.Problem.Status)
	p := &refusal.Problem
	switch p.Status {
	case http.StatusBadRequest:
		p.Detail = requestFault(q.TokenError)
	case http.StatusUnauthorized:
		p.Detail = "authenticate: send a valid access token in the Authorization header, as in Bearer TOKEN"
	case http.StatusNotFound:
		return refusal // not even why
	case http.StatusMethodNotAllowed:
		p.Detail = "use one of the methods in the Allow header"
		if len(v.snapshot.Methods(q.Route)) == 0 {
			p.Detail = "this path is closed: its route is declared without methods"
		}
	case http.StatusForbidden:
		p.Detail = "the policy does not allow this request"
	}
	if q.Subject != nil {
		for _, reason := range d.Reasons {
			p.Reasons = append(p.Reasons, problem.Reason{Code: reason.Code, Message: reason.Message})
		}
	}
	return refusal
}

// status is the status of a denial. What a caller without a valid token learns is
// that they must authenticate; only for a wrong method on a public path the
// policy may say so to anybody.
func status(q *authz.Request, d *authz.Decision) int {
	switch {
	case q.Subject == nil && d.Status == http.StatusMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case q.TokenError.InvalidRequest():
		return http.StatusBadRequest
	case q.Subject == nil:
		return http.StatusUnauthorized
	case d.Status >= 400 && d.Status <= 499:
		return d.Status
	}
	return http.StatusForbidden
}

// challenge is RFC 6750 section 3: no error code where no token was presented.
func (v *visit) challenge(status int) *problem.Challenge {
	q, c := &v.question, &problem.Challenge{Realm: v.gate.o.Realm}
	switch {
	case status == http.StatusUnauthorized && q.Subject == nil && q.TokenError == "":
	case status == http.StatusUnauthorized:
		c.Error = problem.InvalidToken
	case status == http.StatusBadRequest && q.TokenError != "":
		c.Error = problem.InvalidRequest
	case status == http.StatusForbidden && len(v.passage.Decision.Needs.Scope) > 0:
		// A copy, because a RefusalWriter gets it: requests share their decisions.
		c.Error, c.Scope = problem.InsufficientScope, slices.Clone(v.passage.Decision.Needs.Scope)
	default:
		return nil
	}
	return c
}

func requestFault(e authz.TokenError) string {
	switch e {
	case authz.TokenRepeated:
		return "send one Authorization header only"
	case authz.TokenInQuery:
		return "send the access token in the Authorization header, never in the query"
	case authz.TokenMalformedRequest:
		return "send the Authorization header as in Bearer TOKEN"
	}
	return ""
}

// refuse writes a refusal, in the route's own manner where it has one.
func (v *visit) refuse(refusal *Refusal) {
	refusal.Problem.RequestID = v.passage.RequestID
	if write := v.gate.o.Refusals[v.question.Route]; write != nil && v.question.Route != "" {
		write(&v.answer, v.r, refusal)
		return
	}
	if refusal.Challenge != nil {
		v.answer.Header().Set("WWW-Authenticate", refusal.Challenge.String())
	}
	problem.Write(&v.answer, refusal.Problem)
}

// refuseTarget answers a target that is not canonical. The log does not repeat
// it: a stranger wrote it, and its query may hold a token.
func (v *visit) refuseTarget(err error) {
	var code string
	p := problem.Problem{Status: http.StatusBadRequest, Detail: "send the path in its canonical spelling"}
	if refused := (*route.TargetError)(nil); errors.As(err, &refused) {
		code, p.Detail = refused.Code, refused.Detail
	}
	v.log(slog.LevelInfo, "request target refused", slog.String("fault", code), slog.Int("status", p.Status))
	v.refuse(&Refusal{Problem: p})
}

// refuseRewritten answers a request whose URL is not what its request line says:
// something in front of the gate changed it, so that the policy and the handler
// would look at different paths.
func (v *visit) refuseRewritten() {
	v.log(slog.LevelError, "request URL was rewritten in front of the gate; make the gate the outermost handler",
		slog.Int("status", http.StatusInternalServerError))
	v.refuse(&Refusal{Problem: problem.Problem{Status: http.StatusInternalServerError}})
}

// fail answers a request that could not be decided.
func (v *visit) fail(err error) {
	level := slog.LevelError
	if v.r.Context().Err() != nil {
		level = slog.LevelInfo // the client has gone
	} else if v.gate.o.ObserveFailure != nil {
		v.gate.o.ObserveFailure(v.r.Context(), err)
	}
	v.log(level, "request could not be decided", slog.String("path", v.question.Path), slog.String("route", v.question.Route),
		slog.Int("status", http.StatusServiceUnavailable), slog.Any("error", err))
	v.answer.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	v.refuse(&Refusal{
		Problem:    problem.Problem{Status: http.StatusServiceUnavailable, Detail: "the request could not be decided; try again"},
		RetryAfter: retryAfter,
	})
}

// recoverPanic answers for a handler that panicked. An answer that has begun can
// only be cut off.
func (v *visit) recoverPanic() {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler {
		panic(value)
	}
	v.log(slog.LevelError, "handler panicked", slog.String("path", v.question.Path),
		slog.String("panic", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
	if v.answer.hasBegun() {
		panic(http.ErrAbortHandler)
	}
	header := v.answer.Header()
	for name := range header {
		if !outlivesPanic(name) {
			delete(header, name)
		}
	}
	problem.Write(&v.answer, problem.Problem{
		Status: http.StatusInternalServerError, DecisionID: v.passage.DecisionID, RequestID: v.passage.RequestID,
	})
}

// outlivesPanic reports whether a header is the gate's, and not part of the
// answer that the handler had begun to make up.
func outlivesPanic(name string) bool {
	switch name {
	case "X-Request-Id", "X-Decision-Id", "Vary":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

// logDenial writes the line of a denial. Neither a token nor a query is in it.
func (v *visit) logDenial(status int) {
	q := &v.question
	attrs := []slog.Attr{slog.String("path", q.Path), slog.String("route", q.Route)}
	if q.Subject != nil {
		attrs = append(attrs, slog.String("subject", q.Subject.UniqueID()))
	}
	if q.TokenError != "" {
		attrs = append(attrs, slog.String("token_error", string(q.TokenError)))
	}
	v.log(slog.LevelInfo, "request denied", append(attrs,
		slog.Any("reasons", v.passage.Decision.Reasons), slog.Int("status", status),
		slog.String("decision_id", v.passage.DecisionID), slog.String("revision", v.passage.Decision.Revision))...)
}

// log adds what every line of the gate has.
func (v *visit) log(level slog.Level, message string, attrs ...slog.Attr) {
	ip := v.passage.ClientIP
	if !ip.IsValid() {
		ip = v.gate.clientIP(v.r)
	}
	line := []slog.Attr{slog.String("method", v.r.Method)}
	line = append(line, attrs...)
	line = append(line, slog.String("request_id", v.passage.RequestID))
	if ip.IsValid() {
		line = append(line, slog.String("client_ip", ip.String()))
	}
	v.gate.o.Logger.LogAttrs(v.r.Context(), level, message, line...)
}
