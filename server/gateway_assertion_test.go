package server_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/stagedoor/stagedoor/server"
)

// TestUpstreamGetsAnAssertion that it can verify with our JWKS, is for it alone, and
// is no access token.
func TestUpstreamGetsAnAssertion(t *testing.T) {
	for _, c := range []struct{ name, members, audience string }{
		{"by default", ", assertion: true", ""},
		{"as declared", ", assertion: {audience: https://shop.internal, lifetime: 30s}", "https://shop.internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := newUpstream(t)
			s, _ := behind(t, up.URL, c.members, nil)
			a := s.call("GET", "/private/a", s.token("carol", "secretcarol", "items:read"), "")
			if a.StatusCode != 200 {
				t.Fatal(a.StatusCode, a.body)
			}
			got := up.take()[0].Header
			raw := got.Get("X-Auth-Assertion")
			payload, err := oidc.NewRemoteKeySet(t.Context(), s.URL()+"/.well-known/jwks.json").VerifySignature(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			var claims struct {
				Iss, Sub, Aud, Jti, Kind, Scope string
				Roles                           []string
				Iat, Exp                        int64
			}
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			audience, lifetime := c.audience, int64(30)
			if audience == "" {
				audience, lifetime = up.URL, 60
			}
			if claims.Iss != s.Issuer() || claims.Sub != got.Get("X-Auth-Subject") || claims.Aud != audience || claims.Jti != a.Header.Get("X-Decision-Id") ||
				claims.Kind != "account" || claims.Scope != "items:read" || strings.Join(claims.Roles, ",") != "client" ||
				claims.Exp-claims.Iat != lifetime || time.Since(time.Unix(claims.Iat, 0)) > time.Minute {
				t.Errorf("%s", payload)
			}
			if a := s.call("GET", "/private/a", raw, ""); a.StatusCode != 401 {
				t.Errorf("as an access token: %d", a.StatusCode)
			}

			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/shop/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Auth-Assertion", raw)
			request.Header.Set("X_Auth_Assertion", raw)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if h := up.take()[0].Header; h["X-Auth-Assertion"] != nil || h["X_auth_assertion"] != nil {
				t.Errorf("of an anonymous caller: %v", h)
			}
		})
	}
}

// TestNoAssertionsWithASecret: nobody could verify what HS256 signs.
func TestNoAssertionsWithASecret(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "roles.yaml", "roles: {}\n")
	write(t, dir, "routes.yaml", "routes:\n  /a: {upstream: shop, GET: {public: true}}\n")
	write(t, dir, "upstreams.yaml", "upstreams:\n  shop: {url: http://127.0.0.1:1, assertion: true}\n")
	cfg := server.DefaultConfig()
	cfg.Listen, cfg.State, cfg.Data, cfg.SigningAlgorithm = "127.0.0.1:0", filepath.Join(t.TempDir(), "state"), dir, "HS256"
	s, err := server.New(t.Context(), cfg, nil)
	if err == nil {
		s.Close()
		t.Fatal("it starts")
	}
	if !strings.Contains(err.Error(), "nobody else could verify it") || !strings.Contains(err.Error(), "upstreams.yaml:2") {
		t.Error(err)
	}
}
