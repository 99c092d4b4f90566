package server_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// upstream is a small service that remembers what reached it.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

// newUpstream serves /shop/...: what it got, or what the path's name says.
func newUpstream(t testing.TB) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r.Clone(context.Background()))
		u.mu.Unlock()
		switch r.URL.Path {
		case "/shop/slow":
			<-r.Context().Done()
		case "/shop/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/shop/echo":
			_, _ = io.Copy(w, r.Body)
		case "/shop/count":
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		case "/shop/large":
			size, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
			_, _ = io.CopyN(w, &measured{every: math.MaxInt, measure: func() {}}, size)
		case "/shop/early":
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "late")
		case "/shop/claims":
			w.Header().Set("X-Request-Id", "the upstream's")
			w.Header().Set("X-Decision-Id", "the upstream's")
		default:
			_, _ = io.WriteString(w, r.RequestURI)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

// take returns what has come since the last time.
func (u *upstream) take() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// rawUpstream hands each connection to a function, and closes it after that.
func rawUpstream(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// echoSocket upgrades to a WebSocket that sends back what comes, until it ends.
func echoSocket(w http.ResponseWriter) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, buffer)
}

const gatewayRoutes = `
  /shop/{path...}:
    upstream: shop
    GET: {public: true}
    POST: {public: true}
    PUT: {public: true}
    CONNECT: {public: true}
  /private/{path...}: {upstream: shop, GET: {scopes: [items:read]}, DELETE: {roles: [admin]}}
  /admin: {upstream: shop, GET: {roles: [admin]}}
`

