package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server"
)

// documentedConfiguration is a code block of docs/gateway.md, with its three
// addresses replaced.
func documentedConfiguration(t *testing.T, language, listen, stagedoor, up string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatalf("docs/gateway.md has no %s configuration", language)
	}
	return strings.NewReplacer("127.0.0.1:8080", stagedoor, "127.0.0.1:9000", up,
		"listen 8000;", "listen "+listen+";", ":8000 {", listen[strings.LastIndexByte(listen, ':'):]+" {").Replace(block[1])
}

// tool finds a program, or skips the test; where all tests have to run it fails it.
func tool(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		file, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		missing(t, fmt.Sprintf("%s is missing: install Debian's package %s", name, name))
	}
	return file
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// runProxy starts a program and returns when it listens.
func runProxy(t *testing.T, address string, command *exec.Cmd) {
	t.Helper()
	log := &logBuffer{written: make(chan struct{}, 1)}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s: %s", command.Path, address, log.since(0))
		}
		time.Sleep(20 * time.Millisecond) // it says nothing when it is ready
	}
}

func startNginx(t *testing.T, stagedoor, up string) (address string) {
	file, address, dir := tool(t, "nginx"), freeAddress(t), t.TempDir()
	write(t, dir, "nginx.conf", "daemon off;\nmaster_process off;\npid "+dir+"/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path "+dir+"/b;\nproxy_temp_path "+dir+"/p;\nfastcgi_temp_path "+dir+"/f;\nuwsgi_temp_path "+dir+"/u;\nscgi_temp_path "+dir+"/s;\n"+
		documentedConfiguration(t, "nginx", address, stagedoor, up)+"}\n")
	runProxy(t, address, exec.Command(file, "-c", filepath.Join(dir, "nginx.conf"), "-p", dir))
	return address
}

func startCaddy(t *testing.T, stagedoor, up string) (address string) {
	file, address, dir := tool(t, "caddy"), freeAddress(t), t.TempDir()
	write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n"+documentedConfiguration(t, "caddyfile", address, stagedoor, up))
	command := exec.Command(file, "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	runProxy(t, address, command)
	return address
}

// send writes a request as it is, and reads the answer.
func send(t *testing.T, address, text string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, text)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", text, err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response, string(body)
}

func TestBehindNginx(t *testing.T) { testBehind(t, startNginx, true, 403) }

// Caddy encodes what has to be encoded, for the question and for the upstream alike.
func TestBehindCaddy(t *testing.T) { testBehind(t, startCaddy, false, 404) }

