package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func TestRFC6749Requests(t *testing.T) {
	h := withClients(t)
	service := basicAuth("service", serviceSecret)
	good := pairs("grant_type", "client_credentials")
	tests := []struct {
		name    string
		target  string
		body    string
		headers []string
		status  int
		code    string
	}{
		{name: "section 3.2: the Content-Type is not application/x-www-form-urlencoded", body: `{"grant_type":"client_credentials"}`, headers: append([]string{"Content-Type", "application/json"}, service...), status: 400, code: "invalid_request"},
		{name: "section 3.2: multipart", body: "x", headers: append([]string{"Content-Type", "multipart/form-data; boundary=x"}, service...), status: 400, code: "invalid_request"},
		{name: "section 3.2: a parameter sent twice", body: good + "&" + pairs("scope", "items:read", "scope", "items:read"), headers: service, status: 400, code: "invalid_request"},
		{name: "section 3.2: grant_type sent twice", body: good + "&" + good, headers: service, status: 400, code: "invalid_request"},
		{name: "section 3.2: an unknown parameter sent twice", body: good + "&x=1&x=2", headers: service, status: 400, code: "invalid_request"},
		{name: "section 3.2: a parameter sent twice, once without a value", body: good + "&scope=&scope=items:read", headers: service, status: 400, code: "invalid_request"},
		{name: "section 3.2: resource and audience may be sent twice (RFC 8707 section 2)", body: good + "&" + pairs("resource", billing, "resource", audience, "audience", billing), headers: service, status: 200},
		{name: "section 3.2: a parameter without a value is omitted", body: good + "&scope=&resource=", headers: service, status: 200},
		{name: "section 3.2: unknown parameters are ignored", body: good + "&nonsense=1", headers: service, status: 200},
		{name: "section 3.2: grant_type without a value is omitted", body: "grant_type=", headers: service, status: 400, code: "invalid_request"},
		{name: "section 5.2: an unknown grant type", body: "grant_type=urn:x", headers: service, status: 400, code: "unsupported_grant_type"},
		{name: "section 4.1: no authorization codes yet", body: "grant_type=authorization_code&code=x", headers: service, status: 400, code: "unsupported_grant_type"},

		{name: "section 2.3.1: credentials in the request URI", target: "/token?client_id=service&client_secret=" + serviceSecret, body: good, status: 400, code: "unauthorized_client"},
		{name: "section 2.3.1: a password in the request URI", target: "/token?username=carol&password=secretcarol", body: "grant_type=password", status: 400, code: "invalid_request"},
		{name: "section 2.3.1: HTTP Basic", body: good, headers: service, status: 200},
		{name: "section 2.3.1: id and secret in the body", body: good + "&" + pairs("client_id", "service", "client_secret", serviceSecret), status: 200},
		{name: "section 2.3.1: id and secret are form-urlencoded (: % + space & = non-ASCII)", body: good, headers: basicAuth("odd+%client", oddSecret), status: 200},
		{name: "section 2.3.1: the same in the body", body: good + "&" + pairs("client_id", "odd+%client", "client_secret", oddSecret), status: 200},
		{name: "section 2.3.1: a wrong secret in the header", body: good, headers: basicAuth("service", "wrong"), status: 401, code: "invalid_client"},
		{name: "section 2.3.1: a wrong secret in the body", body: good + "&client_id=service&client_secret=wrong", status: 400, code: "invalid_client"},
		{name: "section 2.3.1: no secret", body: good + "&client_id=service", status: 400, code: "invalid_client"},
		{name: "section 2.3.1: an empty secret in the header", body: good, headers: basicAuth("service", ""), status: 401, code: "invalid_client"},
		{name: "section 2.3.1: a client that does not exist", body: good, headers: basicAuth("nobody", serviceSecret), status: 401, code: "invalid_client"},
		{name: "section 2.3.1: another client's secret", body: good, headers: basicAuth("odd+%client", serviceSecret), status: 401, code: "invalid_client"},
		{name: "section 2.3: two authentication methods", body: good + "&" + pairs("client_id", "service", "client_secret", serviceSecret), headers: service, status: 400, code: "invalid_request"},
		{name: "section 2.3: another client_id than the header's", body: good + "&client_id=app", headers: service, status: 400, code: "invalid_request"},
		{name: "section 2.3: the header's client_id again", body: good + "&client_id=service", headers: service, status: 200},
		{name: "section 2.3: a header and an assertion", body: asserting("x.y.z"), headers: service, status: 400, code: "invalid_request"},
		{name: "section 2.3: a public client with a secret", body: carolsLogin + "&client_secret=x", status: 400, code: "invalid_client"},
		{name: "section 2.3: a disabled client", body: good, headers: basicAuth("off", serviceSecret), status: 401, code: "invalid_client"},
		{name: "section 2.3: a client of private_key_jwt with a secret", body: good, headers: basicAuth("cron", serviceSecret), status: 401, code: "invalid_client"},

		{name: "section 3.3: scopes in any order", body: good + "&scope=items:write+items:read", headers: service, status: 200},
		{name: "section 3.3: two spaces", body: good + "&scope=items:write++items:read", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: a space at the end", body: good + "&scope=items:write+", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: a quote", body: good + "&scope=%22", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: a backslash", body: good + "&scope=%5C", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: a tab", body: good + "&scope=a%09b", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: non-ASCII", body: good + "&scope=%C3%A9", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: scopes are case-sensitive", body: good + "&scope=ITEMS:READ", headers: service, status: 400, code: "invalid_scope"},
		{name: "section 3.3: a scope that the client may not have", body: good + "&scope=admin", headers: service, status: 400, code: "invalid_scope"},

		{name: "section 4.3.2: username is missing", body: "grant_type=password&password=x&client_id=app", status: 400, code: "invalid_request"},
		{name: "section 4.3.2: password is missing", body: "grant_type=password&username=carol&client_id=app", status: 400, code: "invalid_request"},
		{name: "section 4.3.2: a confidential client must authenticate", body: strings.Replace(carolsLogin, "client_id=app", "client_id=service", 1), status: 400, code: "invalid_client"},
		{name: "section 4.3.2: a confidential client that has", body: strings.Replace(carolsLogin, "&client_id=app", "", 1), headers: service, status: 200},
		{name: "section 4.4.2: a public client has no client_credentials", body: good + "&client_id=app", status: 400, code: "unauthorized_client"},
		{name: "section 4.4.2: nor has the built-in client", body: good, status: 400, code: "unauthorized_client"},
		{name: "section 5.2: a grant type that the client may not use", body: pairs("grant_type", "refresh_token", "refresh_token", "x", "client_id", "kiosk"), status: 400, code: "unauthorized_client"},
		{name: "section 6: refresh_token is missing", body: "grant_type=refresh_token&client_id=app", status: 400, code: "invalid_request"},
		{name: "section 6: an unknown refresh token", body: refreshing("sdr_unknown"), status: 400, code: "invalid_grant"},
		{name: "section 6: an access token is no refresh token", body: refreshing("x.y.z"), status: 400, code: "invalid_grant"},
		{name: "section 6: 60 kB of refresh token", body: refreshing(strings.Repeat("x", 60<<10)), status: 400, code: "invalid_grant"},
		{name: "RFC 8707 section 2: an audience that is not the client's", body: good + "&resource=https://evil.example", headers: service, status: 400, code: "invalid_target"},
	}
	for _, tt := range tests {
		t.Run("RFC 6749 "+tt.name, func(t *testing.T) {
			target := tt.target
			if target == "" {
				target = "/token"
			}
			w := h.post(target, tt.body, tt.headers...)
			if tt.status == http.StatusOK {
				if w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			h.refused(t, w, tt.status, tt.code)
		})
	}
	for _, method := range []string{"GET", "PUT", "HEAD", "DELETE"} {
		t.Run("RFC 6749 section 3.2: POST only, not "+method, func(t *testing.T) {
			for _, path := range []string{"/token", "/revoke", "/introspect"} {
				w := h.do(httptest.NewRequest(method, path, nil))
				if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %d %v", path, w.Code, w.Header())
				}
			}
		})
	}
}

