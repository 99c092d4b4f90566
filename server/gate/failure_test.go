package gate_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/route"
	"github.com/stagedoor/stagedoor/server/token"
)

func TestPanickingHandler(t *testing.T) {
	d := openDoor(t, nil)
	got := d.do(t, "GET", "/panic")
	p := got.problem(t)
	if got.StatusCode != 500 || p.RequestID != got.Header.Get("X-Request-ID") || p.DecisionID == "" {
		t.Errorf("status %d, body %s", got.StatusCode, got.body)
	}
	if got.Header.Get("Content-Encoding") != "" || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("headers of the answer that did not come: %v", got.Header)
	}
	if strings.Contains(got.body, "hunter2") || strings.Contains(got.body, ".go") {
		t.Errorf("the body shows internals: %s", got.body)
	}
	if lines := d.logs.lines(t, "handler panicked"); len(lines) != 1 || !strings.Contains(lines[0]["stack"].(string), "harness_test.go") {
		t.Errorf("log: %v", lines)
	}
	if got := d.do(t, "GET", "/"); got.StatusCode != 200 {
		t.Errorf("afterwards: status %d, want 200", got.StatusCode)
	}
}

// An answer that has begun can only be cut off, so that its reader knows.
func TestPanicAfterTheAnswerBegan(t *testing.T) {
	d := openDoor(t, nil)
	got, err := http.Get(d.URL + "/panic-late")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "the first half" {
		t.Errorf("read %q, %v; want the first half and an unexpected end", body, err)
	}
	if got := d.do(t, "GET", "/"); got.StatusCode != 200 {
		t.Errorf("afterwards: status %d, want 200", got.StatusCode)
	}
}

func TestPanickingLoaderAndObserver(t *testing.T) {
	loader := openDoor(t, func(o *gate.Options) {
		o.Loaders = map[string]gate.Loader{"/items/{id}": func(context.Context, *authz.Request) (map[string]any, error) { panic("hunter2") }}
	})
	if got := loader.do(t, "DELETE", "/items/1", bearer("carol")); got.StatusCode != 500 || len(loader.handled()) > 0 {
		t.Errorf("loader: status %d, handled %v", got.StatusCode, loader.handled())
	}
	observer := openDoor(t, func(o *gate.Options) {
		o.Observe = func(context.Context, *authz.Request, *authz.Decision) { panic("hunter2") }
	})
	if got := observer.do(t, "GET", "/items/", bearer("carol")); got.StatusCode != 500 || len(observer.handled()) > 0 {
		t.Errorf("observer: status %d, handled %v", got.StatusCode, observer.handled())
	}
}

// What the policy is asked about a caller: who they are now, and why a token was
// refused.
func TestIdentity(t *testing.T) {
	d := openDoor(t, nil)
	tests := []struct {
		name       string
		headers    []string
		kind       authz.SubjectKind
		id         string
		tokenError authz.TokenError
	}{
		{"no token", nil, "", "", ""},
		{"ours", []string{bearer("carol")}, authz.KindAccount, carol, ""},
		{"another issuer's, with our subject's id", []string{bearer("external")}, authz.KindExternal, john, ""},
		{"unknown subject of our issuer", []string{bearer("gone")}, "", "", authz.TokenUnknownSubject},
		{"expired", []string{bearer("expired")}, "", "", authz.TokenExpired},
		{"malformed", []string{bearer("rubbish")}, "", "", authz.TokenMalformed},
		{"malformed request", []string{"Authorization: Bearer"}, "", "", authz.TokenMalformedRequest},
		{"repeated", []string{bearer("carol"), bearer("john")}, "", "", authz.TokenRepeated},
		{"Basic", []string{"Authorization: Basic Og=="}, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d.do(t, "GET", "/docs/x", tt.headers...)
			got := d.lastAsked(t)
			if got.TokenError != tt.tokenError {
				t.Errorf("token error %q, want %q", got.TokenError, tt.tokenError)
			}
			if (got.Subject != nil) != (tt.id != "") || (got.Claims != nil) != (tt.id != "") {
				t.Fatalf("subject %v, claims %v; want both or neither", got.Subject, got.Claims)
			}
			if got.Subject != nil && (got.Subject.Kind != tt.kind || got.Subject.ID != tt.id) {
				t.Errorf("subject %+v", got.Subject)
			}
			if got.Subject != nil && (got.Subject.Issuer != "") != (tt.kind == authz.KindExternal) {
				t.Errorf("issuer of the subject: %q", got.Subject.Issuer)
			}
			if passage := d.lastPassage(t); passage.Request.TokenError != tt.tokenError || passage.DecisionID == "" || passage.RequestID == "" || !passage.Decision.Allow {
				t.Errorf("passage %+v", passage)
			}
		})
	}
	if gate.FromContext(context.Background()) != nil {
		t.Error("a passage outside of a gate")
	}
}

