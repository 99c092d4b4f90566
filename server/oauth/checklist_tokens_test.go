package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
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

func TestRFC8414Metadata(t *testing.T) {
	h := withClients(t)
	get := func(t *testing.T, h *house, path string) (*httptest.ResponseRecorder, map[string]any) {
		t.Helper()
		w := h.do(httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return w, h.members(w)
	}
	const path = "/.well-known/oauth-authorization-server"
	t.Run("section 3: one document at both paths", func(t *testing.T) {
		w, _ := get(t, h, path)
		other, _ := get(t, h, "/.well-known/openid-configuration")
		if w.Body.String() != other.Body.String() || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v %s, and %s", w.Header(), w.Body, other.Body)
		}
	})
	t.Run("section 2: members", func(t *testing.T) {
		_, got := get(t, h, path)
		list := func(names ...any) string { text, _ := json.Marshal(names); return string(text) }
		algorithms := list("EdDSA", "Ed25519", "ES256", "RS256", "PS256")
		all := list("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
		confidential := list("client_secret_basic", "client_secret_post", "private_key_jwt")
		want := map[string]string{
			"issuer": `"` + issuer + `"`, "token_endpoint": `"` + issuer + `/token"`, "jwks_uri": `"` + issuer + `/.well-known/jwks.json"`,
			"revocation_endpoint": `"` + issuer + `/revoke"`, "introspection_endpoint": `"` + issuer + `/introspect"`,
			"response_types_supported":                                 list("none"),
			"grant_types_supported":                                    list("client_credentials", "password", "refresh_token"),
			"token_endpoint_auth_methods_supported":                    all,
			"token_endpoint_auth_signing_alg_values_supported":         algorithms,
			"revocation_endpoint_auth_methods_supported":               all,
			"revocation_endpoint_auth_signing_alg_values_supported":    algorithms,
			"introspection_endpoint_auth_methods_supported":            confidential,
			"introspection_endpoint_auth_signing_alg_values_supported": algorithms,
			"subject_types_supported":                                  list("public"),
			"id_token_signing_alg_values_supported":                    list("EdDSA"),
		}
		for name, value := range want {
			if text, _ := json.Marshal(got[name]); string(text) != value {
				t.Errorf("%s: %s, want %s", name, text, value)
			}
		}
		for name, value := range got {
			if want[name] == "" {
				t.Errorf("%s: %v", name, value)
			}
			if elements, ok := value.([]any); ok && len(elements) == 0 {
				t.Errorf("section 3.2: %s is an empty list", name)
			}
		}
	})
	t.Run("section 2: issuer is the iss of tokens", func(t *testing.T) {
		_, got := get(t, h, path)
		if access, _ := h.carol(); h.claims(access)["iss"] != got["issuer"] {
			t.Errorf("%v, %v", h.claims(access)["iss"], got["issuer"])
		}
	})
	t.Run("section 2: a closed grant type is not listed", func(t *testing.T) {
		closed := open(t, account.AuthenticatorOptions{}, map[string]string{
			"tokens.yaml": "tokens: {grants: {password: false, client_credentials: true}, lifetime: {access_token: 60}}",
		})
		_, got := get(t, closed, path)
		if grants, _ := got["grant_types_supported"].([]any); !slices.Equal(grants, []any{"client_credentials"}) {
			t.Errorf("%v", got["grant_types_supported"])
		}
	})
	t.Run("section 3.1: an issuer with a path", func(t *testing.T) {
		h := openAt(t, issuer+"/auth", account.AuthenticatorOptions{}, nil)
		for _, path := range []string{
			"/.well-known/oauth-authorization-server/auth", "/.well-known/openid-configuration/auth", "/auth/.well-known/openid-configuration",
			"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
		} {
			if _, got := get(t, h, path); got["issuer"] != issuer+"/auth" || got["token_endpoint"] != issuer+"/auth/token" {
				t.Errorf("%s: %v", path, got)
			}
		}
		if w := h.post("/auth/token?x=1", pairs("grant_type", "password", "username", "carol", "password", "secretcarol")); w.Code != 200 {
			t.Errorf("/auth/token: %d %s", w.Code, w.Body)
		}
		for _, path := range []string{"/auth/token/", "/auth/x/../token", "/auth", "/other/token", "/auth/items/", "/.well-known/oauth-authorization-server/other"} {
			if w := h.do(httptest.NewRequest("POST", path, nil)); w.Code == 200 || w.Code == 405 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
	t.Run("RFC 7517 section 5: the key set", func(t *testing.T) {
		w, _ := get(t, h, "/.well-known/jwks.json")
		if w.Header().Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%v", w.Header())
		}
	})
	t.Run("no redirects: discovery clients follow none", func(t *testing.T) {
		for _, path := range []string{path + "/", "/.well-known/jwks.json/"} {
			if w := h.do(httptest.NewRequest("GET", path, nil)); w.Code/100 == 3 {
				t.Errorf("%s: %d to %s", path, w.Code, w.Header().Get("Location"))
			}
		}
	})
}

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
