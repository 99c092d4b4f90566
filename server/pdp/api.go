package pdp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/problem"
)

// The paths of the endpoints.
const (
	evaluationPath     = "/access/v1/evaluation"
	evaluationsPath    = "/access/v1/evaluations"
	searchSubjectPath  = "/access/v1/search/subject"
	searchResourcePath = "/access/v1/search/resource"
	searchActionPath   = "/access/v1/search/action"
	metadataPath       = "/.well-known/authzen-configuration"
	routesPath         = "/access/routes"
)

// Paths are those of the endpoints, for a server that answers below a prefix, too.
func Paths() []string {
	return []string{evaluationPath, evaluationsPath, searchSubjectPath, searchResourcePath, searchActionPath, metadataPath, routesPath}
}

// Options are what an [API] is made of. URL is required.
type Options struct {
	// URL is where callers reach the endpoints, without a slash at its end: what the
	// metadata says, whatever the request's Host.
	URL string
	// Observe is told each question once it is answered; nil for nobody.
	Observe func(Event)
	// Logger gets a line for each evaluation, each batch and each search, and one for
	// each decision of a batch at level debug; nil discards.
	Logger *slog.Logger
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// API is the policy decision point's endpoints. It is safe for concurrent use.
type API struct {
	o Options
	// lists is how many callers at once are told their routes.
	lists chan struct{}
}

// New returns the endpoints.
func New(o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	return &API{o, make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// Register adds the routes.
func (a *API) Register(routes gin.IRouter) {
	routes.GET(metadataPath, a.serveMetadata)
	routes.GET(routesPath, a.serveRoutes)
	routes.POST(evaluationPath, a.serve(Evaluation, a.evaluation))
	routes.POST(evaluationsPath, a.serve(Evaluations, a.evaluations))
	for _, kind := range searches() {
		routes.POST(kind.path, a.serve(Search, func(c *call) (any, error) { return a.search(c, kind) }))
	}
}

// handler makes the body of an answer, or an error: a *fault is the caller's, any
// other the server's.
type handler func(c *call) (any, error)

// call is one request. All that it asks is decided by one snapshot, which is the one
// that let it pass the gate.
type call struct {
	ctx       context.Context
	passage   *gate.Passage
	snapshot  *policy.Snapshot
	questions *policy.AccessQuestions
	body      map[string]any
	// allowed and denied count the decisions that were made.
	allowed, denied int
}

// count counts a decision.
func (c *call) count(allowed bool) {
	if allowed {
		c.allowed++
	} else {
		c.denied++
	}
}

// fault is what is wrong with a request.
type fault struct {
	status  int
	detail  string
	missing bool // something is not there, as against something that is wrong
}

func (f *fault) Error() string { return f.detail }

func invalid(format string, args ...any) error {
	return &fault{status: http.StatusBadRequest, detail: fmt.Sprintf(format, args...)}
}

func missing(name string) error {
	return &fault{status: http.StatusBadRequest, detail: name + " is missing", missing: true}
}

func isMissing(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.missing
}

// errOutside says that the routes were not put behind a gate.
var errOutside = errors.New("the policy decision point must be served behind the gate")

func (a *API) newCall(g *gin.Context) *call {
	c := &call{ctx: g.Request.Context(), passage: gate.FromGin(g)}
	if c.passage != nil && c.passage.Snapshot != nil {
		c.snapshot = c.passage.Snapshot
		c.questions = c.snapshot.AccessQuestions()
	}
	return c
}

func (a *API) serve(endpoint Endpoint, handle handler) gin.HandlerFunc {
	return func(g *gin.Context) {
		began := a.o.Now()
		c := a.newCall(g)
		answer, err := a.answer(g, c, handle)
		a.observe(endpoint, c, err, began)
		if err != nil {
			a.refuse(g, c, err)
			return
		}
		writeJSON(g.Writer, answer, "no-store")
	}
}

func (a *API) answer(g *gin.Context, c *call, handle handler) (any, error) {
	if c.snapshot == nil {
		return nil, errOutside
	}
	var err error
	if c.body, err = readBody(g.Writer, g.Request); err != nil {
		return nil, err
	}
	return handle(c)
}

// refuse answers an error. What could not be decided is 503, as at the gate.
func (a *API) refuse(g *gin.Context, c *call, err error) {
	p := problem.Problem{Status: http.StatusServiceUnavailable, Detail: "the question could not be decided; try again"}
	if c.passage != nil {
		p.RequestID, p.DecisionID = c.passage.RequestID, c.passage.DecisionID
	}
	var f *fault
	switch {
	case errors.As(err, &f):
		p.Status, p.Detail = f.status, f.detail
	case errors.Is(err, errOutside):
		p.Status, p.Detail = http.StatusInternalServerError, ""
	default:
		g.Header("Retry-After", "1")
	}
	if f == nil {
		level := slog.LevelError
		if g.Request.Context().Err() != nil {
			level = slog.LevelInfo // the client has gone
		}
		a.o.Logger.Log(g.Request.Context(), level, "a question could not be decided",
			"path", g.FullPath(), "request_id", p.RequestID, "error", err)
	}
	problem.Write(g.Writer, p)
}

func writeJSON(w http.ResponseWriter, body any, cacheControl string) {
	text, err := json.Marshal(body)
	if err != nil { // what was decoded from JSON can be encoded
		problem.Write(w, problem.Problem{Status: http.StatusInternalServerError})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", cacheControl)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(text, '\n')) // a lost connection is no news
}

// maxLogged is how much of a caller's text a line of the log repeats, in bytes.
const maxLogged = 200

func logged(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return strings.ToValidUTF8(s[:maxLogged], "") + "…"
}

// from says in a line of the log who asked, in which request. An id of another issuer
// is told from one of our own.
func (c *call) from() slog.Attr {
	id := ""
	if subject := c.passage.Request.Subject; subject != nil {
		id = subject.UniqueID()
	}
	return slog.Group("", slog.String("asked_by", id), slog.String("request_id", c.passage.RequestID),
		slog.String("decision_id", c.passage.DecisionID), slog.String("revision", c.snapshot.Revision()))
}

// logDecision writes the line of an evaluation; properties and context are not in it.
func (a *API) logDecision(c *call, level slog.Level, q *authz.AccessRequest, d *authz.Access) {
	if !a.o.Logger.Enabled(c.ctx, level) {
		return
	}
	codes := make([]string, len(d.Reasons))
	for i, reason := range d.Reasons {
		codes[i] = reason.Code
	}
	a.o.Logger.LogAttrs(c.ctx, level, "access decided", slog.Bool("allow", d.Allow),
		slog.String("subject_type", logged(q.Subject.Type)), slog.String("subject", logged(q.Subject.ID)),
		slog.String("action", logged(q.Action.Name)),
		slog.String("resource_type", logged(q.Resource.Type)), slog.String("resource", logged(q.Resource.ID)),
		slog.Any("reasons", codes), c.from())
}
