package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// wire is an upstream that keeps the very bytes that reach it. What it reads as
// requests it answers; with naive set it does not read bodies, so that they are
// requests to it.
type wire struct {
	net.Listener
	naive bool
	mu    sync.Mutex
	bytes []*bytes.Buffer // of each connection
	lines []string        // of requests
}

func newWire(t *testing.T, naive bool) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &wire{Listener: l, naive: naive}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(conn)
		}
	}()
	return w
}

func (w *wire) serve(conn net.Conn) {
	defer conn.Close()
	got := &bytes.Buffer{}
	w.mu.Lock()
	w.bytes = append(w.bytes, got)
	w.mu.Unlock()
	for reader := bufio.NewReader(io.TeeReader(conn, locked{&w.mu, got})); ; {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.lines = append(w.lines, r.Method+" "+r.RequestURI)
		w.mu.Unlock()
		if !w.naive {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil || r.Close {
			return
		}
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// requests are the request lines until now.
func (w *wire) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

// headers are the headers until now, as they came, of requests below /shop/.
func (w *wire) headers() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, got := range w.bytes {
		all = append(all, shopHeader.FindAllString(got.String(), -1)...)
	}
	return all
}

var shopHeader = regexp.MustCompile(`(?s)[A-Z]+ /shop/[^ ]* HTTP/1\.1\r\n.*?\r\n\r\n`)

// talk sends bytes over one connection, a request that asks to close it after them,
// and reads until it is closed.
func talk(t *testing.T, s *running, text string) {
	t.Helper()
	conn, reader := connect(t, s)
	go func() {
		_, _ = io.WriteString(conn, text+"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	}()
	if answers, err := io.ReadAll(reader); len(answers) == 0 {
		t.Errorf("no answer: %v", err)
	}
}

// headerLine is a header as RFC 9112 section 5 has it, without a bare CR or LF.
var headerLine = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+: ?[^\r\n\x00]*$")

// checkHeader holds what reached the upstream against the grammar, since an upstream
// may read more from less. It returns how often Content-Length and Transfer-Encoding
// are there.
func checkHeader(t *testing.T, text string) {
	t.Helper()
	framings := 0
	for i, line := range strings.Split(strings.TrimSuffix(text, "\r\n\r\n"), "\r\n") {
		if i == 0 {
			continue
		}
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		switch {
		case !headerLine.MatchString(line):
			t.Errorf("not a header: %q", line)
		case name == "content-length" || name == "transfer-encoding":
			framings++
		}
	}
	if framings > 1 {
		t.Errorf("the body's length is said %d times: %q", framings, text)
	}
}

// TestAttacksOnFraming: whatever a request's length seems to be, no part of it reaches
// the upstream as another request, and what reaches it can be read in one way.
func TestAttacksOnFraming(t *testing.T) {
	up := newWire(t, false)
	s, _ := behind(t, "http://"+up.Addr().String(), ", idle_timeout: 500ms", nil)
	const smuggled = "GET /admin HTTP/1.1\r\nHost: h\r\nX-Auth-Subject: root\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /shop/x HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body
	}
	for i, c := range []struct {
		name, text string
		most       int // requests that may reach the upstream
	}{
		{"both lengths", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), 1},
		{"both lengths, the other way", post("Transfer-Encoding: chunked\r\nContent-Length: 100\r\n", "0\r\n\r\n"+smuggled), 1},
		{"two lengths", post("Content-Length: 0\r\nContent-Length: 60\r\n", smuggled), 0},
		{"a list of lengths", post("Content-Length: 0, 60\r\n", smuggled), 0},
		{"the same length twice", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"+smuggled), 1},
		{"a length with a sign", post("Content-Length: +3\r\n", "abc"+smuggled), 0},
		{"a length in hex", post("Content-Length: 0x3\r\n", "abc"+smuggled), 0},
		{"a length with a space before the colon", post("Content-Length : 3\r\n", "abc"+smuggled), 0},
		{"a negative length", post("Content-Length: -1\r\n", smuggled), 0},
		{"a length beyond 64 bits", post("Content-Length: 18446744073709551617\r\n", smuggled), 0},
		{"an encoding with a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+smuggled), 0},
		{"an encoding with a tab", post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"+smuggled), 1},
		{"an encoding after a vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"+smuggled), 0},
		{"an encoding in capitals", post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"+smuggled), 1},
		{"another encoding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+smuggled), 0},
		{"two encodings", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+smuggled), 0},
		{"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), 0},
		{"chunked and identity", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+smuggled), 0},
		{"an encoding on a folded line", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+smuggled), 1},
		{"an encoding on a line that is folded away", post("X-Y: z\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled), 1},
		{"an encoding under another name", post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled), 1},
		{"an encoding after a line feed", post("X-Y: z\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled), 1},
		{"an encoding after a carriage return", post("X-Y: z\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled), 1},
		{"a chunk's length in more than hex", post("Transfer-Encoding: chunked\r\n", "0x3\r\nabc\r\n0\r\n\r\n"+smuggled), 1},
		{"a chunk's length that overflows", post("Transfer-Encoding: chunked\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n"+smuggled), 1},
		{"a chunk's extension", post("Transfer-Encoding: chunked\r\n", "3;a=\"b\r\n\"\r\nabc\r\n0\r\n\r\n"+smuggled), 1},
		{"a chunk's extension with a line feed", post("Transfer-Encoding: chunked\r\n", "3;a\nx\r\nabc\r\n0\r\n\r\n"+smuggled), 1},
		{"chunks that end in line feeds", post("Transfer-Encoding: chunked\r\n", "3\nabc\n0\n\n"+smuggled), 1},
		{"a chunk that is longer than it says", post("Transfer-Encoding: chunked\r\n", "3\r\nabcdef\r\n0\r\n\r\n"+smuggled), 1},
		{"trailers that frame", post("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", "1\r\nx\r\n0\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n"+smuggled), 1},
		{"HTTP/1.0 with an encoding", "POST /shop/x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 1},
		{"no length", post("", smuggled), 1},
		{"the length is the connection's", post("Connection: Content-Length\r\nContent-Length: 60\r\n", smuggled+"xxxx"), 1},
		{"a space before the first header", "POST /shop/x HTTP/1.1\r\n Host: h\r\nContent-Length: 3\r\n\r\nabc" + smuggled, 0},
		{"line feeds only", "GET /shop/x HTTP/1.1\nHost: h\n\n" + smuggled, 1},
		{"a carriage return in the request line", "GET /shop/x\rGET /admin HTTP/1.1\r\nHost: h\r\n\r\n", 0},
		{"two request lines in one", "GET /shop/x HTTP/1.1\r\nHost: h\r\nX: GET /admin HTTP/1.1\r\n\r\n", 1},
		{"HTTP/0.9", "GET /admin\r\n\r\n", 0},
		{"HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled, 0},
		{"h2c", "GET /shop/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled, 1},
		{"CONNECT to the upstream", "CONNECT " + up.Addr().String() + " HTTP/1.1\r\nHost: " + up.Addr().String() + "\r\n\r\n" + smuggled, 0},
		{"CONNECT to a path", "CONNECT /shop/x HTTP/1.1\r\nHost: h\r\n\r\n" + smuggled, 0},
		{"an upgrade that is refused", "GET /admin HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + smuggled, 0},
		{"an upgrade that the upstream does not do", "GET /shop/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + smuggled, 1},
		{"TRACE", "TRACE /shop/x HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := fmt.Sprintf(" /shop/%d", i)
			talk(t, s, strings.Replace(c.text, " /shop/x", own, 1))
			reached := 0
			for _, line := range up.requests() {
				switch {
				case strings.HasSuffix(line, own):
					reached++
				case !strings.Contains(line, " /shop/"):
					t.Errorf("%q reached the upstream", line)
				}
			}
			if reached > c.most {
				t.Errorf("%d requests reached the upstream", reached)
			}
		})
	}
	headers := up.headers()
	if len(headers) < 10 {
		t.Errorf("only %d requests reached the upstream", len(headers))
	}
	for _, header := range headers {
		checkHeader(t, header)
	}
}

// TestAttacksThroughBodies: an upstream that does not read a body on methods that
// usually have none takes it for the next request on the connection.
func TestAttacksThroughBodies(t *testing.T) {
	const smuggled = "DELETE /private/x HTTP/1.1\r\nHost: h\r\nX-Auth-Subject: root\r\n\r\n"
	direct := func(_ *testing.T, stagedoor, _ string) string { return stagedoor }
	for name, door := range map[string]func(t *testing.T, stagedoor, up string) string{"gateway": direct, "nginx": startNginx, "Caddy": startCaddy} {
		t.Run(name, func(t *testing.T) {
			up := newWire(t, true)
			s, _ := behind(t, "http://"+up.Addr().String(), ", idle_timeout: 500ms", func(c *server.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
			address := door(t, s.Addr().String(), up.Addr().String())
			send(t, address, "GET /shop/plain HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			for _, headers := range []string{"", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: keep-alive\r\n"} {
				send(t, address, fmt.Sprintf("GET /shop/x HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", headers, len(smuggled), smuggled))
			}
			send(t, address, "GET /shop/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			got := up.requests()
			for _, line := range got {
				if !strings.HasPrefix(line, "GET /shop/") {
					t.Errorf("the upstream took a body for %q", line)
				}
			}
			if len(got) < 2 {
				t.Errorf("the upstream got %q", got)
			}
		})
	}
}

// TestAttacksOfUpstreams: whatever an upstream answers, the caller gets one answer that
// can be read in one way, with the ids that are ours.
func TestAttacksOfUpstreams(t *testing.T) {
	answers := make(chan string, 1)
	up := rawUpstream(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, <-answers)
		}
	})
	s, _ := behind(t, up, "", nil)
	for _, c := range []struct {
		name, answer string
		status       int
	}{
		{"our names", "200 OK\r\nX-Request-Id: evil\r\nx-decision-id: evil\r\nContent-Length: 2\r\n\r\nok", 200},
		{"our names removed", "200 OK\r\nConnection: X-Request-Id, X-Decision-Id\r\nContent-Length: 2\r\n\r\nok", 200},
		{"a carriage return", "200 OK\r\nX-A: a\rX-Evil: evil\r\nContent-Length: 2\r\n\r\nok", 502},
		{"a line feed", "200 OK\r\nX-A: a\nX-B: b\nContent-Length: 2\n\nok", 200},
		{"a folded line", "200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 200},
		{"both lengths", "200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200},
		{"trailers of our names", "200 OK\r\nTrailer: X-Other\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Other: 1\r\n\r\n", 200},
		{"a second answer", "200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Evil: evil\r\nContent-Length: 4\r\n\r\nevil", 200},
		{"early hints with our names", "103 Early Hints\r\nX-Evil: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200},
		{"a NUL", "200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\nok", 502},
		{"a space before the colon", "200 OK\r\nX-A : a\r\nContent-Length: 2\r\n\r\nok", 200},
		{"two lengths", "200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", 502},
		{"another encoding", "200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", 502},
		{"a header without an end", "200 OK\r\nX-A: " + strings.Repeat("a", 2<<20), 502},
		{"hints without an end", strings.Repeat("103 Early Hints\r\n\r\nHTTP/1.1 ", 30), 502},
		{"no HTTP", "", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, reader := connect(t, s)
			answers <- "HTTP/1.1 " + c.answer
			_, _ = io.WriteString(conn, "GET /shop/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			text, err := io.ReadAll(reader)
			if err != nil {
				t.Fatal(err)
			}
			for strings.HasPrefix(string(text), "HTTP/1.1 103 ") {
				_, rest, _ := strings.Cut(string(text), "\r\n\r\n")
				text = []byte(rest)
			}
			header, body, _ := strings.Cut(string(text), "\r\n\r\n")
			if !strings.HasPrefix(header, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
				t.Fatalf("answered %.80q", header)
			}
			checkHeader(t, header)
			if c.status == 200 && !strings.Contains(body, "ok") || strings.Contains(body, "evil") {
				t.Errorf("the body is %q", body)
			}
			lower := strings.ToLower(header)
			if strings.Count(lower, "\nx-request-id: ") != 1 || strings.Count(lower, "\nx-decision-id: ") != 1 || strings.Contains(lower, "id: evil") || strings.Contains(lower, "\nx-evil") {
				t.Errorf("the header is %q", header)
			}
		})
	}
}

// TestAttacksOnHosts: a Host that an upstream may read as another one is refused.
func TestAttacksOnHosts(t *testing.T) {
	up := newUpstream(t)
	dir := t.TempDir()
	write(t, dir, "roles.yaml", "roles: {}\n")
	write(t, dir, "routes.yaml", "routes:\n  /{path...}: {GET: {public: true}}\n  admin.example/{path...}: {GET: {roles: [admin]}}\n")
	write(t, dir, "upstreams.yaml", "upstreams:\n  shop: {url: '"+up.URL+"', prefixes: [/]}\n")
	s := start(t, func(c *server.Config) { c.Data, c.Demo = dir, false })
	for _, c := range []struct {
		host   string
		status int
	}{
		{"shop.example", 200}, {"shop.example:", 200}, {"shop.example:8080", 200}, {"[::1]:80", 200}, {"127.0.0.1", 200}, {"", 400},
		{"admin.example", 401}, {"ADMIN.example", 401}, {"admin.example.", 401}, {"admin.example:80", 401}, {"admin.example.:80", 401},
		{"x@admin.example", 400}, {"shop.example@admin.example", 400}, {"shop.example:80@admin.example", 400}, {"admin.example..", 400},
		{".admin.example", 400}, {"admin.example:80:80", 400}, {"admin.example:port", 400}, {"admin.example:123456", 400}, {":80", 400}, {"admin.example,shop.example", 400},
		{"admin.example/", 400}, {"admin.example%2e", 400}, {"%61dmin.example", 400}, {"admin.example\\", 400}, {"admin.example#", 400}, {"[admin.example]", 400},
		{"[::1", 400}, {"[::1]x", 400}, {"[fe80::1%25eth0]", 400}, {"shop.example admin.example", 400}, {"admin\xc3\xa9.example", 400},
		{"shop.example\r\nHost: admin.example", 400}, {"shop.example\r\nHost: shop.example", 400}, {"shop.example\r\n Host: admin.example", 400},
	} {
		if status := s.raw("GET /x HTTP/1.1\r\nHost: " + c.host + "\r\nX-Forwarded-Host: admin.example\r\nX-Host: admin.example\r\nConnection: close\r\n\r\n"); status != c.status {
			t.Errorf("%q: answered %d, want %d", c.host, status, c.status)
		}
		for _, r := range up.take() {
			if c.status != 200 || strings.Contains(r.Host, "admin") || strings.Contains(fmt.Sprint(r.Header), "admin") {
				t.Errorf("%q reached the upstream as %q with %v", c.host, r.Host, r.Header)
			}
		}
	}
	if status := s.raw("GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"); status != 400 {
		t.Errorf("without a Host: %d", status)
	}
	if status := s.raw("GET http://admin.example/x HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"); status != 400 {
		t.Errorf("absolute form: %d", status)
	}
	if status := s.raw("GET /x HTTP/1.0\r\n\r\n"); status != 400 || len(up.take()) > 0 {
		t.Errorf("HTTP/1.0 without a Host: %d; the upstream would get its URL's host, which may have routes of its own", status)
	}
}

// TestUpstreamsGetTheHeadersThatThePolicySaw: in Connection a caller may name any of
// them, and in another spelling they are others to the policy, but not to everybody.
func TestUpstreamsGetTheHeadersThatThePolicySaw(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", func(c *server.Config) { c.PolicyHeaders = []string{"x-region", "X-Tenant", "Connection"} })
	status := s.raw("GET /shop/x HTTP/1.1\r\nHost: h\r\nX-Region: north\r\nX_Region: south\r\nx.region: south\r\nX-Tenant: evil\r\nX-Other: 1\r\nConnection: close, X-Region, x-tenant, X-Other\r\n\r\n")
	if status != 200 {
		t.Fatal(status)
	}
	h := up.take()[0].Header
	if len(h["X-Region"]) != 1 || h.Get("X-Region") != "north" || h["X_region"] != nil || h["X.region"] != nil {
		t.Errorf("the policy saw north, the upstream got %v", h)
	}
	// X-Tenant is the policy's to set, and X-Other nobody's concern.
	if h["X-Tenant"] != nil || h["X-Other"] != nil || h["Connection"] != nil {
		t.Errorf("the upstream got %v", h)
	}
}

// TestAttacksOnForwardAuth: no spelling of its path, and nothing that a caller can add
// to what a proxy says, gets a question answered about another request.
func TestAttacksOnForwardAuth(t *testing.T) {
	s, _ := behind(t, "http://127.0.0.1:1", "", func(c *server.Config) { c.TrustedProxies = []string{"::ffff:127.0.0.1"} })
	ask := func(target, headers string) int {
		return s.raw("GET " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + headers + "\r\n")
	}
	const public = "X-Original-Method: GET\r\nX-Original-URI: /shop/x\r\n"
	if status := ask("/forward-auth", public); status != 200 {
		t.Fatalf("a good question: %d", status)
	}
	for target, want := range map[string]int{
		"//forward-auth": 400, "/forward-auth%2f": 400, "/forward-auth%2Fshop/x": 400, "/%66orward-auth": 400, "http://h/forward-auth": 400,
		"/./forward-auth": 400, "/x/../forward-auth": 400, "/forward-auth;": 400, "/forward-auth#": 400, "/FORWARD-AUTH": 401, "/forward-authx": 401,
		"/forward-auth/": 400, "/forward-auth?": 200, "/forward-auth?mode=nginx&x=1": 400, "/forward-auth?MODE=nginx": 400, "/forward-auth/private/x": 400, "/forward-auth//shop/x": 400,
	} {
		if status := ask(target, public); status != want {
			t.Errorf("%s: %d, want %d", target, status, want)
		}
	}
	for headers, want := range map[string]int{
		"X-Original-Method: GET\r\nX-Original-URI: /private/x\r\nX_Original_URI: /shop/x\r\n":                                                     401,
		"X-Original-Method: GET\r\nX-Original-URI: /private/x\r\nX-Original-URL: /shop/x\r\n":                                                     401,
		"X-Original-Method: GET\r\nX-Original-URI: /private/x\r\nX-Forwarded-Uri: /shop/x\r\n":                                                    400,
		"X-Original-Method: GET\r\nX-Original-URI: /private/x\r\nX-Original-URI: /shop/x\r\n":                                                     400,
		"X-Original-Method: GET\r\nX-Original-URI: /private/x, /shop/x\r\n":                                                                       400,
		"X-Original-Method: GET\r\nX-Original-URI: /shop/../private/x\r\n":                                                                        400,
		"X-Original-Method: GET\r\nX-Original-URI: /shop/x HTTP/1.1\r\n":                                                                          400,
		"X-Original-Method: GET\r\nX-Original-URI: *\r\n":                                                                                         400,
		"X-Original-Method: GET\r\nX-Original-URI:\r\n":                                                                                           400,
		"X-Original-Method: GET\r\nX-Original-URI: /forward-auth/shop/x\r\n":                                                                      401,
		"X-Original-Method: get\r\nX-Original-URI: /shop/x\r\n":                                                                                   400,
		"X-Original-Method: DELETE\r\nX-Original-URI: /private/x\r\nX-HTTP-Method-Override: GET\r\n":                                              401,
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /shop/x\r\nX-Forwarded-Host: a@h\r\n":                                                        400,
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /shop/x\r\nX-Forwarded-Host: h:x\r\n":                                                        400,
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /shop/x\r\nX-Forwarded-Host: h\r\nConnection: X-Forwarded-Uri\r\n":                           200,
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /shop/x\r\nX-Forwarded-Host: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n":    200, // a public route
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /private/x\r\nX-Forwarded-Host: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n": 400,
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /shop/x\r\nX-Forwarded-Host: h\r\nContent-Length: 3\r\n\r\nabc":                              200,
	} {
		if status := ask("/forward-auth", headers); status != want {
			t.Errorf("%q: %d, want %d", headers, status, want)
		}
	}
	t.Run("a body without an end", func(t *testing.T) {
		conn, reader := connect(t, s)
		go func() {
			_, _ = io.WriteString(conn, "POST /forward-auth HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n"+public+"\r\n")
			_, _ = io.Copy(conn, &measured{every: 1 << 40, measure: func() {}})
		}()
		if response, _ := receive(t, reader); response.StatusCode != 200 || !response.Close {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
	})
}
