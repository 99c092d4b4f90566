package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/policy"
)

type fixed struct{ snapshot *policy.Snapshot }

func (f fixed) Current() *policy.Snapshot { return f.snapshot }

// lineUpstream answers 204 and tells the first line of each request.
func lineUpstream(f *testing.F, lines chan<- string) string {
	return rawUpstream(f, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for first := ""; ; {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			if first == "" {
				first = strings.TrimSuffix(line, "\r\n")
			}
			if line == "\r\n" {
				lines <- first
				first = ""
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}
	})
}

// FuzzTarget: for any target, what the policy saw and what the upstream got are byte
// for byte what was sent, or the answer is 400.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"/", "/admin", "//admin", "/./admin", "/x/../admin", "/admin/", "/ADMIN", "/admin;x", "/admin%2f", "/%61dmin", "/admin%00",
		`/admin\`, "/admin%5c", "/admin?x=/../", "/admin#", "/%C0%AF", "/admin\xff", "/%252e", "/a%20b", "/a?", "/a??", "/a?b=c;d", "/a?%zz",
		"/a?b=%2e%2e", "http://x/admin", "*", "/a:b@c", "/'()*+,=!$&", "/caf%C3%A9?q=%c3%a9", "/a?x=1&y", "/a?#", "/[a]", "/a?[a]=1|2", "/^",
	} {
		f.Add("GET", seed)
	}
	f.Add("POST", "/a?b")
	f.Add("CONNECT", "/a")
	lines := make(chan string, 16)
	address := lineUpstream(f, lines)
	snapshot, err := policy.Load(context.Background(), policy.FS(
		fstest.MapFS{"authz/authz.rego": {Data: []byte("package authz\n\ndecision := {\"allow\": true}\n")}},
		fstest.MapFS{"data.yaml": {Data: []byte("routes:\n  /: {upstream: u, GET: {}}\n  /{path...}: {upstream: u, GET: {}}\nupstreams: {u: {url: 'http://" + address + "'}}\n")}},
	), policy.Options{Deadline: time.Minute})
	if err != nil {
		f.Fatal(err)
	}
	saw := make(chan string, 16)
	door, err := gate.New(gate.Options{Policy: fixed{snapshot}, Observe: func(_ context.Context, r *authz.Request, _ *authz.Decision) { saw <- r.Method + " " + r.Path }})
	if err != nil {
		f.Fatal(err)
	}
	g := gateway.New(gateway.Options{})
	f.Cleanup(g.Close)
	server := httptest.NewUnstartedServer(door.Wrap(g.Proxy(http.NotFoundHandler())))
	server.Config.DisableGeneralOptionsHandler = true
	server.Start()
	f.Cleanup(server.Close)

	f.Fuzz(func(t *testing.T, method, target string) {
		if strings.ContainsAny(method+target, "\r\n") || len(method)+len(target) > 4096 {
			return // not one request line
		}
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, method+" "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodHead})
		if err != nil {
			t.Fatalf("%q %q: %v", method, target, err)
		}
		response.Body.Close()
		select {
		case got := <-lines:
			path, _, _ := strings.Cut(target, "?")
			if want := method + " " + target + " HTTP/1.1"; got != want {
				t.Errorf("sent %q, the upstream got %q", want, got)
			}
			if policy := <-saw; policy != method+" "+path {
				t.Errorf("sent %q %q, the policy saw %q", method, target, policy)
			}
			if response.StatusCode != http.StatusNoContent {
				t.Errorf("%q %q: answered %d", method, target, response.StatusCode)
			}
		default:
			// A method that is no token is net/http's to refuse, too.
			if response.StatusCode != http.StatusBadRequest {
				t.Errorf("%q %q: answered %d, and nothing reached the upstream", method, target, response.StatusCode)
			}
			select {
			case policy := <-saw:
				if method == http.MethodConnect {
					break // is never passed on
				}
				t.Errorf("%q %q: the policy allowed %q, and nothing reached the upstream", method, target, policy)
			default:
			}
		}
	})
}
