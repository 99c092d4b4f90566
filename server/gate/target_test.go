package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The lines of the attack list on paths, sent raw over a socket: the one
// canonical spelling, or 400.
func TestTargetsOverASocket(t *testing.T) {
	d := openDoor(t, nil)
	tests := []struct {
		name, line string
		status     int
		handled    string // "" means that nothing may be handled
	}{
		{"canonical", "GET /admin HTTP/1.1", 200, "GET /admin"},
		{"//admin", "GET //admin HTTP/1.1", 400, ""},
		{"/./admin", "GET /./admin HTTP/1.1", 400, ""},
		{"/x/../admin", "GET /x/../admin HTTP/1.1", 400, ""},
		{"/docs/../admin", "GET /docs/../admin HTTP/1.1", 400, ""},
		{"/docs/%2e%2e/admin", "GET /docs/%2e%2e/admin HTTP/1.1", 400, ""},
		{"/docs/..%2fadmin", "GET /docs/..%2fadmin HTTP/1.1", 400, ""},
		{"/admin/", "GET /admin/ HTTP/1.1", 404, ""},
		{"/ADMIN", "GET /ADMIN HTTP/1.1", 404, ""},
		{"/admin;x", "GET /admin;x HTTP/1.1", 400, ""},
		{"/admin%2f", "GET /admin%2f HTTP/1.1", 400, ""},
		{"/admin%2F", "GET /admin%2F HTTP/1.1", 400, ""},
		{"/%61dmin", "GET /%61dmin HTTP/1.1", 400, ""},
		{"/admin%00", "GET /admin%00 HTTP/1.1", 400, ""},
		{`/admin\`, `GET /admin\ HTTP/1.1`, 400, ""},
		{"/admin%5c", "GET /admin%5c HTTP/1.1", 400, ""},
		{"/admin%5C", "GET /admin%5C HTTP/1.1", 400, ""},
		{"/admin?x=/../", "GET /admin?x=/../ HTTP/1.1", 200, "GET /admin"},
		{"/admin#", "GET /admin# HTTP/1.1", 400, ""},
		{"/admin#/../x", "GET /admin#/../x HTTP/1.1", 400, ""},
		{"overlong UTF-8", "GET /%C0%AFadmin HTTP/1.1", 400, ""},
		{"invalid UTF-8", "GET /docs/%FF HTTP/1.1", 400, ""},
		{"raw non-ASCII", "GET /docs/\xc3\xa9 HTTP/1.1", 400, ""},
		{"%252e", "GET /docs/%252e%252e/admin HTTP/1.1", 400, ""},
		{"UTF-8", "GET /docs/caf%C3%A9 HTTP/1.1", 200, "GET /docs/caf%C3%A9"},
		{"absolute form", "GET http://example.com/admin HTTP/1.1", 400, ""},
		{"absolute form, https", "GET https://example.com/admin HTTP/1.1", 400, ""},
		{"asterisk form", "OPTIONS * HTTP/1.1", 400, ""},
		{"CONNECT to an authority", "CONNECT example.com:443 HTTP/1.1", 400, ""},
		{"CONNECT to a path", "CONNECT /admin HTTP/1.1", 405, ""},
		{"TRACE", "TRACE /admin HTTP/1.1", 405, ""},
		{"unknown method", "FROBNICATE /admin HTTP/1.1", 405, ""},
		{"query with a semicolon", "GET /admin?a=1;b=2 HTTP/1.1", 400, ""},
		{"query that does not decode", "GET /admin?a=%zz HTTP/1.1", 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(d.handled())
			got := d.raw(t, tt.line+"\r\nHost: EXAMPLE.com\r\nAuthorization: Bearer john\r\nConnection: close\r\n\r\n")
			if got.StatusCode != tt.status {
				t.Errorf("status %d, want %d; body %s", got.StatusCode, tt.status, got.body)
			}
			if got.Header.Get("X-Request-ID") == "" {
				t.Error("no X-Request-ID")
			}
			if tt.status == http.StatusBadRequest {
				if got.Header.Get("X-Decision-ID") != "" {
					t.Error("X-Decision-ID without a decision")
				}
				if p := got.problem(t); p.Detail == "" || len(p.Reasons) > 0 {
					t.Errorf("problem %+v, want a detail and no reasons", p)
				}
			}
			handled := d.handled()[before:]
			if strings.Join(handled, ",") != tt.handled {
				t.Errorf("handled %q, want %q", handled, tt.handled)
			}
		})
	}
}

func TestHostOfAnotherCase(t *testing.T) {
	d := openDoor(t, nil)
	for host, want := range map[string]string{
		"API.Example.COM": "api.example.com", "API.example.com:8080": "api.example.com", "[::1]:8080": "::1", "[0:0::1]": "::1",
		"127.0.0.1:80": "127.0.0.1",
	} {
		d.raw(t, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if got := d.lastAsked(t).Host; got != want {
			t.Errorf("Host %q: the policy sees %q, want %q", host, got, want)
		}
	}
}

// Whatever rewrites the URL in front of the gate would make the policy and the
// handler look at different paths.
func TestRewrittenURLIsRefused(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	handler := http.StripPrefix("/docs", testGate(t, d, nil).Wrap(http.HandlerFunc(d.serve)))
	for _, target := range []string{"/docs/admin", "/docs/items/"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if w.Code != http.StatusInternalServerError || len(d.handled()) > 0 {
			t.Errorf("%s: status %d, handled %v; want 500 and nothing", target, w.Code, d.handled())
		}
	}
	if lines := d.logs.String(); !strings.Contains(lines, "outermost") {
		t.Errorf("the log does not say what to do: %s", lines)
	}
}
