package gate_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// testPolicy answers as the default one does, in fewer words, and fails to
// decide about /conflict.
const testPolicy = `package authz

decision := {"allow": true, "headers": {"x-tenant": ["acme"]}} if allow

else := {"allow": false, "status": status, "reasons": sort(reasons), "needs": {"scope": sort(needs)}}

decision := {"allow": "two answers"} if input.route == "/conflict"

default allow := false

allow if conditions.public

allow if {
	input.subject
	not input.subject.disabled
	is_object(conditions)
	count(needs) == 0
	count(reasons) == 0
}

allow if data.routes[input.route][input.preflight]

method := "GET" if input.method == "HEAD"

else := input.method

conditions := data.routes[input.route][method]

needs contains scope if {
	some scope in conditions.scopes
	not scope in split(object.get(input.claims, "scope", ""), " ")
}

reasons contains {"code": "missing_scope", "message": sprintf("needs scope %s", [scope])} if some scope in needs

reasons contains {"code": "missing_role", "message": "needs another role"} if {
	some role in conditions.roles
	not role in input.subject.roles
}

reasons contains {"code": "not_owner", "message": "only the owner may do this"} if {
	conditions.owner
	not owns
}

owns if input.resource.owner == input.subject.id

reasons contains {"code": "account_disabled", "message": "the account is disabled"} if input.subject.disabled

reasons contains {"code": "undeclared", "message": "nothing is declared at this path"} if not input.route

reasons contains {"code": "wanted_status", "message": "the route wants this status"} if conditions.wanted

default status := 403

status := conditions.wanted

status := 404 if not input.route

status := 405 if {
	input.route
	not conditions
	visible
}

visible if input.subject

visible if {
	some conditions in data.routes[input.route]
	conditions.public
}
`

const testRoutes = `routes:
  /: {GET: {public: true}}
  /token: {POST: {public: true}}
  /account: {GET: {}}
  /admin: {GET: {roles: [admin]}}
  /items/: {GET: {scopes: [items:read]}, POST: {scopes: [items:read, items:write]}}
  /items/{id}: {GET: {scopes: [items:read]}, DELETE: {owner: true}}
  /broken-loader/{id}: {GET: {owner: true}}
  /conflict: {GET: {public: true}}
  /panic: {GET: {public: true}}
  /panic-late: {GET: {public: true}}
  /traced: {TRACE: {scopes: [none]}}
  /wants/400: {GET: {wanted: 400}}
  /wants/401: {GET: {wanted: 401}}
  /wants/418: {GET: {wanted: 418}}
  /wants/503: {GET: {wanted: 503}}
  /docs/{path...}: {GET: {public: true}}
`

var loadPolicy = sync.OnceValues(func() (*policy.Snapshot, error) {
	return policy.Load(context.Background(), policy.FS(
		fstest.MapFS{"authz/authz.rego": {Data: []byte(testPolicy)}},
		fstest.MapFS{"routes.yaml": {Data: []byte(testRoutes)}},
	), policy.Options{Deadline: 10 * time.Second}) // a busy machine is no failure
})

// fixed is a policy that never changes.
type fixed struct{ snapshot *policy.Snapshot }

func (f fixed) Current() *policy.Snapshot { return f.snapshot }

const (
	issuer = "https://auth.example.com"
	carol  = "01CAROL"
	john   = "01JOHN"
	dave   = "01DAVE"
)

var errSecret = errors.New("dial tcp 10.9.8.7: password=hunter2")

// tokens knows a few tokens by name.
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (*token.Verified, error) {
	good := func(issuer, subject, scope string) (*token.Verified, error) {
		return &token.Verified{Issuer: issuer, Subject: subject, ID: "jti-" + raw, Claims: &authz.Claims{
			Values: map[string]any{"iss": issuer, "sub": subject, "scope": scope},
		}}, nil
	}
	switch raw {
	case "carol":
		return good(issuer, carol, "items:read")
	case "john":
		return good(issuer, john, "items:read items:write")
	case "dave":
		return good(issuer, dave, "items:read")
	case "gone":
		return good(issuer, "01GONE", "items:read")
	case "vanished":
		return good(issuer, "01VANISHED", "items:read")
	case "unreachable":
		return good(issuer, "01UNREACHABLE", "items:read")
	case "external":
		return good("https://other.example.com", john, "items:read")
	case "no-claims":
		return &token.Verified{Issuer: issuer, Subject: carol}, nil
	case "expired":
		return nil, fmt.Errorf("exp: %w", authz.TokenExpired)
	case "keys-unreachable":
		return nil, errSecret
	}
	return nil, authz.TokenMalformed
}

// subjects knows carol, john and dave.
type subjects struct{}

func (subjects) Subject(_ context.Context, id string) (*authz.Subject, error) {
	switch id {
	case carol:
		return &authz.Subject{Kind: authz.KindAccount, ID: carol, Username: "carol", Roles: []string{"client"}}, nil
	case john:
		return &authz.Subject{Kind: authz.KindAccount, ID: john, Username: "johndoe", Roles: []string{"admin"}}, nil
	case dave:
		return &authz.Subject{Kind: authz.KindAccount, ID: dave, Username: "dave", Disabled: true}, nil
	case "01VANISHED":
		return nil, nil
	case "01UNREACHABLE":
		return nil, errSecret
	}
	return nil, fmt.Errorf("subject %s: %w", id, account.ErrNotFound)
}

