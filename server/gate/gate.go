package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/route"
)

// Gate lets those requests pass that the policy allows. It is safe for
// concurrent use.
type Gate struct {
	o       Options
	headers []string // canonical names
	cors    *cors.Cors
}

// New returns a gate. It fails where an option contradicts itself or would show
// the policy a credential; the message names the option.
func New(o Options) (*Gate, error) {
	if o.Policy == nil {
		return nil, errors.New("gate: Policy is missing; give it a policy.Engine")
	}
	if (o.Subjects == nil) != (o.Issuer == "") {
		return nil, errors.New("gate: Subjects and Issuer belong together: give both where tokens of an issuer of our own are good, neither where only those of other issuers are")
	}
	headers, err := visibleHeaders(o.Headers)
	if err != nil {
		return nil, err
	}
	for _, prefix := range o.TrustedProxies {
		if !prefix.IsValid() {
			return nil, errors.New("gate: TrustedProxies holds an invalid prefix")
		}
	}
	origins, err := newCORS(o.CORSOrigins)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gate{o: o, headers: headers, cors: origins}, nil
}

// CheckHeader reports what can't be an entry of Options.Headers: no header name
// (RFC 9110 section 5.1), or a header that carries credentials. The policy never
// sees those: decisions are logged, and replayed, with their input.
func CheckHeader(name string) error {
	if !isToken(name) {
		return fmt.Errorf("%q is not a header name", name)
	}
	if CarriesCredentials(name) {
		return fmt.Errorf("%s carries credentials, which the policy never sees; remove it", name)
	}
	return nil
}

// CarriesCredentials reports whether a header of this name, in any case, holds
// credentials.
func CarriesCredentials(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie":
		return true
	}
	return false
}

// visibleHeaders checks the names of the headers that the policy may see.
func visibleHeaders(names []string) ([]string, error) {
	var canonical []string
	for _, name := range names {
		if err := CheckHeader(name); err != nil {
			return nil, fmt.Errorf("gate: Headers: %w", err)
		}
		canonical = append(canonical, http.CanonicalHeaderKey(name))
	}
	slices.Sort(canonical)
	return slices.Compact(canonical), nil
}

// Wrap puts the gate around next.
func (g *Gate) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, next) })
}

func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	v := &visit{gate: g, r: r}
	v.answer.ResponseWriter = w
	v.question.Now = g.o.Now()
	v.makeIDs()
	v.passage.RequestID = v.requestID[0]
	v.answer.Header()[headerRequestID] = v.requestID[:]
	defer v.recoverPanic()
	if g.cors == nil {
		v.serve(next)
		return
	}
	g.cors.ServeHTTP(&v.answer, r, func(http.ResponseWriter, *http.Request) { v.serve(next) })
}

// visit is one request's way through the gate. What the gate adds to a request is
// in it, so that it is allocated at once.
type visit struct {
	gate     *Gate
	r        *http.Request
	snapshot *policy.Snapshot
	question authz.Request
	passage  Passage
	answer   answer
	context  passageContext

	segments              [6]string // room for those of most paths
	requestID, decisionID [1]string // values of the answer's header
}

func (v *visit) serve(next http.Handler) {
	target, err := route.ParseTargetInto(v.r.RequestURI, v.segments[:0])
	if err != nil {
		v.refuseTarget(err)
		return
	}
	host, err := route.ParseHost(v.r.Host)
	if err != nil {
		v.refuseTarget(err)
		return
	}
	if v.r.URL.EscapedPath() != target.Path || v.r.URL.RawQuery != target.RawQuery {
		v.refuseRewritten()
		return
	}
	if v.snapshot = v.gate.o.Policy.Current(); v.snapshot == nil {
		v.fail(errors.New("there is no policy"))
		return
	}
	v.read(&target, host)
	if err := v.decide(); err != nil {
		v.fail(err)
		return
	}

	v.context = passageContext{v.r.Context(), &v.passage}
	ctx := &v.context
	if v.gate.o.Observe != nil {
		v.gate.o.Observe(ctx, &v.question, &v.passage.Decision)
	}
	switch {
	case !v.passage.Decision.Allow:
		v.deny()
	case v.question.Preflight != "":
		v.answer.WriteHeader(http.StatusNoContent)
	default:
		next.ServeHTTP(&v.answer, v.r.WithContext(ctx))
	}
}

// decide finds out the facts and asks the policy. An error means that there is
// no decision.
func (v *visit) decide() error {
	if err := v.gather(); err != nil {
		return err
	}
	decision, err := v.snapshot.Decide(v.r.Context(), &v.question)
	if err != nil {
		return err
	}
	v.passage.Decision, v.passage.Snapshot = decision, v.snapshot
	v.passage.DecisionID = v.decisionID[0]
	v.answer.Header()[headerDecisionID] = v.decisionID[:]
	return nil
}

// gather completes the question with what the request itself does not say: who
// asks, and what about.
func (v *visit) gather() error {
	ctx, q := v.r.Context(), &v.question
	if err := v.identify(ctx); err != nil {
		return err
	}
	load := v.gate.o.Loaders[q.Route]
	if load != nil && q.Route != "" && q.Preflight == "" && v.snapshot.ReadsResource(ctx, q.Route, q.Method) {
		resource, err := load(ctx, q)
		if err != nil {
			return fmt.Errorf("loading the resource of %s: %w", q.Route, err)
		}
		q.Resource = resource
	}
	return nil
}

// read fills in what the question has from the request itself.
func (v *visit) read(target *route.Target, host string) {
	match, _ := v.snapshot.Match(host, target.Segments)
	v.passage.ClientIP = v.gate.clientIP(v.r)
	v.passage.Request = &v.question
	// Member by member: a whole one would be made elsewhere first, and copied. Now
	// is there already.
	q := &v.question
	q.Method = v.r.Method
	q.Host = host
	q.Path = target.Path
	q.Segments = target.Segments
	q.Route = match.Pattern
	q.Params = match.Params
	q.Query = target.Query
	q.Headers = v.gate.visible(v.r.Header)
	q.Preflight = v.gate.preflight(v.r)
	q.ClientIP = addressText(v.passage.ClientIP, v.r.RemoteAddr)
}

// visible picks the headers that the policy may see.
func (g *Gate) visible(header http.Header) map[string][]string {
	var seen map[string][]string
	for _, name := range g.headers {
		if values := header[name]; len(values) > 0 {
			if seen == nil {
				seen = make(map[string][]string, len(g.headers))
			}
			seen[strings.ToLower(name)] = values
		}
	}
	return seen
}
