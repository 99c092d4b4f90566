package oauth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// The checklist_*_test.go files hold the token service to the standards, line by
// line: each case is named after the section that it quotes. They run against a real
// store, a real keyring and the shipped policy, behind a gate.

const (
	serviceSecret = "service-secret-0123456789-0123456789"
	oddSecret     = "s:e%c r+e&t=-é-0123456789-0123456789"
	billing       = "https://billing.example"
)

// withClients is a house with clients of every kind.
func withClients(t *testing.T) *house {
	t.Helper()
	h := open(t, account.AuthenticatorOptions{}, nil)
	all := []string{"password", "client_credentials", "refresh_token"}
	for _, c := range []struct {
		client account.Client
		secret string
	}{
		{account.Client{ID: "service", Confidential: true, AuthMethod: "client_secret_basic", Grants: all, Scopes: []string{"items:read", "items:write"}, Audiences: []string{billing}}, serviceSecret},
		{account.Client{ID: "odd+%client", Confidential: true, AuthMethod: "client_secret_basic", Grants: all, Scopes: []string{"items:read"}}, oddSecret},
		{account.Client{ID: "billing", Confidential: true, AuthMethod: "client_secret_basic", Audiences: []string{billing}}, serviceSecret},
		{account.Client{ID: "stranger", Confidential: true, AuthMethod: "client_secret_basic", Grants: all}, serviceSecret},
		{account.Client{ID: "off", Confidential: true, AuthMethod: "client_secret_basic", Grants: all, Scopes: []string{"items:read"}, Disabled: true}, serviceSecret},
		{account.Client{ID: "cron", Confidential: true, AuthMethod: "private_key_jwt", JWKS: publicKeys(), Grants: []string{"client_credentials"}, Scopes: []string{"items:read"}}, ""},
		{account.Client{ID: "app", AuthMethod: "none", Grants: []string{"password", "refresh_token"}, Scopes: []string{"*"}}, ""},
		{account.Client{ID: "other-app", AuthMethod: "none", Grants: []string{"password", "refresh_token"}, Scopes: []string{"*"}}, ""},
		{account.Client{ID: "kiosk", AuthMethod: "none", Grants: []string{"password"}, Scopes: []string{"items:read"}}, ""},
	} {
		var err error
		if c.secret != "" {
			_, err = h.clients.CreateWithSecret(t.Context(), c.client, c.secret)
		} else {
			_, _, err = h.clients.Create(t.Context(), c.client)
		}
		if err != nil {
			t.Fatalf("%s: %v", c.client.ID, err)
		}
	}
	return h
}

// pairs is a form of name, value pairs; a name may come twice.
func pairs(list ...string) string {
	var parts []string
	for i := 0; i < len(list); i += 2 {
		parts = append(parts, url.QueryEscape(list[i])+"="+url.QueryEscape(list[i+1]))
	}
	return strings.Join(parts, "&")
}

// basicAuth is the header of RFC 6749 section 2.3.1.
func basicAuth(id, secret string) []string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}
}

// post sends a form, with headers as name, value.
func (h *house) post(target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.do(r)
}

// tokens posts to /token and expects an answer with a token.
func (h *house) tokens(body string, headers ...string) (access, refresh string) {
	h.t.Helper()
	w := h.post("/token", body, headers...)
	got := h.members(w)
	if w.Code != http.StatusOK {
		h.t.Fatalf("%d %s", w.Code, w.Body)
	}
	access, _ = got["access_token"].(string)
	refresh, _ = got["refresh_token"].(string)
	return access, refresh
}

// carol logs in by the public app.
func (h *house) carol() (access, refresh string) {
	h.t.Helper()
	return h.tokens(carolsLogin)
}

var carolsLogin = pairs("grant_type", "password", "username", "carol", "password", "secretcarol", "client_id", "app")

func refreshing(refresh string, more ...string) string {
	return pairs(append([]string{"grant_type", "refresh_token", "refresh_token", refresh, "client_id", "app"}, more...)...)
}

// refused checks an error of RFC 6749 section 5.2, whole.
func (h *house) refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	got := h.members(w)
	if w.Code != status || got["error"] != code {
		t.Fatalf("%d %s, want %d %s", w.Code, w.Body, status, code)
	}
	if _, there := got["access_token"]; there {
		t.Errorf("a token was handed out: %s", w.Body)
	}
	description, _ := got["error_description"].(string)
	if strings.ContainsFunc(description, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
		t.Errorf("error_description %q", description)
	}
	if header := w.Header(); header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("headers %v", header)
	}
	if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (status == http.StatusUnauthorized) {
		t.Errorf("%d with WWW-Authenticate %q", status, challenge)
	}
}

// use presents a token at a protected route.
func (h *house) use(access string) int {
	r := httptest.NewRequest("GET", "/items/", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	return h.do(r).Code
}

// passed is what use gets for a good token: the gate lets it pass, and nobody
// serves the route here.
const passed = http.StatusNotFound

// claims are those of a token, unverified.
func (h *house) claims(access string) map[string]any {
	h.t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	if err != nil {
		h.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		h.t.Fatal(err)
	}
	return claims
}

// clientKey is the key of the client "cron".
var clientKey = ed25519.NewKeyFromSeed([]byte("a seed that is 32 bytes long now"))

func publicKeys() json.RawMessage {
	x := base64.RawURLEncoding.EncodeToString(clientKey.Public().(ed25519.PublicKey))
	return json.RawMessage(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k1","x":"` + x + `"}]}`)
}

// assertion signs a client assertion, with the claims of a good one changed.
func (h *house) assertion(changes map[string]any, header ...string) string {
	h.t.Helper()
	claims := map[string]any{
		"iss": "cron", "sub": "cron", "aud": issuer, "jti": "j1",
		"iat": h.clock.now().Unix(), "exp": h.clock.now().Add(time.Minute).Unix(),
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		h.t.Fatal(err)
	}
	head := `{"alg":"EdDSA","kid":"k1"}`
	if len(header) > 0 {
		head = header[0]
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(text)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(clientKey, []byte(signed)))
}

func asserting(assertion string, more ...string) string {
	return pairs(append([]string{
		"grant_type", "client_credentials", "client_assertion", assertion,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	}, more...)...)
}
