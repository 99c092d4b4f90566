package gateway_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// BenchmarkProxy is one request to an upstream on this machine: by a bare
// ReverseProxy with the gateway's buffers, and by the gateway inside the gate, which
// allows the request by the shipped policy. Token and decision are known.
func BenchmarkProxy(b *testing.B) {
	for name, path := range paths(b) {
		b.Run(name, func(b *testing.B) {
			path.serve(b)
			b.ReportAllocs()
			for b.Loop() {
				path.serve(b)
			}
		})
	}
}

// path is a way to an upstream, and a request that goes there.
type path struct {
	handler http.Handler
	request *http.Request
	writer  *caller
}

func (p *path) serve(tb testing.TB) {
	clear(p.writer.header)
	p.handler.ServeHTTP(p.writer, p.request)
	if p.writer.status != http.StatusOK {
		tb.Fatalf("answered %d", p.writer.status)
	}
}

// paths are those that are compared; all requests and answers are the same.
func paths(tb testing.TB) map[string]*path {
	address := shortUpstream(tb)
	snapshot, err := policy.Load(tb.Context(), policy.Join(policy.FS(policies.FS, nil), policy.FS(nil, fstest.MapFS{
		"data.yaml": {Data: []byte("routes:\n  /shop/{id}: {upstream: shop, GET: {scopes: [items:read]}}\nupstreams: {shop: {url: 'http://" + address + "'}}\n")},
		"roles.yaml": func() *fstest.MapFile {
			text, err := data.FS.ReadFile("roles.yaml")
			if err != nil {
				tb.Fatal(err)
			}
			return &fstest.MapFile{Data: text}
		}(),
	})), policy.Options{Deadline: time.Minute})
	if err != nil {
		tb.Fatal(err)
	}
	const issuer, carol = "https://auth.example.com", "01JDEM0ACC0000000000000003"
	keyring, err := token.OpenKeyring(tb.Context(), &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	raw, _, _, err := keyring.Mint(token.Registered{
		Issuer: issuer, Subject: carol, Audience: []string{issuer}, ClientID: "bench", Scope: []string{"items:read"}, Lifetime: time.Hour,
	}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	door, err := gate.New(gate.Options{
		Policy: fixed{snapshot}, Issuer: issuer,
		Tokens:   token.NewVerifier(keyring, token.VerifierOptions{Issuer: issuer, Audience: issuer, Prepare: policy.PrepareClaims}),
		Subjects: one{&authz.Subject{Kind: authz.KindAccount, ID: carol, Username: "carol", Roles: []string{"client"}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	g := gateway.New(gateway.Options{})
	tb.Cleanup(g.Close)
	target := &url.URL{Scheme: "http", Host: address}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	bare := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport, BufferPool: &oneBuffer{make([]byte, 32<<10)},
	}
	to := func(handler http.Handler) *path {
		// The server's contexts can be cancelled; without that ReverseProxy looks for
		// other ways to learn that a caller is gone.
		ctx, cancel := context.WithCancel(tb.Context())
		tb.Cleanup(cancel)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/shop/42", http.NoBody)
		r.Host, r.RemoteAddr = "shop.example.com", "127.0.0.1:4711"
		r.Header.Set("User-Agent", "bench")
		r.Header.Set("Accept", "*/*")
		r.Header.Set("Authorization", "Bearer "+raw)
		return &path{handler, r, &caller{header: http.Header{}}}
	}
	return map[string]*path{"bare": to(bare), "gateway": to(door.Wrap(g.Proxy(http.NotFoundHandler())))}
}

// shortUpstream answers every request with the same few bytes, and allocates nothing
// for it.
func shortUpstream(tb testing.TB) (address string) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nserved")
	return rawUpstream(tb, func(conn net.Conn) {
		for reader := bufio.NewReader(conn); ; {
			line, err := reader.ReadSlice('\n')
			if err != nil {
				return
			}
			if string(line) == "\r\n" {
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}
	})
}

// rawUpstream hands each connection to a function, and closes it after that.
func rawUpstream(tb testing.TB, serve func(net.Conn)) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
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
	return l.Addr().String()
}

// caller is a connection whose answers nobody reads.
type caller struct {
	header http.Header
	status int
}

func (c *caller) Header() http.Header              { return c.header }
func (c *caller) Write(p []byte) (int, error)      { return len(p), nil }
func (c *caller) WriteHeader(status int)           { c.status = status }
func (c *caller) SetReadDeadline(time.Time) error  { return nil }
func (c *caller) SetWriteDeadline(time.Time) error { return nil }

// oneBuffer is the buffer of requests that come one after the other.
type oneBuffer struct{ buffer []byte }

func (o *oneBuffer) Get() []byte { return o.buffer }
func (o *oneBuffer) Put([]byte)  {}

// one is who everybody is.
type one struct{ subject *authz.Subject }

func (o one) Subject(context.Context, string) (*authz.Subject, error) { return o.subject, nil }
