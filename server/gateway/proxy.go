package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/problem"
)

// exchange is a request on its way to an upstream. What is needed for it is in one
// value, so that it is allocated at once, and ReverseProxy's hooks are its methods, so
// that none has to look it up.
type exchange struct {
	gateway  *Gateway
	upstream *policy.Upstream
	passage  *gate.Passage
	told     identity
	// assertion is the same, signed; empty where the upstream wants none.
	assertion string
	// own are the answer's headers that were there before the upstream's. They are
	// kept apart, for an informational answer (103) would take them with it.
	own []field
	// body is the request's; nil where it has none.
	body   *requestBody
	writer responseWriter
	proxy  httputil.ReverseProxy

	began time.Time
	// ended: the exchange's outcome was told; passing: an answer has begun and not
	// ended; upgraded: it is a connection now.
	ended, passing, upgraded bool

	ownRoom [4]field   // for those of most answers
	values  [10]string // of the headers that the upstream gets, the first set of them
	set     int
}

// field is a header with its values.
type field struct {
	name   string
	values []string
}

// value makes a header's list of one value.
func (e *exchange) value(text string) []string {
	if e.set == len(e.values) {
		return []string{text}
	}
	e.values[e.set] = text
	e.set++
	return e.values[e.set-1 : e.set : e.set]
}

// Proxy is a handler inside the gate: requests whose route has an upstream go there,
// all others to next.
func (g *Gateway) Proxy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := gate.FromContext(r.Context())
		if p == nil {
			next.ServeHTTP(w, r)
			return
		}
		if u := p.Snapshot.Upstream(p.Request.Route); u != nil {
			g.serve(w, r, p, u)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, p *gate.Passage, u *policy.Upstream) {
	e := &exchange{gateway: g, upstream: u, passage: p, began: time.Now()}
	refuse := func(status int, detail string) {
		e.ends(Refused, 0)
		e.refuse(w, status, detail)
	}
	var err error
	if e.told, err = tell(r.Context(), p); err != nil {
		g.untold(p, err, refuse)
		return
	}
	if e.assertion, err = g.assert(u, p, e.told); err != nil {
		g.untold(p, err, refuse)
		return
	}
	if r.Method == http.MethodConnect {
		// What follows its answer would be a tunnel, on a connection that others get next.
		refuse(http.StatusBadRequest, "CONNECT is not for paths")
		return
	}
	if r.Host == "" && u.HostHeader == "" {
		// The upstream would get its own, whose routes have not decided.
		refuse(http.StatusBadRequest, "send a Host")
		return
	}
	if r.ContentLength > u.MaxBody {
		refuse(http.StatusRequestEntityTooLarge, "send a smaller body")
		return
	}
	e.own = e.ownRoom[:0]
	for name, values := range w.Header() {
		e.own = append(e.own, field{name, values})
	}
	clear(w.Header())

	e.writer = responseWriter{ResponseWriter: w, limits: newLimits(w, r, u.IdleTimeout)}
	upgrades, refuses := wantsWebSocket(r)
	if upgrades {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(g.life, cancel)()
		g.upgrades.Add(1)
		defer g.upgrades.Done()
		r = r.WithContext(ctx)
	}
	if refuses {
		r.Header = r.Header.Clone()
		r.Header.Del("Upgrade")
	}
	if hasBody(r) {
		ctx, giveUp := context.WithCancelCause(r.Context())
		defer giveUp(nil)
		e.body = &requestBody{
			ReadCloser: http.MaxBytesReader(w, r.Body, u.MaxBody), limits: &e.writer.limits,
			patience: u.ResponseTimeout, giveUp: giveUp,
		}
		e.writer.body = e.body
		r = r.WithContext(ctx)
		r.Body = e.body
	}
	// Answers whose length is unknown, and event streams, are flushed at once by
	// ReverseProxy itself.
	e.proxy = httputil.ReverseProxy{
		Rewrite: e.rewrite, Transport: e, ModifyResponse: e.modifyResponse, ErrorHandler: e.fail,
		BufferPool: &g.buffers, ErrorLog: g.errorLog,
	}
	defer e.leave()
	e.proxy.ServeHTTP(&e.writer, r)
	e.passing = false
	// The server still writes the end of the answer, perhaps long after its last part.
	e.writer.limits.beginWrite()
	e.writer.limits.endWrite()
}

// RoundTrip implements [http.RoundTripper] by the upstream's transport.
func (e *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	return e.gateway.transport(e.upstream).RoundTrip(r)
}

// wantsWebSocket reports whether a request asks to be upgraded to a WebSocket; or to
// something else, which is not passed on (RFC 9110 section 7.8 allows that): with h2c
// the caller could send the upstream requests that nobody decides. A request for a
// WebSocket has no body (RFC 6455 section 4.1).
func wantsWebSocket(r *http.Request) (upgrades, refuses bool) {
	values := r.Header["Upgrade"]
	upgrades = len(values) == 1 && strings.EqualFold(values[0], "websocket") && !hasBody(r)
	return upgrades, len(values) > 0 && !upgrades
}