// The loader's facts reach the policy and the handler.
func TestResource(t *testing.T) {
	d := openDoor(t, nil)
	d.do(t, "DELETE", "/items/a%20b", bearer("carol"))
	got := d.lastPassage(t).Request
	if got.Resource["id"] != "a b" || got.Params["id"] != "a b" || got.Route != "/items/{id}" || got.Path != "/items/a%20b" {
		t.Errorf("the policy was asked %+v", got)
	}
}

// A loader may be slow: it is called only where the policy can read what it finds.
func TestALoaderIsSparedWhereThePolicyDoesNotReadTheResource(t *testing.T) {
	calls := 0
	d := openDoor(t, func(o *gate.Options) {
		o.Loaders = map[string]gate.Loader{"/items/{id}": func(context.Context, *authz.Request) (map[string]any, error) {
			calls++
			return map[string]any{"owner": carol}, nil
		}}
	})
	if got := d.do(t, "GET", "/items/1", bearer("carol")); got.StatusCode != 200 || calls != 0 {
		t.Errorf("GET: status %d, %d calls; want none", got.StatusCode, calls)
	}
	if got := d.do(t, "DELETE", "/items/1", bearer("carol")); got.StatusCode != 200 || calls != 1 {
		t.Errorf("DELETE: status %d, %d calls; want one", got.StatusCode, calls)
	}
}

// What a cached decision holds is shared by all requests that get it.
func TestRefusalsLeaveTheSharedDecisionAlone(t *testing.T) {
	d := openDoor(t, nil)
	first := d.do(t, "POST", "/items/", bearer("carol"))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if got := d.do(t, "POST", "/items/", bearer("carol")); got.StatusCode != first.StatusCode || got.Header.Get("WWW-Authenticate") != first.Header.Get("WWW-Authenticate") {
					t.Errorf("status %d, challenge %q", got.StatusCode, got.Header.Get("WWW-Authenticate"))
				}
			}
		})
	}
	group.Wait()
}

func TestRefusalWriterOfARoute(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) {
		o.Refusals = map[string]gate.RefusalWriter{
			"/account": writeOAuth, "/token": writeOAuth, "/conflict": writeOAuth, "": writeOAuth,
		}
	})
	tests := []struct {
		method, target, body, challenge string
		status                          int
	}{
		{"GET", "/account", `{"error":"refused"}`, challengePlain, 401},
		{"GET", "/token", `{"error":"refused"}`, "", 405},
		{"GET", "/conflict", `{"error":"refused"}`, "", 503},
	}
	for _, tt := range tests {
		got := d.do(t, tt.method, tt.target)
		if got.StatusCode != tt.status || strings.TrimSpace(got.body) != tt.body || got.Header.Get("WWW-Authenticate") != tt.challenge {
			t.Errorf("%s: %d %q %q", tt.target, got.StatusCode, got.Header.Get("WWW-Authenticate"), got.body)
		}
		if tt.status == 405 && got.Header.Get("Allow") != "POST" || tt.status == 503 && got.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: headers %v", tt.target, got.Header)
		}
	}
	for _, target := range []string{"/nowhere", "//", "/admin"} {
		d.do(t, "GET", target).problem(t) // in no route's own manner
	}
}

func writeOAuth(w http.ResponseWriter, _ *http.Request, refusal *gate.Refusal) {
	if refusal.Challenge != nil {
		w.Header().Set("WWW-Authenticate", refusal.Challenge.String())
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(refusal.Problem.Status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "refused"})
}

// A refusal leaves the body alone: nobody waits for what a stranger sends.
func TestRefusalsDoNotReadTheBody(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	handler := testGate(t, d, nil).Wrap(http.HandlerFunc(d.serve))
	for _, target := range []string{"/items/", "/nowhere", "/conflict", "//"} {
		body := &countingReader{}
		r := httptest.NewRequest("POST", "/", body)
		r.RequestURI, r.URL.Path = target, target
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if body.reads > 0 {
			t.Errorf("%s: the body was read %d times", target, body.reads)
		}
	}

	t.Run("Expect: 100-continue", func(t *testing.T) {
		d := openDoor(t, nil)
		conn, err := net.Dial("tcp", d.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /items/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, " 401 ") {
			t.Errorf("first line %q, %v; want 401 at once", line, err)
		}
	})

	t.Run("Upgrade", func(t *testing.T) {
		d := openDoor(t, nil)
		got := d.raw(t, "GET /account HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		if got.StatusCode != 401 {
			t.Errorf("status %d, want 401", got.StatusCode)
		}
	})
}

type countingReader struct{ reads int }

func (c *countingReader) Read(p []byte) (int, error) { c.reads++; return len(p), nil }

