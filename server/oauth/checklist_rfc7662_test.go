package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// introspect asks as a client with the usual secret.
func (h *house) introspect(token, client string) map[string]any {
	h.t.Helper()
	w := h.post("/introspect", pairs("token", token), basicAuth(client, serviceSecret)...)
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json;charset=UTF-8" {
		h.t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return h.members(w)
}

func TestRFC7662Introspection(t *testing.T) {
	h := withClients(t)
	service := basicAuth("service", serviceSecret)
	inactive := func(t *testing.T, got map[string]any) {
		t.Helper()
		if len(got) != 1 || got["active"] != false {
			t.Errorf("%v", got)
		}
	}
	asService := strings.Replace(carolsLogin, "&client_id=app", "", 1)
	t.Run("section 2.2: the members of an access token", func(t *testing.T) {
		access, _ := h.tokens(asService, service...)
		claims, got := h.claims(access), h.introspect(access, "service")
		want := map[string]any{
			"active": true, "scope": "items:read items:write", "client_id": "service", "username": "Carol", "token_type": "Bearer",
			"exp": claims["exp"], "iat": claims["iat"], "nbf": claims["nbf"], "sub": claims["sub"], "aud": audience, "iss": issuer,
			"jti": claims["jti"], "sid": claims["sid"],
		}
		for name := range want {
			if got[name] != want[name] || got[name] == nil {
				t.Errorf("%s: %v, want %v", name, got[name], want[name])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v", got)
		}
	})
	t.Run("section 2.2: the members of a client's own token", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", service...)
		got := h.introspect(access, "service")
		if got["active"] != true || got["sub"] != "service" || got["username"] != nil || got["sid"] != nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("section 2.2: a refresh token, for its own client only", func(t *testing.T) {
		_, refresh := h.tokens(asService, service...)
		got := h.introspect(refresh, "service")
		if got["active"] != true || got["client_id"] != "service" || got["scope"] != "items:read items:write" || got["token_type"] != nil {
			t.Errorf("%v", got)
		}
		inactive(t, h.introspect(refresh, "billing"))
		if again := h.introspect(refresh, "service"); again["active"] != true {
			t.Errorf("looking has changed it: %v", again)
		}
		_, next := h.tokens(strings.Replace(refreshing(refresh), "app", "service", 1), service...)
		h.clock.advance(time.Minute)
		inactive(t, h.introspect(refresh, "service"))
		if got := h.introspect(next, "service"); got["active"] != true {
			t.Errorf("asking about a used token has revoked its successor: %v", got)
		}
	})
	t.Run("section 2.1: the caller must authenticate", func(t *testing.T) {
		access, _ := h.carol()
		for name, request := range map[string]struct {
			body    string
			headers []string
		}{
			"nobody":                     {pairs("token", access), nil},
			"a public client":            {pairs("token", access, "client_id", "app"), nil},
			"the token itself":           {pairs("token", access), []string{"Authorization", "Bearer " + access}},
			"a wrong secret":             {pairs("token", access), basicAuth("service", "x")},
			"a wrong secret in the body": {pairs("token", access, "client_id", "service", "client_secret", "x"), nil},
			"a disabled client":          {pairs("token", access), basicAuth("off", serviceSecret)},
			"an empty pair":              {pairs("token", access), []string{"Authorization", "Basic Og=="}},
		} {
			t.Run(name, func(t *testing.T) {
				h.refused(t, h.post("/introspect", request.body, request.headers...), 401, "invalid_client")
			})
		}
		if w := h.post("/introspect", pairs("token", access, "client_id", "service", "client_secret", serviceSecret)); w.Code != 200 {
			t.Errorf("client_secret_post: %d %s", w.Code, w.Body)
		}
		if w := h.post("/introspect", strings.Replace(asserting(h.assertion(map[string]any{"jti": "introspection"})), "grant_type", "token", 1)); w.Code != 200 {
			t.Errorf("private_key_jwt: %d %s", w.Code, w.Body)
		}
	})
	t.Run("section 2.2: a token that the caller is not meant to see", func(t *testing.T) {
		access, _ := h.carol()
		inactive(t, h.introspect(access, "service"))
		inactive(t, h.introspect(access, "stranger"))
	})
	t.Run("section 2.2: a token that is meant for the caller", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials&resource="+billing, service...)
		if got := h.introspect(access, "billing"); got["active"] != true || got["aud"] != billing {
			t.Errorf("%v", got)
		}
		inactive(t, h.introspect(access, "stranger"))
	})
	t.Run("section 2.2: unknown and malformed tokens", func(t *testing.T) {
		for _, token := range []string{"x", "x.y.z", "sdr_unknown", strings.Repeat(".", 10_000)} {
			inactive(t, h.introspect(token, "service"))
		}
	})
	t.Run("section 2.2: an expired token", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", service...)
		h.clock.advance(30 * time.Minute)
		inactive(t, h.introspect(access, "service"))
	})
	t.Run("section 2.2: a token that is not valid yet", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", service...)
		h.clock.advance(-time.Minute)
		inactive(t, h.introspect(access, "service"))
		h.clock.advance(time.Minute)
	})
	t.Run("section 2.2: a revoked token", func(t *testing.T) {
		access, refresh := h.tokens(asService, service...)
		h.post("/revoke", pairs("token", refresh), service...)
		inactive(t, h.introspect(access, "service"))
		inactive(t, h.introspect(refresh, "service"))
	})
	t.Run("section 2.2: a tampered token", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", service...)
		inactive(t, h.introspect(access[:len(access)-8]+"AAAAAAAA", "service"))
	})
	t.Run("section 2.2: a disabled account's token", func(t *testing.T) {
		if _, err := h.accounts.Create(t.Context(), account.Account{Username: "eve", Roles: []string{"client"}}, "secreteve"); err != nil {
			t.Fatal(err)
		}
		access, refresh := h.tokens(pairs("grant_type", "password", "username", "eve", "password", "secreteve"), service...)
		h.disable(t, "eve")
		inactive(t, h.introspect(access, "service"))
		inactive(t, h.introspect(refresh, "service"))
	})
	t.Run("section 2.1: token is missing", func(t *testing.T) {
		h.refused(t, h.post("/introspect", "", service...), 400, "invalid_request")
	})
	t.Run("section 2.1: an unknown token_type_hint", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", service...)
		w := h.post("/introspect", pairs("token", access, "token_type_hint", "saml"), service...)
		if h.members(w)["active"] != true {
			t.Errorf("%s", w.Body)
		}
	})
	t.Run("a removed client's token", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials&resource="+billing, service...)
		if err := h.clients.Remove(t.Context(), "service"); err != nil {
			t.Fatal(err)
		}
		inactive(t, h.introspect(access, "billing"))
	})
}

func (h *house) disable(t *testing.T, username string) {
	t.Helper()
	if _, err := h.accounts.Update(t.Context(), username, func(a *account.Account) error {
		a.Disabled = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
