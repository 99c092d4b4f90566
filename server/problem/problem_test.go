package problem_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stagedoor/stagedoor/server/problem"
)

func TestWrite(t *testing.T) {
	tests := []struct {
		name    string
		problem problem.Problem
		status  int
		body    string
	}{
		{"status alone", problem.Problem{Status: 404}, 404, `{"type":"about:blank","title":"Not Found","status":404}`},
		{"everything", problem.Problem{
			Type: "https://example.com/p", Title: "No", Status: 403, Detail: "ask for it", Instance: "/log/1",
			Reasons: []problem.Reason{{Code: "missing_scope", Message: "needs scope items:write"}, {Code: "b", Message: "<&>"}}, DecisionID: "d1", RequestID: "r1",
		}, 403, `{"type":"https://example.com/p","title":"No","status":403,"detail":"ask for it","instance":"/log/1",` +
			`"reasons":[{"code":"missing_scope","message":"needs scope items:write"},{"code":"b","message":"<&>"}],"decision_id":"d1","request_id":"r1"}`},
		{"zero", problem.Problem{}, 500, `{"type":"about:blank","title":"Internal Server Error","status":500}`},
		{"no error's status", problem.Problem{Status: 200}, 500, `{"type":"about:blank","title":"Internal Server Error","status":500}`},
		{"status without words", problem.Problem{Status: 499}, 499, `{"type":"about:blank","title":"","status":499}`},
		{"invalid UTF-8", problem.Problem{Status: 400, Detail: "\xff\""}, 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"\ufffd\""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("WWW-Authenticate", "stays")
			w.Header().Set("Cache-Control", "public")
			problem.Write(w, tt.problem)
			if w.Code != tt.status || w.Body.String() != tt.body+"\n" {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			for name, want := range map[string]string{
				"Content-Type": "application/problem+json", "Cache-Control": "no-store", "WWW-Authenticate": "stays", "X-Content-Type-Options": "nosniff",
			} {
				if got := w.Header().Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestHEADHasNoBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.Problem{Status: 404})
	}))
	defer server.Close()
	got, err := http.Head(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != 404 || got.ContentLength <= 0 {
		t.Errorf("status %d, length %d", got.StatusCode, got.ContentLength)
	}
}

func TestChallenge(t *testing.T) {
	tests := []struct {
		name      string
		challenge problem.Challenge
		want      string
	}{
		{"zero has a parameter", problem.Challenge{}, `Bearer realm=""`},
		{"no token", problem.Challenge{Realm: "stagedoor"}, `Bearer realm="stagedoor"`},
		{"token refused", problem.Challenge{Realm: "x", Error: problem.InvalidToken, Description: "expired"}, `Bearer realm="x", error="invalid_token", error_description="expired"`},
		{"scope", problem.Challenge{Realm: "x", Error: problem.InsufficientScope, Scope: []string{"items:read", "items:write"}}, `Bearer realm="x", error="insufficient_scope", scope="items:read items:write"`},
		{"scope once", problem.Challenge{Scope: []string{"a", "b", "a"}}, `Bearer realm="", scope="a b"`},
		{"scopes that none can be", problem.Challenge{Scope: []string{"", "a b", `c"`, `d\`, "é", "e\r\nSet-Cookie: x", "ok"}}, `Bearer realm="", scope="ok"`},
		{"realm is escaped", problem.Challenge{Realm: `a"b\c`}, `Bearer realm="a\"b\\c"`},
		{"realm has no line breaks", problem.Challenge{Realm: "a\r\nX: y\x7f"}, `Bearer realm="a  X: y "`},
		{"realm is ASCII", problem.Challenge{Realm: "café"}, `Bearer realm="caf?"`},
		{"description has its own characters", problem.Challenge{Description: "a \"b\" \\ é\n"}, `Bearer realm="", error_description="a 'b' / ? "`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.challenge.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