// What passes may stream, and take the connection over.
func TestAnswersKeepTheirPowers(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	server := httptest.NewServer(testGate(t, d, nil).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/docs/hijack" {
			conn, buffer, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n")
			_ = buffer.Flush()
			return
		}
		if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("copied")); err != nil || n != 6 {
			t.Error(n, err)
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		w.(http.Flusher).Flush()
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})))
	defer server.Close()
	got, err := http.Get(server.URL + "/docs/stream")
	if err != nil {
		t.Fatal(err)
	}
	if r := readAll(t, got); r.body != "copied" {
		t.Errorf("body %q", r.body)
	}
	request, _ := http.NewRequest("GET", server.URL+"/docs/hijack", nil)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "test")
	upgraded, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer upgraded.Body.Close()
	if upgraded.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d, want 101", upgraded.StatusCode)
	}
}

// A client that went away before the decision is no failure of ours.
func TestClientIsGone(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w := httptest.NewRecorder()
	testGate(t, d, nil).Wrap(http.HandlerFunc(d.serve)).ServeHTTP(w, httptest.NewRequest("GET", "/broken-loader/1", nil).WithContext(ctx))
	lines := d.logs.lines(t, "request could not be decided")
	if w.Code != http.StatusServiceUnavailable || len(lines) != 1 || lines[0]["level"] != "INFO" {
		t.Errorf("status %d, log %s; want 503 at info", w.Code, d.logs)
	}
}

func TestObserveFailure(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name, target string
		ctx          context.Context
		status       int
		failures     int
	}{
		{"the engine fails", "/conflict", context.Background(), 503, 1},
		{"the loader fails", "/broken-loader/1", context.Background(), 503, 1},
		{"the client has gone", "/conflict", gone, 503, 0},
		{"a denial", "/account", context.Background(), 401, 0},
		{"a target that is not canonical", "//", context.Background(), 400, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &door{logs: &logBuffer{}}
			failures := 0
			g := testGate(t, d, func(o *gate.Options) {
				o.ObserveFailure = func(_ context.Context, err error) {
					failures++
					if err == nil {
						t.Error("a failure without an error")
					}
				}
			})
			r := httptest.NewRequest("GET", "/", nil).WithContext(tt.ctx)
			r.RequestURI, r.URL.Path = tt.target, tt.target
			w := httptest.NewRecorder()
			g.Wrap(http.HandlerFunc(d.serve)).ServeHTTP(w, r)
			if w.Code != tt.status || failures != tt.failures {
				t.Errorf("status %d and %d failures, want %d and %d", w.Code, failures, tt.status, tt.failures)
			}
		})
	}
}

// Question is what would be asked, and asks nothing.
func TestQuestion(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	g := testGate(t, d, nil)
	r := httptest.NewRequest("DELETE", "/items/42", nil)
	r.Header.Set("Authorization", "Bearer carol")
	q, err := g.Question(r)
	if err != nil {
		t.Fatal(err)
	}
	if q.Route != "/items/{id}" || q.Subject.ID != carol || q.Resource["owner"] != carol || len(d.asked) > 0 {
		t.Errorf("question %+v, asked %v", q, d.asked)
	}
	for target, want := range map[string]error{"//": &route.TargetError{}, "/broken-loader/1": errSecret} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = target
		_, err := g.Question(r)
		if refused := (*route.TargetError)(nil); err == nil || !errors.As(err, &refused) && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %T", target, err, want)
		}
	}
	if _, err := testGate(t, d, func(o *gate.Options) { o.Policy = fixed{} }).Question(r); err == nil {
		t.Error("a question without a policy")
	}
}

// Whether a token was revoked can't be found out: nobody is let in, and nobody is
// told that the token is bad.
func TestRevocationThatCannotBeAsked(t *testing.T) {
	keyring, err := token.OpenKeyring(t.Context(), &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	raw, _, _, err := keyring.Mint(token.Registered{
		Issuer: issuer, Subject: carol, Audience: []string{issuer}, ClientID: "c", Lifetime: time.Hour,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("the store is down")
	answer := error(nil)
	verifier := token.NewVerifier(keyring, token.VerifierOptions{
		Issuer: issuer, Audience: issuer,
		Revoked: func(context.Context, *token.Verified) (bool, error) { return false, answer },
	})
	d := openDoor(t, func(o *gate.Options) { o.Tokens = verifier })
	for _, step := range []struct {
		answer error
		want   int
	}{{nil, http.StatusOK}, {down, http.StatusServiceUnavailable}, {nil, http.StatusOK}} {
		answer = step.answer
		got := d.do(t, "GET", "/docs/x", bearer(raw))
		if got.StatusCode != step.want || got.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("with %v: %d %v, want %d", step.answer, got.StatusCode, got.Header, step.want)
		}
	}
}