// behind starts a server in front of an upstream. The declaration's members follow
// its url.
func behind(t *testing.T, url, members string, change func(*server.Config)) (*running, string) {
	t.Helper()
	_, data := copyDefaults(t)
	text, err := os.ReadFile(filepath.Join(data, "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, data, "routes.yaml", string(text)+gatewayRoutes)
	write(t, data, "upstreams.yaml", fmt.Sprintf("upstreams:\n  shop: {url: %q%s}\ndecision_headers: [x-tenant]\n", url, members))
	s := start(t, func(c *server.Config) {
		c.Data = data
		if change != nil {
			change(c)
		}
	})
	return s, data
}

func TestGatewayTellsTheUpstreamWhoAsks(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", nil)
	carol := s.token("carol", "secretcarol", "items:read")

	a := s.call("GET", "/private/a%20b?x=%2e%2e/", carol, "")
	if a.StatusCode != 200 || a.body != "/private/a%20b?x=%2e%2e/" {
		t.Fatalf("%d %q", a.StatusCode, a.body)
	}
	got := up.take()[0]
	if got.Header.Get("X-Auth-Subject") == "" || got.Header.Get("X-Auth-Scopes") != "items:read" || got.Header.Get("X-Auth-Roles") != "client" {
		t.Errorf("told %v", got.Header)
	}
	if got.Header.Get("X-Decision-Id") != a.Header.Get("X-Decision-Id") || got.Header.Get("X-Request-Id") != a.Header.Get("X-Request-Id") ||
		got.Header.Get("X-Auth-Decision-Id") != a.Header.Get("X-Decision-Id") {
		t.Errorf("ids: upstream %v, caller %v", got.Header, a.Header)
	}
	if got.Header.Get("Authorization") == "" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" ||
		got.Header.Get("X-Forwarded-Proto") != "http" || got.Header.Get("X-Forwarded-Host") != s.Addr().String() || got.Host != s.Addr().String() {
		t.Errorf("forwarded %v, host %s", got.Header, got.Host)
	}

	for _, refused := range []struct {
		method, path, token string
		status              int
	}{{"GET", "/private/x", "", 401}, {"DELETE", "/private/x", carol, 403}, {"GET", "/admin", carol, 403}, {"PUT", "/private/x", carol, 405}} {
		if a := s.call(refused.method, refused.path, refused.token, ""); a.StatusCode != refused.status {
			t.Errorf("%s %s: %d, want %d", refused.method, refused.path, a.StatusCode, refused.status)
		}
	}
	if seen := up.take(); len(seen) != 0 {
		t.Errorf("%d refused requests reached the upstream", len(seen))
	}
	if a := s.call("GET", "/shop/claims", "", ""); len(a.Header["X-Request-Id"]) != 1 || a.Header.Get("X-Decision-Id") == "the upstream's" {
		t.Errorf("the upstream speaks for the gate: %v", a.Header)
	}
	if a := s.call("GET", "/shop/early", "", ""); a.body != "late" || a.Header.Get("X-Request-Id") == "" {
		t.Errorf("after early hints: %q %v", a.body, a.Header)
	}
}

// TestUpstreamsAreToldTheScopesOfNow: a scope that the role has lost is not told, though
// the token still has it.
func TestUpstreamsAreToldTheScopesOfNow(t *testing.T) {
	up := newUpstream(t)
	s, data := behind(t, up.URL, "", nil)
	carol := s.token("carol", "secretcarol", "items:read items:write")
	told := func(want string) {
		t.Helper()
		if a := s.call("GET", "/private/a", carol, ""); a.StatusCode != 200 {
			t.Fatal(a.StatusCode, a.body)
		}
		if got := up.take()[0].Header.Get("X-Auth-Scopes"); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	told("items:read items:write")
	edit(t, filepath.Join(data, "roles.yaml"), "client: [items:read, items:write]", "client: [items:read]")
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	told("items:read")
}

func TestGatewayRemovesSpoofedHeaders(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, ", remove_token: true", nil)
	request := "GET /shop/x HTTP/1.1\r\nHost: shop.example.com\r\n" +
		"X-Auth-Subject: root\r\nx_auth_subject: root\r\nX_AUTH_ROLES: admin\r\nX-Auth_Scopes: all\r\nX.Auth.Roles: admin\r\nX-Decision-ID: 1\r\nX_Decision_Id: 1\r\n" +
		"X-Auth-Decision-Id: 1\r\nX-Tenant: other\r\nx_tenant: other\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX_Forwarded_Host: evil\r\nX-Forwarded-Prefix: /evil\r\n" +
		"Forwarded: for=6.6.6.6\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nX-Real-Ip: 6.6.6.6\r\n" +
		"Authorization: Basic eDp5\r\nX-Hop: 1\r\nConnection: close, X-Auth-Subject, X-Request-Id, X-Forwarded-For, X-Hop\r\nKeep-Alive: 5\r\nX-Mine: kept\r\n\r\n"
	if status := s.raw(request); status != 200 {
		t.Fatal(status)
	}
	got := up.take()[0]
	allowed := map[string]bool{"X-Auth-Decision-Id": true, "X-Decision-Id": true, "X-Request-Id": true, "X-Forwarded-For": true,
		"X-Forwarded-Proto": true, "X-Forwarded-Host": true, "X-Mine": true}
	for name, values := range got.Header {
		if !allowed[name] || len(values) != 1 {
			t.Errorf("the upstream got %s: %q", name, values)
		}
	}
	if h := got.Header; h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Forwarded-Host") != "shop.example.com" ||
		h.Get("X-Decision-Id") == "1" || h.Get("X-Request-Id") == "" || h.Get("X-Mine") != "kept" {
		t.Errorf("the upstream got %v", h)
	}
}

// TestGatewayUpgradesToWebSocketsOnly: after an upgrade to h2c the caller could speak
// to the upstream past the gate.
func TestGatewayUpgradesToWebSocketsOnly(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", nil)
	for _, upgrade := range []string{"Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"} {
		status := s.raw("GET /shop/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\n" + upgrade + "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
		if got := up.take(); status != 200 || len(got) != 1 || got[0].Header["Upgrade"] != nil || got[0].Header["Connection"] != nil || got[0].Header["Http2-Settings"] != nil {
			t.Errorf("%q: %d, the upstream got %v", upgrade, status, got[0].Header)
		}
	}
}

func TestGatewayDropsTrailers(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", nil)
	s.raw("POST /shop/count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Auth-Subject\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\nX-Auth-Subject: root\r\n\r\n")
	if got := up.take()[0]; len(got.Trailer) > 0 || got.Header["Trailer"] != nil || got.Header["X-Auth-Subject"] != nil {
		t.Errorf("%v %v", got.Header, got.Trailer)
	}
}

func TestGatewayBelievesTrustedProxies(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", func(c *server.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	s.raw("GET /shop/x HTTP/1.1\r\nHost: in.example.com\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example.com\r\nConnection: close\r\n\r\n")
	h := up.take()[0].Header
	if h.Get("X-Forwarded-For") != "203.0.113.7, 127.0.0.1" || h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != "shop.example.com" {
		t.Errorf("%v", h)
	}
}

// TestPolicySetsHeadersForTheUpstream: those that data declares, and no others.
func TestPolicySetsHeadersForTheUpstream(t *testing.T) {
	up := newUpstream(t)
	policies, _ := copyDefaults(t)
	if err := os.Remove(filepath.Join(policies, "authz", "authz_test.rego")); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(policies, "authz", "authz.rego"), `decision := {"allow": true} if {
	# 1.`, `decision := {"allow": true, "headers": {"X-Tenant": "acme", "x-other": "1"}} if {
	# 1.`)
	s, _ := behind(t, up.URL, "", func(c *server.Config) { c.Policies = policies; c.TrustedProxies = []string{"127.0.0.1"} })
	s.raw("GET /shop/x HTTP/1.1\r\nHost: h\r\nX_Tenant: evil\r\nConnection: close\r\n\r\n")
	if h := up.take()[0].Header; h.Get("X-Tenant") != "acme" || h.Get("X-Other") != "" || h.Get("X_tenant") != "" {
		t.Errorf("%v", h)
	}
	a := s.ask("/forward-auth", "", "X-Forwarded-Method", "GET", "X-Forwarded-Host", "h", "X-Forwarded-Uri", "/shop/x")
	if a.StatusCode != 200 || a.Header.Get("X-Tenant") != "acme" || a.Header.Get("X-Other") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

// TestRoutesChangeWhileRequestsRun: none fails, and each was proxied by the table
// that decided it: its upstream knows which paths are its own.
func TestRoutesChangeWhileRequestsRun(t *testing.T) {
	var strays atomic.Int64
	serve := func(name string) *httptest.Server {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// decision_headers says which table decided.
			if r.Header.Get("X-Table") != name {
				strays.Add(1)
			}
			_, _ = io.WriteString(w, name)
		}))
		t.Cleanup(up.Close)
		return up
	}
	one, two := serve("one"), serve("two")
	policies, _ := copyDefaults(t)
	if err := os.Remove(filepath.Join(policies, "authz", "authz_test.rego")); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(policies, "authz", "authz.rego"), `decision := {"allow": true} if {
	# 1.`, `decision := {"allow": true, "headers": {"x-table": data.table}} if {
	# 1.`)
	s, data := behind(t, one.URL, "", func(c *server.Config) { c.Policies = policies })
	table := func(name, url string) {
		s.log.waitAfter(t, "policy activated", func() {
			write(t, data, "upstreams.yaml", fmt.Sprintf("upstreams:\n  shop: {url: %q}\ndecision_headers: [x-table]\ntable: %s\n", url, name))
		})
	}
	table("one", one.URL)
	done := make(chan struct{})
	var group sync.WaitGroup
	var requests atomic.Int64
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				response, err := http.Get(s.URL() + "/shop/x")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != 200 {
					t.Errorf("status %d", response.StatusCode)
				}
				requests.Add(1)
			}
		})
	}
	for range 2 {
		table("two", two.URL)
		table("one", one.URL)
	}
	close(done)
	group.Wait()
	if strays.Load() > 0 {
		t.Errorf("%d of %d requests were decided by one table and proxied by the other", strays.Load(), requests.Load())
	}
	if requests.Load() == 0 {
		t.Error("no request was made")
	}
}

