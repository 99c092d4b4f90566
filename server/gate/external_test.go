package gate_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/token"
)

// A gate without an issuer of its own takes subjects of other issuers, and can't
// decide about a token that its verifier takes for one of ours: that subject may have
// been disabled since, and is no stranger either.
func TestWithoutAnIssuerOfOurOwn(t *testing.T) {
	keyring, err := token.OpenKeyring(t.Context(), &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		t.Fatal(err)
	}
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keyring.JWKS()) }))
	t.Cleanup(jwks.Close)
	trusted, err := token.NewTrustedIssuers([]token.TrustedIssuer{{
		Issuer: issuer, Audience: []string{issuer}, JWKSURL: jwks.URL, Roles: token.ClaimMapping{Claim: "roles", KeepUnmapped: true},
	}}, token.TrustedIssuersOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trusted.Close)
	raw, _, _, err := keyring.Mint(token.Registered{
		Issuer: issuer, Subject: dave, Audience: []string{issuer}, ClientID: "c", Roles: []string{"admin"}, Lifetime: time.Hour,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		keys *token.Keyring
		own  string
		want int
	}{
		{"the issuer is trusted", nil, "", http.StatusOK},
		{"the issuer is our own", keyring, issuer, http.StatusServiceUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, func(o *gate.Options) {
				o.Subjects, o.Issuer = nil, ""
				o.Tokens = token.NewVerifier(tt.keys, token.VerifierOptions{Issuer: tt.own, Audience: issuer, Trusted: trusted})
			})
			got := d.do(t, "GET", "/admin", bearer(raw))
			if got.StatusCode != tt.want || (len(d.handled()) == 1) != (tt.want == http.StatusOK) {
				t.Fatalf("status %d, handled %v; want %d", got.StatusCode, d.handled(), tt.want)
			}
			if tt.want != http.StatusOK {
				return
			}
			if s := d.lastAsked(t).Subject; s.Kind != authz.KindExternal || s.ID != dave || s.Issuer != issuer {
				t.Errorf("the subject is %+v, want an external one", s)
			}
		})
	}
}
