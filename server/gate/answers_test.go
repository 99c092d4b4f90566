package gate_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/gate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	challengePlain = `Bearer realm="stage"`
	challengeToken = `Bearer realm="stage", error="invalid_token"`
	challengeFault = `Bearer realm="stage", error="invalid_request"`
)

// The answers table of the design, line by line.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name, method, target string
		headers              []string
		status               int
		challenge            string   // "" means no WWW-Authenticate
		allow                string   // "" means no Allow
		reasons              []string // codes; only in a problem's body
	}{
		// no token, route needs one (or route undeclared)
		{name: "no token, route needs one", method: "GET", target: "/account", status: 401, challenge: challengePlain},
		{name: "no token, route needs a scope", method: "GET", target: "/items/", status: 401, challenge: challengePlain},
		{name: "no token, undeclared route", method: "GET", target: "/nowhere", status: 401, challenge: challengePlain},
		{name: "no token, root of nothing", method: "GET", target: "/account/", status: 401, challenge: challengePlain},
		{name: "Basic is no bearer token", method: "GET", target: "/account", headers: []string{"Authorization: Basic Og=="}, status: 401, challenge: challengePlain},
		{name: "a scheme that only begins with Bearer", method: "GET", target: "/account", headers: []string{"Authorization: Bearerx carol"}, status: 401, challenge: challengePlain},
		{name: "an empty Authorization header", method: "GET", target: "/account", headers: []string{"Authorization: "}, status: 401, challenge: challengePlain},

		// token refused
		{name: "token expired", method: "GET", target: "/account", headers: []string{bearer("expired")}, status: 401, challenge: challengeToken},
		{name: "token refused, undeclared route", method: "GET", target: "/nowhere", headers: []string{bearer("expired")}, status: 401, challenge: challengeToken},
		{name: "token is no JWT", method: "GET", target: "/account", headers: []string{bearer("rubbish")}, status: 401, challenge: challengeToken},
		{name: "subject is gone", method: "GET", target: "/account", headers: []string{bearer("gone")}, status: 401, challenge: challengeToken},
		{name: "subject is nil", method: "GET", target: "/account", headers: []string{bearer("vanished")}, status: 401, challenge: challengeToken},
		{name: "empty token", method: "GET", target: "/account", headers: []string{"Authorization: Bearer "}, status: 400, challenge: challengeFault},
		{name: "scheme alone", method: "GET", target: "/account", headers: []string{"Authorization: Bearer"}, status: 400, challenge: challengeFault},
		{name: "two words after the scheme", method: "GET", target: "/account", headers: []string{"Authorization: Bearer carol john"}, status: 400, challenge: challengeFault},
		{name: "two credentials in one header", method: "GET", target: "/account", headers: []string{"Authorization: Bearer carol, Bearer john"}, status: 400, challenge: challengeFault},
		{name: "tab instead of a space", method: "GET", target: "/account", headers: []string{"Authorization: Bearer\tcarol"}, status: 400, challenge: challengeFault},
		{name: "character that no token has", method: "GET", target: "/account", headers: []string{"Authorization: Bearer ca\"rol"}, status: 400, challenge: challengeFault},
		{name: "padding alone", method: "GET", target: "/account", headers: []string{"Authorization: Bearer =="}, status: 400, challenge: challengeFault},
		{name: "repeated Authorization", method: "GET", target: "/account", headers: []string{bearer("carol"), bearer("carol")}, status: 400, challenge: challengeFault},
		{name: "repeated Authorization, other schemes", method: "GET", target: "/account", headers: []string{"Authorization: Basic Og==", bearer("carol")}, status: 400, challenge: challengeFault},
		{name: "repeated Authorization, one empty", method: "GET", target: "/account", headers: []string{"Authorization: ", bearer("carol")}, status: 400, challenge: challengeFault},
		{name: "token in the query", method: "GET", target: "/account?access_token=carol", status: 400, challenge: challengeFault},
		{name: "token in the query, encoded name", method: "GET", target: "/account?access%5ftoken=carol", status: 400, challenge: challengeFault},
		{name: "token in the query and the header", method: "GET", target: "/account?access_token=carol", headers: []string{bearer("carol")}, status: 400, challenge: challengeFault},

		// scope missing
		{name: "scope missing", method: "POST", target: "/items/", headers: []string{bearer("carol")}, status: 403,
			challenge: `Bearer realm="stage", error="insufficient_scope", scope="items:write"`, reasons: []string{"missing_scope"}},

		// role, owner, any other denial
		{name: "role missing", method: "GET", target: "/admin", headers: []string{bearer("carol")}, status: 403, reasons: []string{"missing_role"}},
		{name: "not the owner", method: "DELETE", target: "/items/42", headers: []string{bearer("john")}, status: 403, reasons: []string{"not_owner"}},
		{name: "no such resource", method: "DELETE", target: "/items/404", headers: []string{bearer("carol")}, status: 403, reasons: []string{"not_owner"}},
		{name: "account disabled", method: "GET", target: "/account", headers: []string{bearer("dave")}, status: 403, reasons: []string{"account_disabled"}},
		{name: "an external subject of our subject's id", method: "DELETE", target: "/admin", headers: []string{bearer("external")}, status: 405, allow: "GET, HEAD"},
		{name: "an external subject has none of our roles", method: "GET", target: "/admin", headers: []string{bearer("external")}, status: 403, reasons: []string{"missing_role"}},
		{name: "the policy's own status", method: "GET", target: "/wants/418", headers: []string{bearer("carol")}, status: 418, reasons: []string{"wanted_status"}},
		{name: "the policy's 400", method: "GET", target: "/wants/400", headers: []string{bearer("carol")}, status: 400, reasons: []string{"wanted_status"}},
		{name: "the policy's 401", method: "GET", target: "/wants/401", headers: []string{bearer("carol")}, status: 401, challenge: challengeToken, reasons: []string{"wanted_status"}},
		{name: "a status that no denial has", method: "GET", target: "/wants/503", headers: []string{bearer("carol")}, status: 403, reasons: []string{"wanted_status"}},
		{name: "the policy's status, anonymous", method: "GET", target: "/wants/418", status: 401, challenge: challengePlain},

		// undeclared route, known subject
		{name: "undeclared, known subject", method: "GET", target: "/nowhere", headers: []string{bearer("carol")}, status: 404},
		{name: "trailing slash is undeclared", method: "GET", target: "/account/", headers: []string{bearer("carol")}, status: 404},
		{name: "/ADMIN is undeclared", method: "GET", target: "/ADMIN", headers: []string{bearer("john")}, status: 404},

		// declared path, other method
		{name: "other method, public path", method: "GET", target: "/token", status: 405, allow: "POST"},
		{name: "other method, public path, bad token", method: "GET", target: "/token", headers: []string{bearer("expired")}, status: 405, allow: "POST"},
		{name: "other method, known subject", method: "DELETE", target: "/items/", headers: []string{bearer("carol")}, status: 405, allow: "GET, HEAD, POST"},
		{name: "other method, anonymous", method: "DELETE", target: "/items/", status: 401, challenge: challengePlain},
		{name: "other method, bad token", method: "DELETE", target: "/items/", headers: []string{bearer("expired")}, status: 401, challenge: challengeToken},
		{name: "TRACE", method: "TRACE", target: "/account", headers: []string{bearer("carol")}, status: 405, allow: "GET, HEAD"},
		{name: "TRACE, anonymous", method: "TRACE", target: "/", status: 405, allow: "GET, HEAD"},
		{name: "unknown method", method: "FROBNICATE", target: "/account", headers: []string{bearer("carol")}, status: 405, allow: "GET, HEAD"},
		{name: "method in lower case", method: "get", target: "/account", headers: []string{bearer("carol")}, status: 405, allow: "GET, HEAD"},
		{name: "OPTIONS without CORS", method: "OPTIONS", target: "/items/", headers: []string{"Origin: https://app.example.com", "Access-Control-Request-Method: GET"}, status: 401, challenge: challengePlain},
		{name: "X-HTTP-Method-Override is ignored", method: "GET", target: "/token", headers: []string{"X-HTTP-Method-Override: POST", "X-Method-Override: POST", "X-HTTP-Method: POST"}, status: 405, allow: "POST"},

		// passes
		{name: "allowed", method: "GET", target: "/items/", headers: []string{bearer("carol")}, status: 200},
		{name: "allowed by role", method: "GET", target: "/admin", headers: []string{bearer("john")}, status: 200},
		{name: "allowed to the owner", method: "DELETE", target: "/items/42", headers: []string{bearer("carol")}, status: 200},
		{name: "bEaReR", method: "GET", target: "/items/", headers: []string{"Authorization: bEaReR carol"}, status: 200},
		{name: "bearer", method: "GET", target: "/items/", headers: []string{"authorization: bearer   carol"}, status: 200},
		{name: "HEAD as GET", method: "HEAD", target: "/items/", headers: []string{bearer("carol")}, status: 200},
		{name: "HEAD refused", method: "HEAD", target: "/items/", status: 401, challenge: challengePlain},
		{name: "public", method: "POST", target: "/token", status: 200},
		{name: "public route, bad token", method: "GET", target: "/", headers: []string{bearer("expired")}, status: 200},
		{name: "public route, repeated token", method: "GET", target: "/", headers: []string{bearer("carol"), bearer("john")}, status: 200},
		{name: "public route, token in the query", method: "GET", target: "/?access_token=x", status: 200},
		{name: "public route, Basic", method: "POST", target: "/token", headers: []string{"Authorization: Basic Og=="}, status: 200},

		// engine error or timeout
		{name: "engine error", method: "GET", target: "/conflict", headers: []string{bearer("carol")}, status: 503},
		{name: "loader error", method: "GET", target: "/broken-loader/1", headers: []string{bearer("carol")}, status: 503},
		{name: "subject look-up fails", method: "GET", target: "/account", headers: []string{bearer("unreachable")}, status: 503},
		{name: "verification fails", method: "GET", target: "/account", headers: []string{bearer("keys-unreachable")}, status: 503},
		{name: "verification says nothing", method: "GET", target: "/account", headers: []string{bearer("no-claims")}, status: 503},
	}

	var golden bytes.Buffer
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, nil)
			got := d.do(t, tt.method, tt.target, tt.headers...)
			if got.StatusCode != tt.status {
				t.Errorf("status %d, want %d; body %s", got.StatusCode, tt.status, got.body)
			}
			if values := got.Header.Values("WWW-Authenticate"); strings.Join(values, "|") != tt.challenge {
				t.Errorf("WWW-Authenticate %q, want %q", values, tt.challenge)
			}
			if value := got.Header.Get("Allow"); value != tt.allow {
				t.Errorf("Allow %q, want %q", value, tt.allow)
			}
			if got.Header.Get("X-Request-ID") == "" {
				t.Error("no X-Request-ID")
			}
			if decided := got.Header.Get("X-Decision-ID") != ""; decided != (tt.status != 503) {
				t.Errorf("X-Decision-ID %q with status %d", got.Header.Get("X-Decision-ID"), got.StatusCode)
			}
			if retry := got.Header.Get("Retry-After") != ""; retry != (tt.status == 503) {
				t.Errorf("Retry-After %q with status %d", got.Header.Get("Retry-After"), got.StatusCode)
			}

			handled := d.handled()
			if tt.status == 200 {
				if len(handled) != 1 {
					t.Errorf("handled %v, want one request", handled)
				}
				return
			}
			if len(handled) != 0 {
				t.Errorf("refused, but handled: %v", handled)
			}
			if value := got.Header.Get("Cache-Control"); value != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", value)
			}
			fmt.Fprintf(&golden, "%s\n  %s %s\n  %d\n", tt.name, tt.method, tt.target, got.StatusCode)
			for _, name := range []string{"Www-Authenticate", "Allow", "Retry-After"} {
				if value := got.Header.Get(name); value != "" {
					fmt.Fprintf(&golden, "  %s: %s\n", name, value)
				}
			}
			fmt.Fprintf(&golden, "  %s\n\n", strings.TrimSuffix(got.body, "\n"))
			if tt.method == "HEAD" {
				return
			}
			p := got.problem(t)
			var codes []string
			for _, r := range p.Reasons {
				codes = append(codes, r.Code)
			}
			if !slices.Equal(codes, tt.reasons) {
				t.Errorf("reasons %q, want %q", codes, tt.reasons)
			}
			if p.RequestID != got.Header.Get("X-Request-ID") || p.DecisionID != got.Header.Get("X-Decision-ID") || p.Status != tt.status {
				t.Errorf("body %s does not match the headers", got.body)
			}
			for _, secret := range []string{"hunter2", "10.9.8.7", "conflict error", "rego", "eval_", "expired"} {
				if strings.Contains(got.body+fmt.Sprint(got.Header), secret) {
					t.Errorf("the answer shows %q: %s", secret, got.body)
				}
			}
		})
	}

	file := filepath.Join("testdata", "refusals.golden")
	if *update {
		if err := os.WriteFile(file, golden.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden.Bytes(), want) {
		t.Errorf("the refusals differ from %s (rewrite it with go test -run TestAnswers -update); got:\n%s", file, golden.String())
	}
}

// An anonymous caller learns nothing from the body but that they must
// authenticate: not whether a path is declared, nor what it would need.
func TestAnonymousBodiesAreAlike(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) { o.NewID = func() string { return "an-id" } })
	want := d.do(t, "GET", "/account")
	for _, target := range []string{"/nowhere", "/items/", "/items/42", "/admin", "/wants/418", "/wants/400"} {
		got := d.do(t, "GET", target)
		if got.StatusCode != want.StatusCode || got.body != want.body || got.Header.Get("WWW-Authenticate") != want.Header.Get("WWW-Authenticate") {
			t.Errorf("%s: %d %s, want it like /account's: %d %s", target, got.StatusCode, got.body, want.StatusCode, want.body)
		}
	}
}