// TestServeUpstream: with --upstream, what is declared and not built in goes there.
func TestServeUpstream(t *testing.T) {
	up := newUpstream(t)
	s := start(t, func(c *server.Config) { c.Upstream = up.URL; c.Demo = false })
	if a := s.call("GET", "/", "", ""); a.StatusCode != 200 || a.body != "/" {
		t.Errorf("/: %d %s", a.StatusCode, a.body)
	}
	if a := s.call("GET", "/items/", "", ""); a.StatusCode != 401 {
		t.Errorf("/items/: %d", a.StatusCode)
	}
	if a := s.call("GET", "/livez", "", ""); a.body != "ok\n" {
		t.Errorf("/livez: %s", a.body)
	}
	if seen := up.take(); len(seen) != 1 {
		t.Errorf("%d requests reached the upstream", len(seen))
	}
}

// TestHosts: two hosts have tables and upstreams of their own, and all others the
// table without a host.
func TestHosts(t *testing.T) {
	shop, files := newUpstream(t), newUpstream(t)
	dir := t.TempDir()
	write(t, dir, "roles.yaml", "roles: {}\n")
	write(t, dir, "routes.yaml", `routes:
  /livez: {GET: {public: true}}
  /token: {POST: {public: true}}
  /items/{id}: {GET: {authenticated: true}}
  shop.example/items/{id}: {GET: {public: true}}
  shop.example/docs: {GET: {public: true}}
  files.example/{path...}: {upstream: files, GET: {public: true}}
`)
	write(t, dir, "upstreams.yaml", "upstreams:\n  shop: {url: '"+shop.URL+"', prefixes: [shop.example/]}\n  files: {url: '"+files.URL+"'}\n")
	s := start(t, func(c *server.Config) { c.Data, c.Demo = dir, false })
	for _, c := range []struct {
		host, target string
		status       int
		upstream     *upstream
	}{
		{"", "/livez", 200, nil},
		{"", "/items/1", 401, nil},
		{"shop.example", "/items/1", 200, shop},
		{"SHOP.example.:1234", "/items/1", 200, shop},
		{"shop.example", "/docs", 200, shop}, // a path of the server's on a host that isn't
		{"shop.example", "/livez", 401, nil},
		{"files.example", "/livez", 200, files},
		{"files.example", "/items/1", 200, files},
		{"other.example", "/items/1", 401, nil},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = c.host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s%s: %d, want %d", c.host, c.target, response.StatusCode, c.status)
		}
		for name, up := range map[string]*upstream{"shop": shop, "files": files} {
			if got, want := len(up.take()), up == c.upstream; (got == 1) != want {
				t.Errorf("%s%s: %d requests reached %s", c.host, c.target, got, name)
			}
		}
	}
}

func TestUpstreamTablesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, routes, upstreams, want string }{
		{"unknown upstream", "/a: {upstream: nowhere, GET: {public: true}}", "shop: {url: http://127.0.0.1:1}", `there is no upstream "nowhere"`},
		{"over a built-in path", "/token: {upstream: shop, POST: {public: true}}", "shop: {url: http://127.0.0.1:1}", "the server itself serves /token"},
		{"part of a built-in path", "/admin/v1/users/me: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1}", "the server itself serves /admin/v1/users/{id}"},
		{"across a built-in path", "/admin/v1/{kind}/x/sessions: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1}", "the server itself serves /admin/v1/users/{id}/sessions"},
		{"the forward-auth path", "/forward-auth/x: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1}", "/forward-auth"},
		{"a prefix over a built-in path", "/admin/v1/users: {GET: {public: true}}", "shop: {url: http://127.0.0.1:1, prefixes: [/admin/]}", "change the prefix"},
		{"a host's prefix in another spelling", "/a: {GET: {public: true}}", "shop: {url: http://127.0.0.1:1, prefixes: [Shop.example/]}", "write shop.example"},
		{"ambiguous routes of one host", "{'a.example/a/{x}': {GET: {public: true}}, 'a.example/{y}/b': {GET: {public: true}}}", "shop: {url: http://127.0.0.1:1}", "ambiguous"},
		{"one prefix twice", "/a: {GET: {public: true}}", "{shop: {url: http://127.0.0.1:1, prefixes: [/x/]}, other: {url: http://127.0.0.1:2, prefixes: [/x/]}}", "ambiguous"},
		{"ambiguous routes", "{'/a/{x}': {upstream: shop, GET: {public: true}}, '/{y}/b': {GET: {public: true}}}", "shop: {url: http://127.0.0.1:1}", "ambiguous"},
		{"a path in the url", "/a: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1/base}", "must have no path"},
		{"an assertion for long", "/a: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1, assertion: {lifetime: 1h}}", "between 1s and 10m0s"},
		{"an assertion for nobody", "/a: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1, assertion: {audience: ''}}", "audience that is no text"},
		{"a misspelt assertion", "/a: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1, assertion: {audiense: x}}", "audiense"},
		{"a misspelt limit", "/a: {upstream: shop, GET: {public: true}}", "shop: {url: http://127.0.0.1:1, max_bdy: 1}", "max_bdy is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "roles.yaml", "roles: {}\n")
			write(t, dir, "routes.yaml", "routes:\n  "+c.routes+"\n")
			write(t, dir, "upstreams.yaml", "upstreams:\n  "+c.upstreams+"\n")
			cfg := server.DefaultConfig()
			cfg.Listen, cfg.State, cfg.Data = "127.0.0.1:0", filepath.Join(t.TempDir(), "state"), dir
			s, err := server.New(t.Context(), cfg, nil)
			if err == nil {
				s.Close()
				t.Fatal("it starts")
			}
			if text := err.Error(); !strings.Contains(text, c.want) || !strings.Contains(text, ".yaml:") {
				t.Errorf("%v\nwant %s, with file and line", err, c.want)
			}
		})
	}
}
