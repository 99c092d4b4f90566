package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/problem"
)

// exchange is a request on its way to an upstream.
type exchange struct {
	upstream *policy.Upstream
	passage  *gate.Passage
	told     identity
	// assertion is the same, signed; empty where the upstream wants none.
	assertion string
	// own are the answer's headers that were there before the upstream's. They are
	// kept apart, for an informational answer (103) would take them with it.
	own http.Header
	// body is the request's; nil where it has none.
	body *requestBody
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
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
	e := &exchange{upstream: u, passage: p}
	refuse := func(status int, detail string) { e.refuse(w, status, detail) }
	var err error
	if e.told, err = tell(r.Context(), p); err != nil {
		g.untold(p, err, refuse)
		return
	}
	if e.assertion, err = g.assert(u, p, e.told); err != nil {
		g.untold(p, err, refuse)
		return
	}
	if r.ContentLength > u.MaxBody {
		e.refuse(w, http.StatusRequestEntityTooLarge, "send a smaller body")
		return
	}
	e.own = maps.Clone(w.Header())
	clear(w.Header())

	bounds := newLimits(w, r, u.IdleTimeout)
	ctx := context.WithValue(r.Context(), exchangeKey{}, e)
	upgrades, refuses := wantsWebSocket(r.Header)
	if upgrades {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(g.life, cancel)()
		g.upgrades.Add(1)
		defer g.upgrades.Done()
	}
	r = r.WithContext(ctx)
	if refuses {
		r.Header = r.Header.Clone()
		r.Header.Del("Upgrade")
	}
	if r.Body != nil && r.Body != http.NoBody {
		e.body = &requestBody{ReadCloser: http.MaxBytesReader(w, r.Body, u.MaxBody), limits: bounds}
		r.Body = e.body
	}
	g.proxy.ServeHTTP(&responseWriter{ResponseWriter: w, limits: bounds}, r)
}

// wantsWebSocket reports whether a request asks to be upgraded to a WebSocket; or to
// something else, which is not passed on (RFC 9110 section 7.8 allows that): with h2c
// the caller could send the upstream requests that nobody decides.
func wantsWebSocket(header http.Header) (upgrades, refuses bool) {
	values := header["Upgrade"]
	upgrades = len(values) == 1 && strings.EqualFold(values[0], "websocket")
	return upgrades, len(values) > 0 && !upgrades
}

// rewrite makes the request for the upstream.
func (g *Gateway) rewrite(r *httputil.ProxyRequest) {
	e := exchangeOf(r.In.Context())
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
	// Some programs take trailers for headers.
	out.Trailer = nil
	strip(out.Header, e.passage.Snapshot.DecisionHeaders())
	if u.RemoveToken {
		out.Header.Del("Authorization")
	}
	g.forwarded(out.Header, r.In)
	for _, h := range [...]struct{ name, value string }{
		{headerSubject, e.told.subject}, {headerScopes, e.told.scopes}, {headerRoles, e.told.roles},
		{headerAuthDecisionID, e.told.decisionID}, {headerDecisionID, e.told.decisionID}, {headerRequestID, e.told.requestID},
		{headerAssertion, e.assertion},
	} {
		if h.value != "" {
			out.Header[h.name] = []string{h.value}
		}
	}
	g.decisionHeaders(e.passage, func(name string, values []string) { out.Header[name] = values })
}

// forwarded says where the request came from. What came in is believed of trusted
// proxies only.
func (g *Gateway) forwarded(header http.Header, in *http.Request) {
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	host, before := in.Host, ""
	if g.trusts(in.RemoteAddr) {
		if v := in.Header["X-Forwarded-Proto"]; len(v) == 1 && (v[0] == "http" || v[0] == "https") {
			proto = v[0]
		}
		if v := in.Header["X-Forwarded-Host"]; len(v) == 1 && isHost(v[0]) {
			host = v[0]
		}
		before = strings.Join(in.Header["X-Forwarded-For"], ", ")
	}
	header["X-Forwarded-Proto"] = []string{proto}
	header["X-Forwarded-Host"] = []string{host}
	if peer, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		if before != "" {
			peer = before + ", " + peer
		}
		header["X-Forwarded-For"] = []string{peer}
	}
}

