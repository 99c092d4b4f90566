package gateway

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// Options is what a [Gateway] is made of. The zero value is safe and complete.
type Options struct {
	// TrustedProxies are the networks whose forwarding headers are believed, and
	// which may ask forward-auth questions. None by default.
	TrustedProxies []netip.Prefix
	// Issuer is our own issuer, and Assertions signs what is told to upstreams that
	// want it signed ([policy.Upstream.Assertion]). Without them such an upstream
	// gets no requests.
	Issuer     string
	Assertions interface {
		AssertIdentity(token.IdentityAssertion) (string, error)
	}
	// Headers names the request headers that the policy sees, as those of
	// [gate.Options]: an upstream gets these as they were seen.
	Headers []string
	// Observe is told what happens, while the request waits; nil for nobody.
	Observe func(Event)
	// Logger gets a line for each upstream that failed; nil discards.
	Logger *slog.Logger
}

// Gateway passes requests on to upstreams. Make it with [New], and end it with
// [Gateway.Close].
type Gateway struct {
	o        Options
	buffers  buffers
	errorLog *log.Logger
	seen     []string // Options.Headers that are passed on, canonical

	// mu guards transports: one for each pair of timeouts, so that a reload keeps
	// the connections.
	mu         sync.RWMutex
	transports map[timeouts]*http.Transport

	// life ends with Close, and upgraded connections with it.
	life     context.Context
	end      context.CancelFunc
	upgrades sync.WaitGroup
}

// timeouts are what transports differ in.
type timeouts struct{ connect, response time.Duration }

// New returns a gateway.
func New(o Options) *Gateway {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{o: o, seen: endToEnd(o.Headers), transports: map[timeouts]*http.Transport{}}
	g.errorLog = slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug)
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

// Close ends upgraded connections, which no server's Shutdown knows of, and waits
// for them; then it gives back idle connections to upstreams.
func (g *Gateway) Close() {
	g.end()
	g.upgrades.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.transports {
		t.CloseIdleConnections()
	}
}

// maxIdlePerHost is how many connections to an upstream are kept while idle.
const maxIdlePerHost = 256

// maxAnswerHeader bounds the header of an upstream's answer, in bytes.
const maxAnswerHeader = 1 << 20

// transport is what reaches an upstream.
func (g *Gateway) transport(u *policy.Upstream) *http.Transport {
	key := timeouts{u.ConnectTimeout, u.ResponseTimeout}
	g.mu.RLock()
	t := g.transports[key]
	g.mu.RUnlock()
	if t != nil {
		return t
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.transports[key]; t != nil {
		return t
	}
	t = &http.Transport{
		DialContext:           (&net.Dialer{Timeout: key.connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   key.connect,
		ResponseHeaderTimeout: key.response,
		ExpectContinueTimeout: time.Second,
		// Go's own is ten times that, for each request at once.
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		// The upstream is asked for what the caller asked for. No Proxy: an
		// environment variable doesn't say where requests go.
		DisableCompression: true,
	}
	g.transports[key] = t
	return t
}

// trusts reports whether a connection's address is a trusted proxy's.
func (g *Gateway) trusts(remoteAddr string) bool {
	if len(g.o.TrustedProxies) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(remoteAddr)
	return err == nil && gate.Trusts(g.o.TrustedProxies, peer.Addr().Unmap())
}

// buffers are those that bodies are copied through.
type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return p[:]
	}
	return make([]byte, bufferBytes)
}

// Put keeps the array and not the slice, which would have to be allocated.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferBytes]byte)(p)) }