// door is a running server behind a gate.
type door struct {
	*httptest.Server
	logs *logBuffer

	mu       sync.Mutex
	served   []string
	passages []*gate.Passage
	asked    []authz.Request
}

// openDoor starts one. change may be nil.
func openDoor(t *testing.T, change func(*gate.Options)) *door {
	t.Helper()
	d := &door{logs: &logBuffer{}}
	handler := testGate(t, d, change).Wrap(http.HandlerFunc(d.serve))
	d.Server = httptest.NewUnstartedServer(handler)
	d.Config.DisableGeneralOptionsHandler = true
	d.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	d.Start()
	t.Cleanup(d.Close)
	return d
}

func testGate(t *testing.T, d *door, change func(*gate.Options)) *gate.Gate {
	t.Helper()
	snapshot, err := loadPolicy()
	if err != nil {
		t.Fatalf("the test's policy does not load: %v", err)
	}
	ids := 0
	options := gate.Options{
		Policy: fixed{snapshot}, Tokens: tokens{}, Subjects: subjects{}, Issuer: issuer, Realm: "stage",
		Loaders: map[string]gate.Loader{
			"/items/{id}": func(_ context.Context, r *authz.Request) (map[string]any, error) {
				if r.Params["id"] == "404" {
					return nil, nil
				}
				return map[string]any{"type": "item", "id": r.Params["id"], "owner": carol}, nil
			},
			"/broken-loader/{id}": func(context.Context, *authz.Request) (map[string]any, error) { return nil, errSecret },
		},
		Observe: func(_ context.Context, r *authz.Request, _ *authz.Decision) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.asked = append(d.asked, *r)
		},
		Logger: slog.New(slog.NewJSONHandler(d.logs, nil)),
		Now:    func() time.Time { return time.Date(2026, 11, 23, 17, 31, 0, 0, time.UTC) },
		NewID: func() string {
			d.mu.Lock()
			defer d.mu.Unlock()
			ids++
			return fmt.Sprintf("id-%d", ids)
		},
	}
	if change != nil {
		change(&options)
	}
	g, err := gate.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// serve is the handler behind the gate.
func (d *door) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.served = append(d.served, r.Method+" "+r.URL.EscapedPath())
	d.passages = append(d.passages, gate.FromContext(r.Context()))
	d.mu.Unlock()
	switch r.URL.Path {
	case "/panic":
		w.Header().Set("Content-Encoding", "br")
		w.Header().Set("Set-Cookie", "half=made")
		panic("hunter2 in a panic")
	case "/panic-late":
		_, _ = io.WriteString(w, "the first half")
		http.NewResponseController(w).Flush()
		panic("hunter2 in a panic")
	}
	fmt.Fprintf(w, "served %s %s", r.Method, r.URL.EscapedPath())
}

func (d *door) handled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.served)
}

func (d *door) lastAsked(t *testing.T) authz.Request {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		t.Fatal("the policy was not asked")
	}
	return d.asked[len(d.asked)-1]
}

func (d *door) lastPassage(t *testing.T) *gate.Passage {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.passages) == 0 || d.passages[len(d.passages)-1] == nil {
		t.Fatal("no request passed with a passage")
	}
	return d.passages[len(d.passages)-1]
}

// response is an answer that was read to its end.
type response struct {
	*http.Response
	body string
}

// do sends a request with the headers "Name: value".
func (d *door) do(t *testing.T, method, target string, headers ...string) response {
	t.Helper()
	request, err := http.NewRequest(method, d.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		request.Header.Add(name, strings.TrimPrefix(value, " "))
	}
	got, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, got)
}

// raw writes bytes to a connection of its own, and reads the one answer.
func (d *door) raw(t *testing.T, request string) response {
	t.Helper()
	conn, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	got, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return readAll(t, got)
}

func readAll(t *testing.T, r *http.Response) response {
	t.Helper()
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{r, string(body)}
}

func bearer(raw string) string { return "Authorization: Bearer " + raw }

// problemBody is what a problem document said.
type problemBody struct {
	Type, Title, Detail string
	Status              int
	Reasons             []authz.Reason
	DecisionID          string `json:"decision_id"`
	RequestID           string `json:"request_id"`
}

func (r response) problem(t *testing.T) problemBody {
	t.Helper()
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q, want a problem; body %q", got, r.body)
	}
	var p problemBody
	decoder := json.NewDecoder(strings.NewReader(r.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return p
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines returns the decoded lines with a message.
func (l *logBuffer) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(l.String()) {
		var decoded map[string]any
		if err := json.Unmarshal([]byte(line), &decoded); err != nil {
			t.Fatal(err)
		}
		if decoded["msg"] == message {
			lines = append(lines, decoded)
		}
	}
	return lines
}

// lastAskedOrNone is the zero request where the policy was not asked, or could
// not decide.
func (d *door) lastAskedOrNone() authz.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		return authz.Request{}
	}
	return d.asked[len(d.asked)-1]
}