func TestRFC6749Answers(t *testing.T) {
	h := withClients(t)
	t.Run("RFC 6749 section 5.1: a successful answer", func(t *testing.T) {
		w := h.post("/token", carolsLogin)
		got := h.members(w)
		header := w.Header()
		if w.Code != 200 || header.Get("Content-Type") != "application/json;charset=UTF-8" || header.Get("Cache-Control") != "no-store" || header.Get("Pragma") != "no-cache" {
			t.Errorf("%d %v", w.Code, header)
		}
		if got["token_type"] != "Bearer" || got["expires_in"] != 1800.0 || got["scope"] != "items:read items:write" || got["refresh_token"] == nil {
			t.Errorf("%s", w.Body)
		}
	})
	t.Run("RFC 6749 section 5.1: scope is there where less was granted", func(t *testing.T) {
		got := h.members(h.post("/token", carolsLogin+"&scope=items:read+admin"))
		if got["scope"] != "items:read" {
			t.Errorf("%v", got)
		}
	})
	t.Run("RFC 6749 section 3.3: a client's scopes bound the account's", func(t *testing.T) {
		got := h.members(h.post("/token", strings.Replace(carolsLogin, "app", "kiosk", 1)))
		if got["scope"] != "items:read" || got["refresh_token"] != nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("RFC 6749 section 4.4.3: no refresh token for a client", func(t *testing.T) {
		got := h.members(h.post("/token", "grant_type=client_credentials", basicAuth("service", serviceSecret)...))
		if got["refresh_token"] != nil || got["scope"] != "items:read items:write" {
			t.Errorf("%v", got)
		}
	})
	t.Run("RFC 6749 section 5.2: an unknown client and a wrong secret are alike", func(t *testing.T) {
		var bodies []string
		for _, header := range [][]string{basicAuth("nobody", "x"), basicAuth("service", "x"), basicAuth("off", serviceSecret), basicAuth("app", "x"), basicAuth("cron", "x")} {
			w := h.post("/token", "grant_type=client_credentials", header...)
			bodies = append(bodies, w.Body.String())
			if w.Header().Get("WWW-Authenticate") != `Basic realm="stagedoor", charset="UTF-8"` || bodies[0] != w.Body.String() {
				t.Errorf("%v %s, want %s", w.Header(), w.Body, bodies[0])
			}
		}
	})
	t.Run("RFC 6749 section 10.10: refresh tokens are not guessable", func(t *testing.T) {
		seen := map[string]bool{}
		for range 4 {
			_, refresh := h.carol()
			secret := strings.TrimPrefix(refresh, "sdr_")
			if len(secret) < 43 || seen[refresh] {
				t.Errorf("a refresh token of %d characters", len(secret))
			}
			seen[refresh] = true
		}
	})
	t.Run("RFC 9068 section 2: header and claims", func(t *testing.T) {
		access, _ := h.carol()
		claims := h.claims(access)
		for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope", "roles", "sid"} {
			if claims[name] == nil {
				t.Errorf("no %s in %v", name, claims)
			}
		}
		if claims["client_id"] != "app" || claims["aud"] != audience || claims["iss"] != issuer {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("RFC 9068 section 2.2: sub is the client where it acts for itself, and there is no sid", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials", basicAuth("service", serviceSecret)...)
		claims := h.claims(access)
		if claims["sub"] != "service" || claims["client_id"] != "service" || claims["sid"] != nil || claims["preferred_username"] != nil {
			t.Errorf("claims %v", claims)
		}
		if code := h.use(access); code != passed {
			t.Errorf("the gate answers %d", code)
		}
	})
	t.Run("RFC 9068 section 5: a client can't have an account's id", func(t *testing.T) {
		who, err := h.accounts.Find(t.Context(), "carol")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.clients.Create(t.Context(), account.Client{ID: who.ID, AuthMethod: "none"}); err == nil {
			t.Error("it was created")
		}
	})
	t.Run("RFC 8707 section 2.2: the token is for what was requested", func(t *testing.T) {
		access, _ := h.tokens("grant_type=client_credentials&resource="+billing, basicAuth("service", serviceSecret)...)
		if aud := h.claims(access)["aud"]; aud != billing {
			t.Errorf("aud %v", aud)
		}
		if code := h.use(access); code != http.StatusUnauthorized {
			t.Errorf("our own gate takes it: %d", code)
		}
	})
}

func TestRFC6749Refresh(t *testing.T) {
	h := withClients(t)
	scopeOf := func(t *testing.T, body string) (scope any, refresh string) {
		t.Helper()
		w := h.post("/token", body)
		got := h.members(w)
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		refresh, _ = got["refresh_token"].(string)
		return got["scope"], refresh
	}
	t.Run("section 6: an omitted scope is the original one", func(t *testing.T) {
		_, refresh := scopeOf(t, carolsLogin+"&scope=items:read")
		if scope, _ := scopeOf(t, refreshing(refresh)); scope != "items:read" {
			t.Errorf("scope %v", scope)
		}
	})
	t.Run("section 6: less, and the new refresh token keeps the original scope", func(t *testing.T) {
		_, refresh := h.carol()
		scope, next := scopeOf(t, refreshing(refresh, "scope", "items:read"))
		if scope != "items:read" {
			t.Errorf("scope %v", scope)
		}
		if scope, _ = scopeOf(t, refreshing(next)); scope != "items:read items:write" {
			t.Errorf("afterwards %v", scope)
		}
	})
	t.Run("section 6: a scope that was not granted originally", func(t *testing.T) {
		_, refresh := scopeOf(t, carolsLogin+"&scope=items:read")
		h.refused(t, h.post("/token", refreshing(refresh, "scope", "items:read items:write")), 400, "invalid_scope")
		if scope, _ := scopeOf(t, refreshing(refresh)); scope != "items:read" {
			t.Errorf("the refusal has used the token up: %v", scope)
		}
	})
	t.Run("section 6: the refresh token is bound to its client", func(t *testing.T) {
		_, refresh := h.carol()
		h.refused(t, h.post("/token", strings.Replace(refreshing(refresh), "app", "other-app", 1)), 400, "invalid_grant")
		h.refused(t, h.post("/token", strings.Replace(refreshing(refresh), "&client_id=app", "", 1)), 400, "invalid_grant")
		scopeOf(t, refreshing(refresh))
	})
	t.Run("section 10.4: a confidential client's refresh token needs its secret", func(t *testing.T) {
		_, refresh := h.tokens(strings.Replace(carolsLogin, "&client_id=app", "", 1), basicAuth("service", serviceSecret)...)
		body := strings.Replace(refreshing(refresh), "app", "service", 1)
		h.refused(t, h.post("/token", body), 400, "invalid_client")
		h.tokens(body, basicAuth("service", serviceSecret)...)
	})
	t.Run("RFC 9700 section 4.14.2: a successor at each use, and sid stays", func(t *testing.T) {
		access, refresh := h.carol()
		second, next := h.tokens(refreshing(refresh))
		if next == refresh || next == "" || h.claims(access)["sid"] != h.claims(second)["sid"] || h.claims(access)["jti"] == h.claims(second)["jti"] {
			t.Errorf("%v, then %v", h.claims(access), h.claims(second))
		}
	})
	t.Run("RFC 9700 section 4.14.2: the same token within the grace gets the same successor", func(t *testing.T) {
		_, refresh := h.carol()
		_, next := h.tokens(refreshing(refresh))
		h.clock.advance(9 * time.Second)
		if _, again := h.tokens(refreshing(refresh)); again != next {
			t.Error("another successor")
		}
	})
	t.Run("RFC 9700 section 4.14.2: reuse revokes the family", func(t *testing.T) {
		access, refresh := h.carol()
		_, next := h.tokens(refreshing(refresh))
		h.clock.advance(11 * time.Second)
		h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
		h.refused(t, h.post("/token", refreshing(next)), 400, "invalid_grant")
		if code := h.use(access); code != http.StatusUnauthorized {
			t.Errorf("its access token: %d", code)
		}
	})
	t.Run("RFC 9700 section 4.14.2: a refresh token that lies unused expires", func(t *testing.T) {
		_, refresh := h.carol()
		h.clock.advance(14*24*time.Hour + time.Second)
		h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
	})
	t.Run("RFC 9700 section 4.14.2: a login ends, however often it is refreshed", func(t *testing.T) {
		_, refresh := h.carol()
		for range 2 {
			h.clock.advance(13 * 24 * time.Hour)
			_, refresh = h.tokens(refreshing(refresh))
		}
		h.clock.advance(4*24*time.Hour + time.Second)
		h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
	})
	t.Run("RFC 9700 section 2.4: the password grant is given to no new client, is warned of, and counted", func(t *testing.T) {
		h := withClients(t)
		if _, _, err := h.clients.Create(t.Context(), account.Client{ID: "fresh"}); err != nil {
			t.Fatal(err)
		}
		h.refused(t, h.post("/token", strings.Replace(carolsLogin, "client_id=app", "client_id=fresh", 1)), 400, "unauthorized_client")
		if strings.Contains(h.log.String(), "RFC 9700") {
			t.Error("it is warned of without a login")
		}
		for range 2 {
			h.carol()
		}
		if strings.Count(h.log.String(), "RFC 9700 section 2.4") != 1 {
			t.Errorf("the log: %s", h.log)
		}
		if _, counted := h.outcomes.Load("password success"); !counted {
			t.Error("it is not counted")
		}
	})
	t.Run("RFC 8707 section 2.2: no other audience than the login's", func(t *testing.T) {
		service := basicAuth("service", serviceSecret)
		_, refresh := h.tokens(strings.Replace(carolsLogin, "&client_id=app", "", 1)+"&resource="+billing, service...)
		body := strings.Replace(refreshing(refresh), "app", "service", 1)
		h.refused(t, h.post("/token", body+"&resource="+audience, service...), 400, "invalid_target")
		if access, _ := h.tokens(body, service...); h.claims(access)["aud"] != billing {
			t.Errorf("aud %v", h.claims(access)["aud"])
		}
	})
}
