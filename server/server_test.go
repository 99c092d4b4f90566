package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server"
)

// running is a real server on a free port, with its own state.
type running struct {
	*server.Server
	t     *testing.T
	state string // its state directory
	log   *logBuffer
	stop  func() // shuts it down gracefully and waits
}

// logBuffer collects the log of a server, which writes from many goroutines,
// and wakes a test that waits for a line.
type logBuffer struct {
	mu      sync.Mutex
	text    []byte
	written chan struct{} // of size 1
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	select {
	case b.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

// since is what was logged after the first n bytes.
func (b *logBuffer) since(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text[n:])
}

// waitAfter does something and returns once the log has then said text.
func (b *logBuffer) waitAfter(t *testing.T, text string, do func()) {
	t.Helper()
	start := len(b.since(0))
	do()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(b.since(start), text) {
		select {
		case <-b.written:
		case <-deadline:
			t.Fatalf("the log never said %q:\n%s", text, b.since(start))
		}
	}
}

// start runs a demo server in a state directory of its own; change may set
// further options.
func start(t *testing.T, change func(*server.Config)) *running {
	t.Helper()
	cfg := server.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.State = filepath.Join(t.TempDir(), "state")
	cfg.Demo = true
	cfg.PolicyTimeout = time.Minute // tests of other things don't depend on the machine's speed
	if change != nil {
		change(&cfg)
	}
	log := &logBuffer{written: make(chan struct{}, 1)}
	s, err := server.New(context.Background(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return &running{Server: s, t: t, state: cfg.State, log: log, stop: stop}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, a.body)
	}
	return members
}

func (r *running) do(request *http.Request) answer {
	r.t.Helper()
	client := http.Client{
		Timeout:       2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{response, string(body)}
}

// call sends a request with a bearer token, where one is given.
func (r *running) call(method, path, token, body string) answer {
	r.t.Helper()
	request, err := http.NewRequest(method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return r.do(request)
}

// login posts the article's form.
func (r *running) login(username, password, scope string) answer {
	r.t.Helper()
	form := url.Values{"username": {username}, "password": {password}}
	if scope != "" {
		form.Set("scope", scope)
	}
	request, err := http.NewRequest(http.MethodPost, r.URL()+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.do(request)
}

// token logs in and returns the access token.
func (r *running) token(username, password, scope string) string {
	r.t.Helper()
	a := r.login(username, password, scope)
	if a.StatusCode != http.StatusOK {
		r.t.Fatalf("login of %s: %d %s", username, a.StatusCode, a.body)
	}
	return a.json(r.t)["access_token"].(string)
}

// raw sends bytes as they are over a socket, and returns the status line's code.
func (r *running) raw(text string) int {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	// A server that has read enough may answer and close before all is written.
	_, _ = io.WriteString(conn, text)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatalf("no answer to %.80q: %v", text, err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestTheArticle is the flow that Stagedoor began as.
func TestTheArticle(t *testing.T) {
	s := start(t, nil)
	admin := s.token("johndoe", "secret", "")
	carol := s.token("carol", "secretcarol", "items:read")

	for _, c := range []struct {
		name, method, path, token string
		status                    int
		body                      string
	}{
		{"johndoe reads /admin-only", "GET", "/admin-only", admin, 200, `{"message":"Hello, admin!"}`},
		{"johndoe is no client", "GET", "/client-only", admin, 403, ""},
		{"carol reads /client-only", "GET", "/client-only", carol, 200, `{"message":"Hello, client!"}`},
		{"carol is no admin", "GET", "/admin-only", carol, 403, ""},
		{"carol reads items", "GET", "/items/", carol, 200, ""},
		{"carol without items:write", "POST", "/items/", carol, 403, ""},
		{"no token", "GET", "/admin-only", "", 401, ""},
		{"undeclared, known subject", "GET", "/nowhere", admin, 404, ""},
		{"undeclared, nobody", "GET", "/nowhere", "", 401, ""},
		{"HEAD as GET", "HEAD", "/admin-only", admin, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call(c.method, c.path, c.token, "")
			if a.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", a.StatusCode, c.status, a.body)
			}
			if c.body != "" {
				var got, want any
				if json.Unmarshal([]byte(a.body), &got) != nil || json.Unmarshal([]byte(c.body), &want) != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("body %s, want %s", a.body, c.body)
				}
			}
			if a.Header.Get("X-Request-ID") == "" || a.Header.Get("X-Decision-ID") == "" {
				t.Errorf("no X-Request-ID or X-Decision-ID: %v", a.Header)
			}
		})
	}

	t.Run("insufficient_scope names items:write", func(t *testing.T) {
		challenge := s.call("POST", "/items/", carol, `{"title":"x"}`).Header.Get("WWW-Authenticate")
		if !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="items:write"`) {
			t.Errorf("challenge %q", challenge)
		}
	})
	t.Run("no token gets a challenge without an error", func(t *testing.T) {
		challenge := s.call("GET", "/admin-only", "", "").Header.Get("WWW-Authenticate")
		if challenge != `Bearer realm="stagedoor"` {
			t.Errorf("challenge %q", challenge)
		}
	})
	t.Run("alice is disabled", func(t *testing.T) {
		if a := s.login("alice", "secretalice", ""); a.StatusCode != 400 || a.json(t)["error"] != "invalid_grant" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}
