package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRFC7523Assertions(t *testing.T) {
	h := withClients(t)
	n := 0
	tests := []struct {
		name    string
		changes map[string]any
		header  string
		more    []string
		status  int
	}{
		{name: "section 2.2: a good assertion", status: 200},
		{name: "section 2.2: client_id may be named, too", more: []string{"client_id", "cron"}, status: 200},
		{name: "RFC 9864 section 2.2: Ed25519 by its own name", header: `{"alg":"Ed25519","kid":"k1"}`, status: 200},
		{name: "section 2.2: another client_id", more: []string{"client_id", "service"}, status: 400},
		{name: "section 3 (3): the token endpoint as aud", changes: map[string]any{"aud": issuer + "/token"}, status: 200},
		{name: "section 3 (3): several audiences", changes: map[string]any{"aud": []string{"x", issuer}}, status: 200},
		{name: "section 3 (3): another server's aud", changes: map[string]any{"aud": "https://other.example"}, status: 400},
		{name: "section 3 (3): no aud", changes: map[string]any{"aud": nil}, status: 400},
		{name: "section 3 (1): iss is another client", changes: map[string]any{"iss": "service"}, status: 400},
		{name: "section 3 (2): sub is another client", changes: map[string]any{"sub": "service"}, status: 400},
		{name: "section 3 (2): sub is nobody", changes: map[string]any{"iss": "nobody", "sub": "nobody"}, status: 400},
		{name: "section 3 (4): expired", changes: map[string]any{"exp": h.clock.now().Add(-time.Minute).Unix()}, status: 400},
		{name: "section 3 (4): no exp", changes: map[string]any{"exp": nil}, status: 400},
		{name: "section 3 (4): good for an hour", changes: map[string]any{"exp": h.clock.now().Add(time.Hour).Unix()}, status: 400},
		{name: "section 3 (5): not yet", changes: map[string]any{"nbf": h.clock.now().Add(time.Minute).Unix()}, status: 400},
		{name: "section 3 (7): no jti", changes: map[string]any{"jti": nil}, status: 400},
		{name: "RFC 8725 section 3.11: an access token is no assertion", header: `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, status: 400},
		{name: "RFC 8725 section 3.2: alg none", header: `{"alg":"none","kid":"k1"}`, status: 400},
		{name: "RFC 8725 section 3.1: an algorithm that is not the key's", header: `{"alg":"HS256","kid":"k1"}`, status: 400},
	}
	for _, tt := range tests {
		t.Run("RFC 7523 "+tt.name, func(t *testing.T) {
			n++
			changes := map[string]any{"jti": strings.Repeat("j", n)}
			for name, value := range tt.changes {
				changes[name] = value
			}
			var header []string
			if tt.header != "" {
				header = []string{tt.header}
			}
			w := h.post("/token", asserting(h.assertion(changes, header...), tt.more...))
			if tt.status == http.StatusOK {
				if w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			h.refused(t, w, tt.status, "invalid_client")
		})
	}
	t.Run("RFC 7523 section 3 (7): an assertion is good once", func(t *testing.T) {
		assertion := h.assertion(map[string]any{"jti": "once"})
		h.tokens(asserting(assertion))
		h.refused(t, h.post("/token", asserting(assertion)), 400, "invalid_client")
	})
	t.Run("RFC 7521 section 4.2: another client_assertion_type", func(t *testing.T) {
		body := pairs("grant_type", "client_credentials", "client_assertion", h.assertion(nil), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		h.refused(t, h.post("/token", body), 400, "invalid_client")
	})
}