// rewrite makes the request for the upstream.
func (e *exchange) rewrite(r *httputil.ProxyRequest) {
	u, out := e.upstream, r.Out
	out.URL.Scheme, out.URL.Host = u.Scheme, u.Host
	// What is sent are the very bytes that the policy saw. The gate has refused every
	// request whose URL is not what its request line said.
	out.URL.Opaque, out.URL.RawQuery = e.passage.Request.Path, r.In.URL.RawQuery
	out.Host = r.In.Host
	if u.HostHeader != "" {
		out.Host = u.HostHeader
	}

	out.Header.Del("Http2-Settings")
	// Some programs don't read such a body, and take it for a request on the connection.
	out.Close = e.body != nil && !takesBody(out.Method)
	// Some programs take trailers for headers.
	out.Trailer = nil
	e.gateway.pass(out.Header, r.In.Header)
	e.gateway.strip(out.Header, e.passage.Snapshot.DecisionHeaders())
	if u.RemoveToken {
		out.Header.Del("Authorization")
	}
	e.forwarded(out.Header, r.In)
	for _, h := range [...]struct{ name, value string }{
		{headerSubject, e.told.subject}, {headerScopes, e.told.scopes}, {headerRoles, e.told.roles},
		{headerAuthDecisionID, e.told.decisionID}, {headerDecisionID, e.told.decisionID}, {headerRequestID, e.told.requestID},
		{headerAssertion, e.assertion},
	} {
		if h.value != "" {
			out.Header[h.name] = e.value(h.value)
		}
	}
	e.gateway.decisionHeaders(e.passage, func(name string, values []string) { out.Header[name] = values })
}

// takesBody reports whether a method's requests have a body with a meaning (RFC 9110
// section 9.3).
func takesBody(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return false
	}
	return true
}

// forwarded says where the request came from. What came in is believed of trusted
// proxies only.
func (e *exchange) forwarded(header http.Header, in *http.Request) {
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	host, before := in.Host, ""
	if e.gateway.trusts(in.RemoteAddr) {
		if v := in.Header["X-Forwarded-Proto"]; len(v) == 1 && (v[0] == "http" || v[0] == "https") {
			proto = v[0]
		}
		if v := in.Header["X-Forwarded-Host"]; len(v) == 1 && isHost(v[0]) {
			host = v[0]
		}
		before = strings.Join(in.Header["X-Forwarded-For"], ", ")
	}
	header["X-Forwarded-Proto"] = e.value(proto)
	header["X-Forwarded-Host"] = e.value(host)
	if peer, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		if before != "" {
			peer = before + ", " + peer
		}
		header["X-Forwarded-For"] = e.value(peer)
	}
}

// modifyResponse puts the gate's headers on the upstream's answer, over what it says
// under the same names.
func (e *exchange) modifyResponse(answer *http.Response) error {
	if err := check(answer); err != nil {
		return err
	}
	if e.body != nil {
		e.body.answered.Store(true)
	}
	e.answered(answer.StatusCode)
	for _, own := range e.own {
		if own.name == "Vary" {
			answer.Header[own.name] = append(own.values[:len(own.values):len(own.values)], answer.Header[own.name]...)
			continue
		}
		answer.Header[own.name] = own.values
	}
	return nil
}

// errBadAnswer is for answers that are not passed on.
var errBadAnswer = errors.New("the upstream's answer is not one that can be passed on")

// check refuses a status that is none, and a switch to anything but the WebSocket
// that was asked for: on such a connection the caller could send the upstream requests
// that nobody decides.
func check(answer *http.Response) error {
	switch status := answer.StatusCode; {
	case status >= http.StatusOK:
		return nil
	case status == http.StatusSwitchingProtocols && answer.Request.Header["Upgrade"] != nil &&
		strings.EqualFold(answer.Header.Get("Upgrade"), "websocket"):
		return nil
	}
	return fmt.Errorf("%w: %s", errBadAnswer, answer.Status)
}

// fail answers for an upstream that gave no answer.
func (e *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	for _, own := range e.own {
		w.Header()[own.name] = own.values
	}
	if e.body != nil {
		if fault := e.body.fault.Load(); fault != nil {
			outcome := Refused
			defer func() { e.ends(outcome, 0) }()
			switch tooLarge := (*http.MaxBytesError)(nil); {
			case errors.As(*fault, &tooLarge):
				e.refuse(w, http.StatusRequestEntityTooLarge, "send a smaller body")
			case errors.Is(*fault, os.ErrDeadlineExceeded):
				e.refuse(w, http.StatusRequestTimeout, "the body did not come in time")
			case e.body.malformed(*fault):
				e.refuse(w, http.StatusBadRequest, "the body is not framed as RFC 9112 section 7.1 has it")
			default: // the caller has gone
				outcome = Aborted
				panic(http.ErrAbortHandler)
			}
			return
		}
	}
	cause := context.Cause(r.Context())
	if cause != nil && cause != errNotTaken {
		e.ends(Aborted, 0)
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	status, outcome, detail := http.StatusBadGateway, Unreachable, "the service behind could not be reached; try again later"
	switch timeout := net.Error(nil); {
	case cause == errNotTaken:
		err = cause
		fallthrough
	case errors.As(err, &timeout) && timeout.Timeout():
		status, outcome, detail = http.StatusGatewayTimeout, TimedOut, "the service behind did not answer in time; try again later"
	case errors.Is(err, errBadAnswer):
		detail = "the service behind gave no proper answer; try again later"
	}
	e.ends(outcome, 0)
	e.gateway.o.Logger.LogAttrs(r.Context(), slog.LevelError, "upstream failed", slog.String("upstream", e.upstream.Name),
		slog.String("route", e.passage.Request.Route), slog.Int("status", status), slog.Any("error", err),
		slog.String("request_id", e.passage.RequestID))
	e.refuse(w, status, detail)
}

func (e *exchange) refuse(w http.ResponseWriter, status int, detail string) {
	problem.Write(w, problem.Problem{
		Status: status, Detail: detail, DecisionID: e.passage.DecisionID, RequestID: e.passage.RequestID,
	})
}
