package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/problem"
	"github.com/stagedoor/stagedoor/server/route"
)

// ForwardAuthPath is where other proxies ask. Below it they may append the path of
// the request that they ask about, as Envoy does.
const ForwardAuthPath = "/forward-auth"

// The headers by which proxies describe a request: nginx as docs/gateway.md
// configures it, and Caddy and Traefik by themselves.
const (
	headerOriginalURI     = "X-Original-Uri"
	headerOriginalMethod  = "X-Original-Method"
	headerForwardedURI    = "X-Forwarded-Uri"
	headerForwardedMethod = "X-Forwarded-Method"
	headerForwardedHost   = "X-Forwarded-Host"
)

// ForwardAuth answers the questions of other proxies, and has next answer everything
// else. It stands around the gate, for the one decision is about the request that is
// described, and not about the question: wrap is the gate's.
func (g *Gateway) ForwardAuth(wrap func(http.Handler) http.Handler, next http.Handler) http.Handler {
	decide := wrap(http.HandlerFunc(g.allowed))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		below, ok := strings.CutPrefix(r.RequestURI, ForwardAuthPath)
		if !ok || below != "" && below[0] != '/' && below[0] != '?' {
			next.ServeHTTP(w, r)
			return
		}
		answer := &questionWriter{ResponseWriter: w}
		g.answer(answer, r, below, decide)
		if g.o.Observe != nil {
			g.o.Observe(Event{Kind: Question, Outcome: answer.outcome})
		}
	})
}

// answer answers a question. What follows the path of questions is below.
func (g *Gateway) answer(w *questionWriter, r *http.Request, below string, decide http.Handler) {
	if !g.trusts(r.RemoteAddr) {
		w.outcome = Untrusted
		refuse(w, http.StatusForbidden, "only trusted proxies may ask; list this one's address in trusted-proxies")
		return
	}
	if below == "" || below[0] == '?' {
		// Caddy appends the query of the request that it describes.
		caddy := r.Header[headerForwardedURI] != nil && r.Header[headerOriginalURI] == nil
		switch query := strings.TrimPrefix(below, "?"); {
		case query == "" || caddy:
		case query == "mode=nginx":
			w.nginx = true
		default:
			refuse(w, http.StatusBadRequest, "the only parameter here is mode=nginx")
			return
		}
		below = ""
	}
	described, err := describe(r, below)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	// Whatever the answer, nothing that the caller made up stands in their place.
	for _, name := range []string{headerSubject, headerScopes, headerRoles, headerAuthDecisionID} {
		w.Header()[name] = []string{""}
	}
	decide.ServeHTTP(w, described)
}

// questionWriter remembers how a question was answered. In nginx's mode it answers in
// the only ways that auth_request knows: 2xx, 401 and 403; of anything else nginx makes
// a 500.
type questionWriter struct {
	http.ResponseWriter
	nginx   bool
	outcome Outcome // empty until there is an answer
}

// Unwrap is for [http.ResponseController].
func (w *questionWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *questionWriter) WriteHeader(status int) {
	if w.outcome == "" {
		w.outcome = questionOutcome(status)
	}
	if w.nginx && status >= 300 && status != http.StatusUnauthorized {
		status = http.StatusForbidden
	}
	w.ResponseWriter.WriteHeader(status)
}

func questionOutcome(status int) Outcome {
	switch {
	case status < 300:
		return Allowed
	case status == http.StatusBadRequest:
		return Malformed
	case status >= 500:
		return Failed
	}
	return Denied
}

// allowed answers a question about a request that may pass.
func (g *Gateway) allowed(w http.ResponseWriter, r *http.Request) {
	p := gate.FromContext(r.Context())
	told, err := tell(r.Context(), p)
	if err != nil {
		g.untold(p, err, func(status int, detail string) { refuse(w, status, detail) })
		return
	}
	header := w.Header()
	for _, name := range p.Snapshot.DecisionHeaders() {
		header[http.CanonicalHeaderKey(name)] = []string{""}
	}
	header[headerSubject] = []string{told.subject}
	header[headerScopes] = []string{told.scopes}
	header[headerRoles] = []string{told.roles}
	header[headerAuthDecisionID] = []string{told.decisionID}
	g.decisionHeaders(p, func(name string, values []string) { header[name] = values })
	w.WriteHeader(http.StatusOK)
}

// describe makes the request that a question is about.
func describe(r *http.Request, below string) (*http.Request, error) {
	method, host, target := r.Method, r.Host, below
	nginx := r.Header[headerOriginalURI] != nil || r.Header[headerOriginalMethod] != nil
	forwarded := r.Header[headerForwardedURI] != nil || r.Header[headerForwardedMethod] != nil
	var err error
	switch {
	case nginx && forwarded, below != "" && (nginx || forwarded):
		return nil, errors.New("the request is described in two ways; send either X-Original-* or X-Forwarded-* or a path below /forward-auth")
	case below != "":
	case nginx:
		if target, err = single(r.Header, headerOriginalURI); err != nil {
			return nil, err
		}
		if method, err = single(r.Header, headerOriginalMethod); err != nil {
			return nil, err
		}
	case forwarded:
		if target, err = single(r.Header, headerForwardedURI); err != nil {
			return nil, err
		}
		if method, err = single(r.Header, headerForwardedMethod); err != nil {
			return nil, err
		}
		if host, err = single(r.Header, headerForwardedHost); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("no request is described; see docs/gateway.md for what to send")
	}
	if !isMethod(method) {
		return nil, errors.New("the method that is described is malformed")
	}
	if !isHost(host) {
		return nil, errors.New("the host that is described is malformed")
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, errors.New("the target that is described is malformed")
	}
	described := r.WithContext(r.Context())
	described.Method, described.Host, described.URL, described.RequestURI = method, host, u, target
	described.Body, described.ContentLength, described.TransferEncoding = http.NoBody, 0, nil
	return described, nil
}

// single is a header's one value.
func single(header http.Header, name string) (string, error) {
	values := header[name]
	if len(values) != 1 || values[0] == "" {
		return "", errors.New(name + " has to be there once, with one value")
	}
	return values[0], nil
}

// isMethod reports whether a text is a method as one is declared: upper-case
// letters and hyphens.
func isMethod(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '-' })
}

// isHost reports whether a text can be a Host header's one value.
func isHost(s string) bool {
	_, err := route.ParseHost(s)
	return s != "" && err == nil
}

func refuse(w http.ResponseWriter, status int, detail string) {
	problem.Write(w, problem.Problem{Status: status, Detail: detail})
}
