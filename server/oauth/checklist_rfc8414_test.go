package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
)

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
	t.Run("section 3.1: below the issuer's path the policy decides, too", func(t *testing.T) {
		h := openAt(t, issuer+"/auth", account.AuthenticatorOptions{}, map[string]string{
			"routes.yaml": "routes: {/.well-known/jwks.json: {GET: {public: true}}, /token: {POST: {roles: [admin]}}}",
		})
		for _, path := range []string{"/token", "/auth/token"} {
			h.refused(t, h.post(path, carolsLogin), http.StatusUnauthorized, "invalid_client")
		}
		if w := h.post("/auth/revoke", "token=x"); w.Code != http.StatusUnauthorized {
			t.Errorf("a route that is not declared: %d %s", w.Code, w.Body)
		}
		get(t, h, "/auth/.well-known/jwks.json")
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