// testBehind has a proxy with the documented configuration ask for each request.
func testBehind(t *testing.T, startProxy func(t *testing.T, stagedoor, up string) string, exact bool, undeclared int) {
	up := newUpstream(t)
	s, _ := behind(t, "http://127.0.0.1:1", "", func(c *server.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	upAddress := strings.TrimPrefix(up.URL, "http://")
	address := startProxy(t, s.Addr().String(), upAddress)
	carol := s.token("carol", "secretcarol", "items:read")
	get := func(method, target, headers string) (*http.Response, string) {
		return send(t, address, method+" "+target+" HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n"+headers+"\r\n")
	}
	bearer := "Authorization: Bearer " + carol + "\r\n"
	spoofed := "X-Auth-Subject: root\r\nX_Auth_Subject: root\r\nX.Auth.Subject: root\r\nx_auth_roles: admin\r\nX-Auth-Roles: admin\r\nX-Auth-Scopes: all\r\nX-Auth-Decision-Id: 1\r\nX-Decision-Id: 1\r\nX-Auth-Assertion: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n"

	response, body := get("GET", "/private/a%20b?x=1", bearer+spoofed)
	if response.StatusCode != 200 || body != "/private/a%20b?x=1" {
		t.Fatalf("allowed: %d %q", response.StatusCode, body)
	}
	got := up.take()[0]
	if got.Header.Get("X-Auth-Subject") == "" || got.Header.Get("X-Auth-Roles") != "client" || got.Header.Get("X-Auth-Scopes") != "items:read" {
		t.Errorf("told %v", got.Header)
	}
	if response, _ = get("GET", "/shop/x", spoofed); response.StatusCode != 200 {
		t.Fatalf("public: %d", response.StatusCode)
	}
	seen := append(up.take(), got)
	for _, r := range seen {
		for name, values := range r.Header {
			for _, v := range values {
				if v == "root" || v == "admin" || v == "all" || v == "1" || v == "6.6.6.6" || v == "evil" {
					t.Errorf("spoofed %s: %s reached the upstream", name, v)
				}
			}
		}
	}
	for _, c := range []struct {
		method, target, headers string
		status                  int
		challenge               string
	}{
		{"GET", "/private/x", "", 401, `Bearer realm="stagedoor"`},
		{"GET", "/private/x", "Authorization: Bearer bad\r\n", 401, `error="invalid_token"`},
		{"DELETE", "/private/x", bearer, 403, ""},
		{"POST", "/items/", bearer + "Content-Length: 0\r\n", 403, `error="insufficient_scope"`},
		{"GET", "/nowhere", bearer, undeclared, ""},
	} {
		response, _ := get(c.method, c.target, c.headers)
		if challenge := response.Header.Values("WWW-Authenticate"); response.StatusCode != c.status || !strings.Contains(strings.Join(challenge, ""), c.challenge) || len(challenge) > 1 {
			t.Errorf("%s %s: %d %q", c.method, c.target, response.StatusCode, challenge)
		}
	}
	if seen := up.take(); len(seen) != 0 {
		t.Errorf("%d refused requests reached the upstream", len(seen))
	}
	// In Connection a caller may name what a proxy then removes; ours must not be lost.
	hops := "Connection: X-Auth-Subject, X-Auth-Scopes, X-Auth-Roles, X-Auth-Decision-Id, X-Forwarded-Uri, X-Forwarded-Method, X-Forwarded-Host, X-Original-URI, X-Original-Method, Host\r\n"
	if response, _ = get("GET", "/private/x", bearer+hops); response.StatusCode != 200 {
		t.Errorf("with Connection: %d", response.StatusCode)
	}
	if response, _ = get("DELETE", "/private/x", bearer+hops); response.StatusCode != 403 {
		t.Errorf("with Connection, refused: %d", response.StatusCode)
	}
	for _, r := range up.take() {
		if h := r.Header; r.Method != "GET" || h.Get("X-Auth-Subject") == "" || h.Get("X-Auth-Roles") != "client" || h.Get("X-Auth-Scopes") != "items:read" || h.Get("X-Auth-Decision-Id") == "" {
			t.Errorf("%s, told %v", r.Method, h)
		}
	}
	t.Run("paths", func(t *testing.T) { sendPaths(t, s, up, address, exact) })
}

// TestHostsBehindProxies: a proxy chooses its server by the host of an absolute form,
// where there is one (RFC 9112 section 3.2.2). What is asked about must not be another.
func TestHostsBehindProxies(t *testing.T) {
	for name, startProxy := range map[string]func(t *testing.T, stagedoor, up string) string{"nginx": startNginx, "Caddy": startCaddy} {
		t.Run(name, func(t *testing.T) {
			up, dir := newUpstream(t), t.TempDir()
			write(t, dir, "roles.yaml", "roles: {}\n")
			write(t, dir, "routes.yaml", "routes:\n  shop.example/{path...}: {GET: {public: true}}\n  admin.example/{path...}: {GET: {roles: [admin]}}\n")
			s := start(t, func(c *server.Config) {
				c.Data, c.Demo, c.TrustedProxies = dir, false, []string{"127.0.0.1"}
			})
			address := startProxy(t, s.Addr().String(), strings.TrimPrefix(up.URL, "http://"))
			for _, c := range []struct {
				target, host string
				refused      bool
			}{
				{"/x", "shop.example", false}, {"/x", "SHOP.example.:80", false}, {"/x", "admin.example", true}, {"/x", "ADMIN.example.:80", true},
				{"/x", "other.example", true}, {"/x", "shop.example@admin.example", true}, {"/x", "shop.example\r\nHost: admin.example", true},
				{"/x", "shop.example\r\nX-Forwarded-Host: admin.example", false}, {"/x", "admin.example\r\nX-Forwarded-Host: shop.example", true},
				{"http://admin.example/x", "shop.example", true}, {"HTTP://admin.example:80/x", "shop.example", true}, {"http://admin.example./x", "shop.example", true},
			} {
				response, _ := send(t, address, "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: close\r\n\r\n")
				seen := up.take()
				if (len(seen) == 0) != c.refused {
					t.Errorf("%s, Host %q: %d, and %d requests reached the upstream", c.target, c.host, response.StatusCode, len(seen))
				}
				for _, r := range seen {
					if !strings.HasPrefix(strings.ToLower(r.Host), "shop.example") {
						t.Errorf("%s, Host %q reached the upstream with Host %q", c.target, c.host, r.Host)
					}
				}
			}
			// Without a Host, HTTP/1.0.
			response, _ := send(t, address, "GET /x HTTP/1.0\r\n\r\n")
			if seen := up.take(); response.StatusCode == 200 || len(seen) > 0 {
				t.Errorf("without a Host: %d", response.StatusCode)
			}
		})
	}
}

func TestAttacksOnPathsThroughTheGateway(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", func(c *server.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	sendPaths(t, s, up, s.Addr().String(), true)
}

// attackTargets is the list of attacks.md, alone and below what everybody may read.
func attackTargets() []string {
	targets := []string{"/admin", "/shop/x", "/shop/?x=/../", "/shop/a%20b", "http://x/admin", "http://x/shop/x", "*"}
	for _, before := range []string{"", "/shop", "/shop/..", "/shop/%2e%2e", "/shop/%2E%2E", "/shop/..;", "/shop/%252e%252e", `/shop/..\..`, "/shop/%c0%ae%c0%ae", "/shop/.%2e", "/shop%2f..", "/shop/x/../.."} {
		for _, path := range []string{
			"//admin", "/./admin", "/x/../admin", "/admin/", "/ADMIN", "/admin;x", "/admin%2f", "/admin%2F", "/%61dmin", "/admin%00",
			`/admin\`, "/admin%5c", "/admin%5C", "/admin?x=/../", "/admin#", "/admin#/../x", "/%c0%afadmin", "/%C0%AFadmin", "/admin%ff", "/admin%FF",
			"/%252e%252e/admin", "/admin%", "/admin%zz", "/admin%0a", "/admin\xff", "/adm\xc3\xadn", "/admin/.", "/admin/..", "/admin",
		} {
			targets = append(targets, before+path)
		}
	}
	return targets
}

// sendPaths sends the list to a door; whatever then reaches the upstream, as it is
// or as an upstream may well read it, has to be something that the policy allows an
// anonymous caller when it is asked directly. With exact set, it is the very target.
func sendPaths(t *testing.T, s *running, up *upstream, address string, exact bool) {
	reached := 0
	for _, target := range attackTargets() {
		send(t, address, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		for _, r := range up.take() {
			reached++
			if exact && r.RequestURI != target && "http://x"+r.RequestURI != target {
				t.Errorf("%q became %q at the upstream", target, r.RequestURI)
			}
			decoded, err := url.PathUnescape(r.URL.EscapedPath())
			if err != nil {
				t.Errorf("%q reached the upstream", target)
				continue
			}
			readings := []string{r.RequestURI}
			if cleaned := path.Clean(decoded); cleaned != strings.TrimSuffix(decoded, "/") {
				readings = append(readings, cleaned)
			}
			for _, reading := range readings {
				if a := s.raw("GET /forward-auth" + reading + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); a != 200 {
					t.Errorf("%q reached the upstream as %q; asked about %q the policy says %d", target, r.RequestURI, reading, a)
				}
			}
		}
	}
	if reached < 3 {
		t.Errorf("only %d requests reached the upstream at all", reached)
	}
}
