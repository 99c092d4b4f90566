package gate_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestDenialLine(t *testing.T) {
	d := openDoor(t, nil)
	got := d.do(t, "POST", "/items/?secret=hunter2", bearer("carol"))
	lines := d.logs.lines(t, "request denied")
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1: %s", len(lines), d.logs)
	}
	want := map[string]any{
		"level": "INFO", "method": "POST", "path": "/items/", "route": "/items/", "subject": carol, "status": 403.0,
		"decision_id": got.Header.Get("X-Decision-ID"), "request_id": got.Header.Get("X-Request-ID"), "client_ip": "127.0.0.1",
	}
	for name, value := range want {
		if lines[0][name] != value {
			t.Errorf("%s is %v, want %v", name, lines[0][name], value)
		}
	}
	if reasons := fmt.Sprint(lines[0]["reasons"]); !strings.Contains(reasons, "missing_scope") || !strings.Contains(reasons, "needs scope items:write") {
		t.Errorf("reasons %s", reasons)
	}
	if lines[0]["revision"] == "" || lines[0]["revision"] == nil {
		t.Error("no revision")
	}
}

// Every denial is one line, with what an anonymous caller was not told; no line
// has a token or a query.
func TestEveryRefusalIsLoggedOnce(t *testing.T) {
	tests := []struct {
		name, method, target, header, message string
		want                                  map[string]any
	}{
		{"anonymous", "GET", "/nowhere?q=hunter2", "", "request denied", map[string]any{"status": 401.0, "level": "INFO"}},
		{"token refused", "GET", "/account", bearer("expired.hunter2"), "request denied", map[string]any{"status": 401.0, "token_error": "malformed"}},
		{"token in the query", "GET", "/account?access_token=hunter2", "", "request denied", map[string]any{"status": 400.0, "token_error": "in_query"}},
		{"not found", "GET", "/nowhere", bearer("carol"), "request denied", map[string]any{"status": 404.0, "subject": carol}},
		{"another issuer's subject", "GET", "/nowhere", bearer("external"), "request denied", map[string]any{"subject": "https://other.example.com " + john}},
		{"method", "PUT", "/account", bearer("carol"), "request denied", map[string]any{"status": 405.0, "method": "PUT"}},
		{"target", "GET", "/a//b?access_token=hunter2", "", "request target refused", map[string]any{"status": 400.0, "fault": "empty_segment"}},
		{"failure", "GET", "/conflict?access_token=hunter2", "", "request could not be decided", map[string]any{"status": 503.0, "level": "ERROR", "route": "/conflict"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, nil)
			headers := []string{"X-Request-ID: the-request"}
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			d.do(t, tt.method, tt.target, headers...)
			lines := d.logs.lines(t, tt.message)
			if len(lines) != 1 || strings.Count(d.logs.String(), "\n") != 1 {
				t.Fatalf("want one line: %s", d.logs)
			}
			tt.want["request_id"], tt.want["client_ip"] = "the-request", "127.0.0.1"
			for name, value := range tt.want {
				if lines[0][name] != value {
					t.Errorf("%s is %v, want %v", name, lines[0][name], value)
				}
			}
			for _, secret := range []string{"hunter2", "access_token", "Bearer"} {
				if strings.Contains(d.logs.String(), secret) {
					t.Errorf("the log shows %q: %s", secret, d.logs)
				}
			}
		})
	}
}

func TestWhatPassesIsNotLogged(t *testing.T) {
	d := openDoor(t, nil)
	d.do(t, "GET", "/items/", bearer("carol"))
	d.do(t, "GET", "/", bearer("expired"))
	if d.logs.String() != "" {
		t.Errorf("log: %s", d.logs)
	}
}
