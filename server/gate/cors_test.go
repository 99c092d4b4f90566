package gate_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/gate"
)

func TestCORS(t *testing.T) {
	const app = "https://app.example.com"
	tests := []struct {
		name, method, target, origin string
		headers                      []string
		status                       int
		admitted                     bool
		preflight                    string
	}{
		{"preflight of a declared route", "OPTIONS", "/items/", app, []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"}, 204, true, "POST"},
		{"preflight of an undeclared method", "OPTIONS", "/items/", app, []string{"Access-Control-Request-Method: DELETE"}, 401, true, "DELETE"},
		{"preflight of an undeclared route", "OPTIONS", "/nowhere", app, []string{"Access-Control-Request-Method: GET"}, 401, true, "GET"},
		{"preflight from another origin", "OPTIONS", "/items/", "https://evil.example.com", []string{"Access-Control-Request-Method: POST"}, 401, false, ""},
		{"preflight from an origin that ends like ours", "OPTIONS", "/items/", "https://xapp.example.com", []string{"Access-Control-Request-Method: POST"}, 401, false, ""},
		{"preflight without an origin", "OPTIONS", "/items/", "", []string{"Access-Control-Request-Method: POST"}, 401, false, ""},
		{"preflight from null", "OPTIONS", "/items/", "null", []string{"Access-Control-Request-Method: POST"}, 401, false, ""},
		{"preflight with a broken target", "OPTIONS", "//items/", app, []string{"Access-Control-Request-Method: POST"}, 400, true, ""},
		{"OPTIONS that is no preflight", "OPTIONS", "/items/", app, nil, 401, true, ""},
		{"allowed", "GET", "/items/", app, []string{bearer("carol")}, 200, true, ""},
		{"refused", "GET", "/items/", app, nil, 401, true, ""},
		{"refused from another origin", "GET", "/items/", "https://evil.example.com", nil, 401, false, ""},
		{"failed", "GET", "/conflict", app, nil, 503, true, ""},
		{"panicked", "GET", "/panic", app, nil, 500, true, ""},
		{"no origin", "GET", "/items/", "", []string{bearer("carol")}, 200, false, ""},
		{"a preflight method elsewhere", "GET", "/items/", app, []string{"Access-Control-Request-Method: GET", bearer("carol")}, 200, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, func(o *gate.Options) { o.CORSOrigins = []string{app} })
			headers := tt.headers
			if tt.origin != "" {
				headers = append([]string{"Origin: " + tt.origin}, headers...)
			}
			got := d.do(t, tt.method, tt.target, headers...)
			if got.StatusCode != tt.status {
				t.Errorf("status %d, want %d; body %s", got.StatusCode, tt.status, got.body)
			}
			want := ""
			if tt.admitted {
				want = app
			}
			if origin := got.Header.Get("Access-Control-Allow-Origin"); origin != want {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", origin, want)
			}
			if !strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("Vary %q, want Origin in it", got.Header.Values("Vary"))
			}
			if got.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are admitted")
			}
			if tt.status != 400 {
				if asked := d.lastAskedOrNone(); asked.Preflight != tt.preflight {
					t.Errorf("the policy sees the preflight %q, want %q", asked.Preflight, tt.preflight)
				}
			}
			if tt.method == "OPTIONS" && len(d.handled()) > 0 {
				t.Errorf("handled %v", d.handled())
			}
			if tt.status == 204 && (got.Header.Get("Access-Control-Allow-Methods") != "POST" || !strings.EqualFold(got.Header.Get("Access-Control-Allow-Headers"), "authorization")) {
				t.Errorf("preflight's answer: %v", got.Header)
			}
			if tt.method == "GET" && tt.admitted {
				exposed := strings.ToLower(strings.Join(got.Header.Values("Access-Control-Expose-Headers"), ","))
				for _, name := range []string{"www-authenticate", "x-request-id", "x-decision-id"} {
					if !strings.Contains(exposed, name) {
						t.Errorf("exposed %q lacks %s", exposed, name)
					}
				}
			}
		})
	}
}

func TestCORSForEveryOrigin(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) { o.CORSOrigins = []string{"*"} })
	if got := d.do(t, "GET", "/items/", "Origin: https://anywhere.example"); got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v, want every origin admitted", got.Header)
	}
	got := d.do(t, "OPTIONS", "/items/42", "Origin: https://anywhere.example", "Access-Control-Request-Method: DELETE")
	if got.StatusCode != http.StatusNoContent {
		t.Errorf("preflight: status %d, want 204", got.StatusCode)
	}
}

func TestNoCORSByDefault(t *testing.T) {
	d := openDoor(t, nil)
	for _, method := range []string{"GET", "OPTIONS"} {
		got := d.do(t, method, "/", "Origin: https://app.example.com", "Access-Control-Request-Method: GET")
		for name := range got.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s is set", method, name)
			}
		}
	}
}