// modifyResponse puts the gate's headers on the upstream's answer, over what it says
// under the same names.
func modifyResponse(answer *http.Response) error {
	e := exchangeOf(answer.Request.Context())
	for name, values := range e.own {
		if name == "Vary" {
			answer.Header[name] = append(values[:len(values):len(values)], answer.Header[name]...)
			continue
		}
		answer.Header[name] = values
	}
	return nil
}

// fail answers for an upstream that gave no answer.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := exchangeOf(r.Context())
	maps.Copy(w.Header(), e.own)
	if e.body != nil {
		if fault := e.body.fault.Load(); fault != nil {
			switch tooLarge := (*http.MaxBytesError)(nil); {
			case errors.As(*fault, &tooLarge):
				e.refuse(w, http.StatusRequestEntityTooLarge, "send a smaller body")
			case errors.Is(*fault, os.ErrDeadlineExceeded):
				e.refuse(w, http.StatusRequestTimeout, "the body did not come in time")
			default: // the caller has gone
				panic(http.ErrAbortHandler)
			}
			return
		}
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	status, detail := http.StatusBadGateway, "the service behind could not be reached; try again later"
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		status, detail = http.StatusGatewayTimeout, "the service behind did not answer in time; try again later"
	}
	g.o.Logger.LogAttrs(r.Context(), slog.LevelError, "upstream failed", slog.String("upstream", e.upstream.Name),
		slog.String("route", e.passage.Request.Route), slog.Int("status", status), slog.Any("error", err),
		slog.String("request_id", e.passage.RequestID))
	e.refuse(w, status, detail)
}

func (e *exchange) refuse(w http.ResponseWriter, status int, detail string) {
	problem.Write(w, problem.Problem{
		Status: status, Detail: detail, DecisionID: e.passage.DecisionID, RequestID: e.passage.RequestID,
	})
}

// requestBody gives each read of a caller's body a time limit of its own, and
// remembers why it could not be read.
type requestBody struct {
	io.ReadCloser
	limits limits
	fault  atomic.Pointer[error] // the transport may still read when it has given up
}

func (b *requestBody) Read(p []byte) (int, error) {
	_ = b.limits.control.SetReadDeadline(time.Now().Add(b.limits.idle))
	n, err := b.ReadCloser.Read(p)
	if err != nil || b.limits.streams {
		// At the end the server goes on watching whether the caller is still there.
		_ = b.limits.control.SetReadDeadline(time.Time{})
	}
	if err != nil && err != io.EOF {
		b.fault.Store(&err)
	}
	return n, err
}

// responseWriter gives each write of an answer a time limit of its own.
type responseWriter struct {
	http.ResponseWriter
	limits limits
}

// Unwrap is for [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *responseWriter) WriteHeader(status int) {
	w.limits.beginWrite()
	w.ResponseWriter.WriteHeader(status)
	w.limits.endWrite()
}

func (w *responseWriter) Write(p []byte) (int, error) {
	w.limits.beginWrite()
	n, err := w.ResponseWriter.Write(p)
	w.limits.endWrite()
	return n, err
}

// limits are the time limits of one request. The server's own are for its own short
// answers, and would cut a stream.
type limits struct {
	control *http.ResponseController
	idle    time.Duration
	// streams says that the connection has streams (HTTP/2), which are reset when a
	// deadline passes, even while nothing is read or written.
	streams bool
}

func newLimits(w http.ResponseWriter, r *http.Request, idle time.Duration) limits {
	l := limits{control: http.NewResponseController(w), idle: idle, streams: r.ProtoMajor > 1}
	_ = l.control.SetReadDeadline(time.Time{})
	_ = l.control.SetWriteDeadline(time.Time{})
	return l
}

func (l *limits) beginWrite() { _ = l.control.SetWriteDeadline(time.Now().Add(l.idle)) }

func (l *limits) endWrite() {
	if l.streams {
		_ = l.control.SetWriteDeadline(time.Time{})
	}
}
