package gate_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/gate"
)

func TestClientIP(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, peer string
		forwarded  []string
		trusted    []netip.Prefix
		want       string
	}{
		{"no proxy is trusted by default", "10.0.0.1:5000", []string{"203.0.113.7"}, nil, "10.0.0.1"},
		{"peer is no trusted proxy", "192.0.2.1:5000", []string{"203.0.113.7"}, proxies, "192.0.2.1"},
		{"nothing forwarded", "10.0.0.1:5000", nil, proxies, "10.0.0.1"},
		{"forwarded by a trusted proxy", "10.0.0.1:5000", []string{"203.0.113.7"}, proxies, "203.0.113.7"},
		{"rightmost untrusted", "10.0.0.1:5000", []string{"198.51.100.9, 203.0.113.7, 10.0.0.2"}, proxies, "203.0.113.7"},
		{"several headers are one list", "10.0.0.1:5000", []string{"198.51.100.9", "203.0.113.7", "10.0.0.2,10.0.0.3"}, proxies, "203.0.113.7"},
		{"all are trusted", "10.0.0.1:5000", []string{"10.0.0.9, 10.0.0.2"}, proxies, "10.0.0.9"},
		{"malformed", "10.0.0.1:5000", []string{"unknown"}, proxies, "10.0.0.1"},
		{"malformed among the trusted", "10.0.0.1:5000", []string{"203.0.113.7, rubbish, 10.0.0.2"}, proxies, "10.0.0.1"},
		{"malformed on the caller's side", "10.0.0.1:5000", []string{"rubbish, 203.0.113.7"}, proxies, "203.0.113.7"},
		{"empty entry", "10.0.0.1:5000", []string{"203.0.113.7,"}, proxies, "10.0.0.1"},
		{"empty header", "10.0.0.1:5000", []string{""}, proxies, "10.0.0.1"},
		{"IPv4 with a port", "10.0.0.1:5000", []string{"203.0.113.7:4711"}, proxies, "203.0.113.7"},
		{"IPv6", "[fd00::1]:5000", []string{"2001:db8::7"}, proxies, "2001:db8::7"},
		{"IPv6 with a port", "[fd00::1]:5000", []string{"[2001:db8::7]:4711"}, proxies, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:5000", []string{"::ffff:203.0.113.7"}, proxies, "203.0.113.7"},
		{"octal is malformed", "10.0.0.1:5000", []string{"0203.0.113.7"}, proxies, "10.0.0.1"},
		{"no address", "@", []string{"203.0.113.7"}, proxies, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &door{logs: &logBuffer{}}
			g := testGate(t, d, func(o *gate.Options) { o.TrustedProxies = tt.trusted })
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			r.Header.Set("Forwarded", "for=192.0.2.99")
			r.Header.Set("X-Real-IP", "192.0.2.98")
			g.Wrap(http.HandlerFunc(d.serve)).ServeHTTP(httptest.NewRecorder(), r)
			if got := d.lastAsked(t).ClientIP; got != tt.want {
				t.Errorf("the policy sees %q, want %q", got, tt.want)
			}
			if got := d.lastPassage(t).ClientIP; got.IsValid() != (tt.want != "") || got.IsValid() && got.String() != tt.want {
				t.Errorf("the passage has %v, want %q", got, tt.want)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	d := openDoor(t, nil)
	long := strings.Repeat("a", 128)
	tests := []struct {
		name    string
		headers []string
		kept    string // "" means a new one
	}{
		{"none", nil, ""},
		{"sane", []string{"X-Request-ID: 01J.a_b-C"}, "01J.a_b-C"},
		{"longest", []string{"X-Request-ID: " + long}, long},
		{"too long", []string{"X-Request-ID: " + long + "a"}, ""},
		{"a space in it", []string{"X-Request-ID: a b"}, ""},
		{"markup", []string{"X-Request-ID: <script>"}, ""},
		{"empty", []string{"X-Request-ID: "}, ""},
		{"two", []string{"X-Request-ID: a", "X-Request-ID: b"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, target := range []string{"/", "/account", "//"} {
				got := d.do(t, "GET", target, tt.headers...).Header.Values("X-Request-ID")
				switch {
				case len(got) != 1:
					t.Errorf("%s: X-Request-ID %q, want one", target, got)
				case tt.kept != "" && got[0] != tt.kept, tt.kept == "" && !strings.HasPrefix(got[0], "id-"):
					t.Errorf("%s: X-Request-ID %q, want %q", target, got, tt.kept)
				}
			}
		})
	}
}

func TestHeadersThatThePolicySees(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) { o.Headers = []string{"x-tenant", "X-TENANT", "X-Empty"} })
	d.do(t, "GET", "/?q=x&q=y", "X-Tenant: acme", "x-tenant: other", "X-Hidden: no", "Cookie: a=b")
	got := d.lastAsked(t)
	if len(got.Headers) != 1 || strings.Join(got.Headers["x-tenant"], ",") != "acme,other" {
		t.Errorf("headers %v, want x-tenant alone", got.Headers)
	}
	if strings.Join(got.Query["q"], ",") != "x,y" {
		t.Errorf("query %v", got.Query)
	}
	d.do(t, "GET", "/?access_token=hunter2&q=x")
	if got := d.lastAsked(t).Query; len(got) != 1 {
		t.Errorf("the policy sees the query %v, want it without the token", got)
	}
}

func TestNewRefuses(t *testing.T) {
	good := func() gate.Options {
		return gate.Options{Policy: fixed{}, Tokens: tokens{}, Subjects: subjects{}, Issuer: issuer}
	}
	tests := []struct {
		name, want string
		change     func(*gate.Options)
	}{
		{"no policy", "Policy", func(o *gate.Options) { o.Policy = nil }},
		{"no subjects, but an issuer", "Subjects", func(o *gate.Options) { o.Subjects = nil }},
		{"no issuer, but subjects", "Issuer", func(o *gate.Options) { o.Issuer = "" }},
		{"authorization shown", "credentials", func(o *gate.Options) { o.Headers = []string{"authorization"} }},
		{"cookies shown", "credentials", func(o *gate.Options) { o.Headers = []string{"cookie"} }},
		{"proxy authorization shown", "credentials", func(o *gate.Options) { o.Headers = []string{"proxy-authorization"} }},
		{"no header name", "header name", func(o *gate.Options) { o.Headers = []string{"x tenant"} }},
		{"no prefix", "TrustedProxies", func(o *gate.Options) { o.TrustedProxies = []netip.Prefix{{}} }},
		{"origin with a path", "origin", func(o *gate.Options) { o.CORSOrigins = []string{"https://app.example.com/"} }},
		{"origin without a scheme", "origin", func(o *gate.Options) { o.CORSOrigins = []string{"app.example.com"} }},
		{"empty origin", "origin", func(o *gate.Options) { o.CORSOrigins = []string{""} }},
		{"two asterisks", "origin", func(o *gate.Options) { o.CORSOrigins = []string{"https://*.*.example.com"} }},
	}
	if _, err := gate.New(good()); err != nil {
		t.Fatalf("good options are refused: %v", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.change(&o)
			if _, err := gate.New(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want an error about %s", err, tt.want)
			}
		})
	}
}

// The zero value of everything that may be left out is safe: nobody passes but
// where the policy says public.
func TestWithoutTokens(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) { o.Tokens, o.Subjects, o.Issuer, o.Observe = nil, nil, "", nil })
	if got := d.do(t, "GET", "/account", bearer("carol")); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a token: status %d, want 401", got.StatusCode)
	}
	if got := d.do(t, "GET", "/"); got.StatusCode != http.StatusOK {
		t.Errorf("public: status %d, want 200", got.StatusCode)
	}
}

func TestWithoutAPolicy(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) { o.Policy = fixed{} })
	if got := d.do(t, "GET", "/"); got.StatusCode != http.StatusServiceUnavailable || len(d.handled()) > 0 {
		t.Errorf("status %d, handled %v; want 503 and nothing", got.StatusCode, d.handled())
	}
}
