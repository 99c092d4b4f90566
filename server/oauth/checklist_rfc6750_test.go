package oauth_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRFC6750AtTheGate(t *testing.T) {
	h := withClients(t)
	access, _ := h.tokens(carolsLogin + "&scope=items:read")
	tests := []struct {
		name, method, target, authorization string
		status                              int
		challenge                           string
	}{
		{"section 2.1: the scheme ignores case (RFC 9110 section 11.1)", "GET", "/items/", "bEARER " + access, passed, ""},
		{"section 3.1: no token", "GET", "/items/", "", 401, `Bearer realm="stagedoor"`},
		{"section 3.1: a token that is none", "GET", "/items/", "Bearer x.y.z", 401, `error="invalid_token"`},
		{"section 3.1: malformed", "GET", "/items/", "Bearer a b", 400, `error="invalid_request"`},
		{"section 2: two methods", "GET", "/items/?access_token=" + access, "Bearer " + access, 400, `error="invalid_request"`},
		{"section 2.3: in the query (RFC 9700 section 4.3.2)", "GET", "/items/?access_token=" + access, "", 400, `error="invalid_request"`},
		{"section 3.1: a scope is missing", "POST", "/items/", "Bearer " + access, 403, `error="insufficient_scope", scope="items:write"`},
	}
	for _, tt := range tests {
		t.Run("RFC 6750 "+tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			w := h.do(r)
			challenge := w.Header().Get("WWW-Authenticate")
			if w.Code != tt.status || !strings.Contains(challenge, tt.challenge) || (challenge == "") != (tt.challenge == "") {
				t.Errorf("%d %q, want %d %q", w.Code, challenge, tt.status, tt.challenge)
			}
			for _, attribute := range []string{"realm=", "scope=", "error="} {
				if strings.Count(challenge, attribute) > 1 {
					t.Errorf("%q has %s twice", challenge, attribute)
				}
			}
		})
	}
}
