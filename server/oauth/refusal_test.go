package oauth

import (
	"net/http/httptest"
	"testing"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/problem"
)

func TestTheGateRefusesInOAuthsWords(t *testing.T) {
	challenge := &problem.Challenge{Realm: "stagedoor", Error: "invalid_token"}
	tests := []struct {
		name        string
		refusal     gate.Refusal
		code        string
		description string
		challenge   string
	}{
		{"another method", gate.Refusal{Problem: problem.Problem{Status: 405}}, "invalid_request", "send a POST request", ""},
		{"a malformed request", gate.Refusal{Problem: problem.Problem{Status: 400, Detail: "twice"}, Challenge: challenge}, "invalid_request", "twice", ""},
		{"a token is needed", gate.Refusal{Problem: problem.Problem{Status: 401, Title: "Unauthorized"}, Challenge: challenge}, "invalid_client", "Unauthorized", challenge.String()},
		{"denied with reasons", gate.Refusal{Problem: problem.Problem{Status: 403, Reasons: []problem.Reason{{Code: "a", Message: `no "x"`}, {Code: "b", Message: "no y"}}}, Challenge: challenge}, "unauthorized_client", "no 'x'; no y", ""},
		{"the engine failed", gate.Refusal{Problem: problem.Problem{Status: 503}}, "temporarily_unavailable", "Service Unavailable", ""},
		{"a fault", gate.Refusal{Problem: problem.Problem{Status: 500}}, "server_error", "Internal Server Error", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Allow", "POST")
			(&Service{}).Refusals()[tokenPath](w, httptest.NewRequest("GET", tokenPath, nil), &tt.refusal)
			got := members(t, w)
			if w.Code != tt.refusal.Problem.Status || got["error"] != tt.code || got["error_description"] != tt.description {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Header().Get("WWW-Authenticate") != tt.challenge || w.Header().Get("Allow") != "POST" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}
