package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func revoking(token string, more ...string) string {
	return pairs(append([]string{"token", token, "client_id", "app"}, more...)...)
}

func TestRFC7009Revocation(t *testing.T) {
	h := withClients(t)
	revoked := func(t *testing.T, w *httptest.ResponseRecorder) {
		t.Helper()
		if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	t.Run("section 2.1: an access token, at once and by itself", func(t *testing.T) {
		access, refresh := h.carol()
		if code := h.use(access); code != passed {
			t.Fatalf("before: %d", code)
		}
		revoked(t, h.post("/revoke", revoking(access)))
		if code := h.use(access); code != http.StatusUnauthorized {
			t.Errorf("afterwards: %d", code)
		}
		second, _ := h.tokens(refreshing(refresh))
		if code := h.use(second); code != passed {
			t.Errorf("the login's next token: %d", code)
		}
	})
	t.Run("section 2.1: a refresh token, with every access token of the grant", func(t *testing.T) {
		access, refresh := h.carol()
		second, next := h.tokens(refreshing(refresh))
		revoked(t, h.post("/revoke", revoking(next)))
		for _, token := range []string{access, second} {
			if code := h.use(token); code != http.StatusUnauthorized {
				t.Errorf("an access token afterwards: %d", code)
			}
		}
		h.refused(t, h.post("/token", refreshing(next)), 400, "invalid_grant")
	})
	t.Run("section 2.1: a refresh token within its grace", func(t *testing.T) {
		_, refresh := h.carol()
		_, next := h.tokens(refreshing(refresh))
		revoked(t, h.post("/revoke", revoking(refresh)))
		h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
		h.refused(t, h.post("/token", refreshing(next)), 400, "invalid_grant")
	})
	t.Run("section 2.1: a wrong or unknown token_type_hint", func(t *testing.T) {
		for _, hint := range []string{"access_token", "saml"} {
			_, refresh := h.carol()
			revoked(t, h.post("/revoke", revoking(refresh, "token_type_hint", hint)))
			h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
		}
		access, _ := h.carol()
		revoked(t, h.post("/revoke", revoking(access, "token_type_hint", "refresh_token")))
		if code := h.use(access); code != http.StatusUnauthorized {
			t.Errorf("%d", code)
		}
	})
	t.Run("section 2.2: a token that is none, or is not any more", func(t *testing.T) {
		access, refresh := h.carol()
		revoked(t, h.post("/revoke", revoking(refresh)))
		for _, token := range []string{"x", "x.y.z", "sdr_unknown", refresh, access, access[:len(access)-8] + "AAAAAAAA", strings.Repeat(".", 1000)} {
			revoked(t, h.post("/revoke", revoking(token)))
		}
		old, _ := h.carol()
		h.clock.advance(time.Hour)
		revoked(t, h.post("/revoke", revoking(old)))
	})
	t.Run("section 2.1: another client's token", func(t *testing.T) {
		access, refresh := h.carol()
		for _, token := range []string{access, refresh} {
			h.refused(t, h.post("/revoke", pairs("token", token, "client_id", "other-app")), 400, "invalid_grant")
			h.refused(t, h.post("/revoke", pairs("token", token)), 400, "invalid_grant")
			h.refused(t, h.post("/revoke", pairs("token", token), basicAuth("service", serviceSecret)...), 400, "invalid_grant")
		}
		if code := h.use(access); code != passed {
			t.Errorf("it was revoked: %d", code)
		}
		h.tokens(refreshing(refresh))
	})
	t.Run("section 2.1: a confidential client must authenticate", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", basicAuth("service", serviceSecret)...)
		h.refused(t, h.post("/revoke", pairs("token", access, "client_id", "service")), 400, "invalid_client")
		h.refused(t, h.post("/revoke", pairs("token", access), basicAuth("service", "x")...), 401, "invalid_client")
		if code := h.use(access); code != passed {
			t.Fatalf("it was revoked: %d", code)
		}
		revoked(t, h.post("/revoke", pairs("token", access), basicAuth("service", serviceSecret)...))
		if code := h.use(access); code != http.StatusUnauthorized {
			t.Errorf("afterwards: %d", code)
		}
	})
	t.Run("section 2.1: a token for another audience", func(t *testing.T) {
		service := basicAuth("service", serviceSecret)
		access, _ := h.tokens("grant_type=client_credentials&resource="+billing, service...)
		revoked(t, h.post("/revoke", pairs("token", access), service...))
		if got := h.introspect(access, "service"); got["active"] != false {
			t.Errorf("%v", got)
		}
	})
	t.Run("section 2.1: token is missing", func(t *testing.T) {
		h.refused(t, h.post("/revoke", "client_id=app"), 400, "invalid_request")
		h.refused(t, h.post("/revoke?token=x", "client_id=app"), 400, "invalid_request")
	})
	t.Run("section 2.1: a token sent twice", func(t *testing.T) {
		h.refused(t, h.post("/revoke", "client_id=app&token=x&token=y"), 400, "invalid_request")
	})
	t.Run("section 2.1: JSON", func(t *testing.T) {
		h.refused(t, h.post("/revoke", `{"token":"x"}`, "Content-Type", "application/json"), 400, "invalid_request")
	})
	t.Run("section 2.3: no JSONP", func(t *testing.T) {
		if w := h.post("/revoke?callback=f", revoking("x")); w.Code != 200 || w.Body.Len() != 0 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
