package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// provider is an identity provider: a real HTTP server with a discovery document
// and a JWK set that can be changed.
type provider struct {
	*httptest.Server
	key     foreign
	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request)
	fetches atomic.Int64 // of the JWK set
}

func newProvider(t testing.TB, algorithm string) *provider {
	t.Helper()
	p := &provider{key: newForeign(t, algorithm, "p1")}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/keys")
			return
		}
		p.fetches.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	p.publish(t, p.key.jwk)
	return p
}

func (p *provider) publish(t testing.TB, keys ...map[string]any) {
	t.Helper()
	text := jwkSet(t, keys...)
	p.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

func (p *provider) answers(answer func(w http.ResponseWriter, r *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// claims are those of a good token of the provider's, some replaced.
func (p *provider) claims(changes map[string]string) string {
	return claimsWith(mergeTexts(map[string]string{
		"iss": `"` + p.URL + `"`, "sub": `"01JDCAROL"`, "client_id": "", "jti": "", "nbf": "",
	}, changes))
}

func (p *provider) good(t testing.TB) string {
	t.Helper()
	return p.key.sign(t, "JWT", p.claims(nil))
}

// trusting is a verifier of ours that trusts some issuers.
type trusting struct {
	*Verifier
	clock *clock
	keys  *Keyring
}

func newTrusting(t testing.TB, list ...TrustedIssuer) *trusting {
	t.Helper()
	v := &trusting{clock: newClock()}
	trusted, err := NewTrustedIssuers(list, TrustedIssuersOptions{Now: v.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trusted.Close)
	v.keys = openKeyring(t, &memoryStore{}, EdDSA)
	v.Verifier = NewVerifier(v.keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: v.clock.Now, Trusted: trusted})
	return v
}

func (v *trusting) wantGood(t *testing.T, raw string) *Verified {
	t.Helper()
	verified, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("a good token is refused: %v", err)
	}
	return verified
}

func (v *trusting) wantRefused(t *testing.T, raw string, want authz.TokenError) {
	t.Helper()
	for range 2 {
		_, err := v.Verify(t.Context(), raw)
		wantRefusal(t, err, want)
	}
}

func (p *provider) trusted() TrustedIssuer {
	return TrustedIssuer{Issuer: p.URL, Audience: []string{testAudience}}
}

func TestTrustedIssuer(t *testing.T) {
	for _, algorithm := range []string{RS256, ES256, EdDSA, "PS256"} {
		t.Run(algorithm, func(t *testing.T) {
			p := newProvider(t, algorithm)
			v := newTrusting(t, p.trusted())
			if p.fetches.Load() != 0 {
				t.Error("keys were fetched before they were needed")
			}
			raw := p.good(t)
			first := v.wantGood(t, raw)
			if first.Issuer != p.URL || first.KeyID != "p1" || first.Subject != "01JDCAROL" {
				t.Errorf("got %+v", first)
			}
			// An id of one of our accounts: still somebody else.
			if s := first.External; s == nil || s.Kind != authz.KindExternal || s.Issuer != p.URL || s.ID != "01JDCAROL" || len(s.Roles)+len(s.Scopes) != 0 {
				t.Errorf("subject %+v", s)
			}
			if v.wantGood(t, raw) != first || p.fetches.Load() != 1 {
				t.Error("a known token is not remembered")
			}
			if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(t.Context(), raw) }); n != 0 {
				t.Errorf("%v allocations for a known token", n)
			}
			own := v.wantGood(t, mint(t, v.keys, nil))
			if own.External != nil || own.ClientID != "first-party" {
				t.Errorf("our own: %+v", own)
			}
		})
	}
}

func TestAttackTrustedIssuers(t *testing.T) {
	a, b := newProvider(t, RS256), newProvider(t, RS256)
	b.key.verificationKey = newVerificationKey("p1", RS256, b.key.public) // the same kid
	v := newTrusting(t, a.trusted(), b.trusted())
	v.wantGood(t, a.good(t))
	v.wantGood(t, b.good(t))
	ours := foreign{signingKey: v.keys.signing()}
	ourClaims := claimsWith(nil)
	evil := newForeign(t, RS256, "p1")
	for name, test := range map[string]struct {
		raw  string
		want authz.TokenError
	}{
		"theirs, by our key":               {ours.sign(t, "JWT", a.claims(nil)), authz.TokenUnknownKey},
		"ours, by their key":               {a.key.sign(t, "at+jwt", ourClaims), authz.TokenUnknownKey},
		"ours, by their key and our kid":   {forge(t, RS256, a.key.private, `{"alg":"RS256","typ":"at+jwt","kid":"`+ours.id+`"}`, ourClaims), authz.TokenUnknownKey},
		"of A, by B's key of the same kid": {b.key.sign(t, "JWT", a.claims(nil)), authz.TokenBadSignature},
		"of B, by A's key of the same kid": {a.key.sign(t, "JWT", b.claims(nil)), authz.TokenBadSignature},
		"by a stranger's key":              {evil.sign(t, "JWT", a.claims(nil)), authz.TokenBadSignature},
		"HS256 with the public key's PEM":  {hs256(`{"alg":"HS256","typ":"JWT","kid":"p1"}`, a.claims(nil), publicPEM(t, a.key.public)), authz.TokenUnsupported},
		"alg none":                         {encode(`{"alg":"none","kid":"p1"}`) + "." + encode(a.claims(nil)) + ".", authz.TokenUnsupported},
		"another alg of the same key":      {forge(t, "PS256", a.key.private, `{"alg":"PS256","typ":"JWT","kid":"p1"}`, a.claims(nil)), authz.TokenUnknownKey},
		"an alg that is not theirs":        {forge(t, "RS512", a.key.private, `{"alg":"RS512","typ":"JWT","kid":"p1"}`, a.claims(nil)), authz.TokenUnsupported},
		"a stranger with jku":              {forge(t, RS256, evil.private, `{"alg":"RS256","typ":"JWT","kid":"x","jku":"`+b.URL+`/keys"}`, a.claims(nil)), authz.TokenUnknownKey},
		"crit":                             {forge(t, RS256, a.key.private, `{"alg":"RS256","kid":"p1","crit":["exp"]}`, a.claims(nil)), authz.TokenUnsupported},
		"another kind of JWT":              {a.key.sign(t, "logout+jwt", a.claims(nil)), authz.TokenWrongType},
		"no exp":                           {a.key.sign(t, "JWT", a.claims(map[string]string{"exp": ""})), authz.TokenInvalidClaims},
		"exp as text":                      {a.key.sign(t, "JWT", a.claims(map[string]string{"exp": `"1795456860"`})), authz.TokenInvalidClaims},
		"expired":                          {a.key.sign(t, "JWT", a.claims(map[string]string{"exp": "1795455060"})), authz.TokenExpired},
		"issued in the future":             {a.key.sign(t, "JWT", a.claims(map[string]string{"iat": "1795455090"})), authz.TokenNotYetValid},
		"no aud":                           {a.key.sign(t, "JWT", a.claims(map[string]string{"aud": ""})), authz.TokenInvalidClaims},
		"aud of another":                   {a.key.sign(t, "JWT", a.claims(map[string]string{"aud": `["https://other.example"]`})), authz.TokenWrongAudience},
		"no sub":                           {a.key.sign(t, "JWT", a.claims(map[string]string{"sub": ""})), authz.TokenInvalidClaims},
		"sub is a number":                  {a.key.sign(t, "JWT", a.claims(map[string]string{"sub": "7"})), authz.TokenInvalidClaims},
		"iss with a slash":                 {a.key.sign(t, "JWT", a.claims(map[string]string{"iss": `"` + a.URL + `/"`})), authz.TokenWrongIssuer},
		"no iss":                           {a.key.sign(t, "JWT", a.claims(map[string]string{"iss": ""})), authz.TokenInvalidClaims},
		"iss null":                         {a.key.sign(t, "JWT", a.claims(map[string]string{"iss": "null"})), authz.TokenInvalidClaims},
	} {
		t.Run(name, func(t *testing.T) { v.wantRefused(t, test.raw, test.want) })
	}
	t.Run("an issuer that calls itself us", func(t *testing.T) {
		// The server refuses such a file; the verifier would not believe it either.
		fake := a.trusted()
		fake.Issuer, fake.JWKSURL = testIssuer, a.URL+"/keys"
		v := newTrusting(t, fake)
		v.wantRefused(t, a.key.sign(t, "at+jwt", ourClaims), authz.TokenUnknownKey)
		if v.wantGood(t, mint(t, v.keys, nil)).External != nil {
			t.Error("our own token has an external subject")
		}
	})
	t.Run("typ", func(t *testing.T) {
		strict := a.trusted()
		strict.Types = []string{"at+jwt"}
		v := newTrusting(t, strict)
		v.wantGood(t, a.key.sign(t, "at+jwt", a.claims(nil)))
		v.wantGood(t, a.key.sign(t, "application/AT+jwt", a.claims(nil)))
		v.wantRefused(t, a.key.sign(t, "JWT", a.claims(nil)), authz.TokenWrongType)
		v.wantRefused(t, a.key.sign(t, "", a.claims(nil)), authz.TokenWrongType)
	})
}

func TestAttackStormOfUnknownKeys(t *testing.T) {
	p := newProvider(t, ES256)
	v := newTrusting(t, p.trusted())
	v.wantGood(t, p.good(t))
	storm := func() {
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				for j := range 10 {
					raw := forge(t, ES256, p.key.private, fmt.Sprintf(`{"alg":"ES256","kid":"%d.%d"}`, i, j), p.claims(nil))
					_, err := v.Verify(t.Context(), raw)
					wantRefusal(t, err, authz.TokenUnknownKey)
				}
			})
		}
		wait.Wait()
	}
	storm()
	if got := p.fetches.Load(); got != 1 {
		t.Errorf("%d fetches, want the first only", got)
	}
	for want := int64(2); want < 4; want++ {
		v.clock.Set(v.clock.Now().Add(30 * time.Second))
		storm()
		if got := p.fetches.Load(); got != want {
			t.Errorf("%d fetches after another interval, want %d", got, want)
		}
	}
	if got := v.CacheStats().Entries; got != 1 {
		t.Errorf("%d tokens are remembered", got)
	}
}

// All that come while the keys are being fetched wait for them.
func TestRequestsShareAFetch(t *testing.T) {
	p := newProvider(t, ES256)
	v := newTrusting(t, p.trusted())
	v.wantGood(t, p.good(t))
	next := newForeign(t, ES256, "p2")
	v.clock.Set(v.clock.Now().Add(time.Minute))
	arrived, let := make(chan struct{}), make(chan struct{})
	text := jwkSet(t, p.key.jwk, next.jwk)
	p.answers(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-let
		_, _ = w.Write(text)
	})
	raw := next.sign(t, "JWT", p.claims(nil))
	results := make(chan error, 10)
	for range cap(results) {
		go func() {
			_, err := v.Verify(t.Context(), raw)
			results <- err
		}()
	}
	<-arrived
	v.wantGood(t, p.good(t)) // a known key waits for nothing
	// Nor does one that has gone away.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(gone, next.sign(t, "JWT", p.claims(map[string]string{"x": "1"}))); err == nil {
		t.Error("a token of an unknown key passes")
	}
	close(let)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := p.fetches.Load(); got != 2 {
		t.Errorf("%d fetches", got)
	}
}

func TestAttackKeyThatTheIssuerRemoved(t *testing.T) {
	p := newProvider(t, ES256)
	v := newTrusting(t, p.trusted())
	next := newForeign(t, ES256, "p2")
	raw := p.good(t)
	v.wantGood(t, raw)
	p.publish(t, next.jwk)
	v.wantGood(t, raw) // nobody has heard of it yet
	v.clock.Set(v.clock.Now().Add(time.Minute))
	v.wantGood(t, next.sign(t, "JWT", p.claims(nil)))
	v.wantRefused(t, raw, authz.TokenUnknownKey) // although it was remembered
	// The kid is given to another key.
	other := newForeign(t, ES256, "p2")
	mine := next.sign(t, "JWT", p.claims(nil))
	p.publish(t, other.jwk)
	v.clock.Set(v.clock.Now().Add(time.Minute))
	v.wantRefused(t, forge(t, ES256, p.key.private, `{"alg":"ES256","kid":"x"}`, p.claims(nil)), authz.TokenUnknownKey)
	v.wantRefused(t, mine, authz.TokenBadSignature)
}

// Run fetches the keys by itself, so that a removal is felt without a new key.
func TestRunRefreshes(t *testing.T) {
	p := newProvider(t, ES256)
	trusted, err := NewTrustedIssuers([]TrustedIssuer{p.trusted()}, TrustedIssuersOptions{Interval: time.Nanosecond, Refresh: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trusted.Close)
	fetched := make(chan struct{}, 100)
	text := jwkSet(t, p.key.jwk)
	p.answers(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(text)
		fetched <- struct{}{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- trusted.Run(ctx) }()
	for range 3 {
		<-fetched
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestIssuerThatFails(t *testing.T) {
	good := newProvider(t, ES256)
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"500":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"HTML":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>down</html>")) },
		"an empty body": func(http.ResponseWriter, *http.Request) {},
		"an object":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"a redirect":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, good.URL+"/keys", http.StatusFound) },
		"a large body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", maxKeySet) + `"}`))
		},
		"a member twice":         func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[],"keys":[]}`)) },
		"a connection that ends": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, ES256)
			v := newTrusting(t, p.trusted(), good.trusted())
			p.answers(answer)
			raw := p.good(t)
			v.wantRefused(t, raw, authz.TokenUnknownKey)
			// Nobody else suffers.
			v.wantGood(t, good.good(t))
			v.wantGood(t, mint(t, v.keys, nil))
			// It comes back, and fails again: what is known goes on, for a day.
			p.publish(t, p.key.jwk)
			v.clock.Set(v.clock.Now().Add(time.Minute))
			v.wantGood(t, raw)
			p.answers(answer)
			v.clock.Set(v.clock.Now().Add(time.Minute))
			v.wantRefused(t, forge(t, ES256, p.key.private, `{"alg":"ES256","kid":"x"}`, p.claims(nil)), authz.TokenUnknownKey)
			v.wantGood(t, raw)
			long := p.key.sign(t, "JWT", p.claims(map[string]string{"exp": "1895456860"}))
			v.wantGood(t, long)
			v.clock.Set(v.clock.Now().Add(maxStale + time.Minute))
			v.wantRefused(t, long, authz.TokenUnknownKey)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		p := newProvider(t, ES256)
		v := newTrusting(t, p.trusted())
		p.Close()
		v.wantRefused(t, p.good(t), authz.TokenUnknownKey)
	})
}

func TestAttackPrivateAndSymmetricKeysOfAnIssuer(t *testing.T) {
	p := newProvider(t, RS256)
	secret := strings.Repeat("s", 32)
	for name, jwk := range map[string]map[string]any{
		"private":            p.key.with(map[string]any{"d": "AAAA"}),
		"symmetric":          {"kty": "oct", "kid": "p1", "alg": "HS256", "k": encode(secret)},
		"symmetric as RSA's": p.key.with(map[string]any{"k": encode(secret)}),
		"512 bits":           {"kty": "RSA", "kid": "p1", "n": encode(strings.Repeat("\xff", 64)), "e": "AQAB"},
		"1 MiB":              {"kty": "RSA", "kid": "p1", "n": encode(strings.Repeat("\xff", 4096)), "e": "AQAB"},
		"a certificate only": {"kty": "RSA", "kid": "p1", "x5c": []string{"AAAA"}, "x5u": "http://127.0.0.1:1/"},
		"for encryption":     p.key.with(map[string]any{"use": "enc"}),
	} {
		t.Run(name, func(t *testing.T) {
			p.publish(t, jwk)
			v := newTrusting(t, p.trusted())
			v.wantRefused(t, p.good(t), authz.TokenUnknownKey)
			v.wantRefused(t, hs256(`{"alg":"HS256","typ":"JWT","kid":"p1"}`, p.claims(nil), []byte(secret)), authz.TokenUnsupported)
		})
	}
}

func TestDiscovery(t *testing.T) {
	for name, test := range map[string]struct {
		document string
		want     string // in the error; empty: accepted
	}{
		"good":               {`{"issuer":"https://i.example","jwks_uri":"https://keys.example/k"}`, ""},
		"on loopback":        {`{"issuer":"https://i.example","jwks_uri":"http://127.0.0.1:9/k"}`, ""},
		"another issuer":     {`{"issuer":"https://i.example/","jwks_uri":"https://keys.example/k"}`, "another issuer"},
		"no issuer":          {`{"jwks_uri":"https://keys.example/k"}`, "another issuer"},
		"no jwks_uri":        {`{"issuer":"https://i.example"}`, "no jwks_uri"},
		"in clear":           {`{"issuer":"https://i.example","jwks_uri":"http://keys.example/k"}`, "not https"},
		"a file":             {`{"issuer":"https://i.example","jwks_uri":"file:///etc/passwd"}`, "not an https URL"},
		"with a password":    {`{"issuer":"https://i.example","jwks_uri":"https://a:b@keys.example/k"}`, "password"},
		"jwks_uri twice":     {`{"issuer":"https://i.example","jwks_uri":"https://a.example","jwks_uri":"https://b.example"}`, "can't be read"},
		"in another case":    {`{"Issuer":"https://i.example","JWKS_URI":"https://keys.example/k"}`, "another issuer"},
		"no JSON":            {`<html>`, "can't be read"},
		"jwks_uri as a list": {`{"issuer":"https://i.example","jwks_uri":["https://keys.example/k"]}`, "no jwks_uri"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := discovered([]byte(test.document), "https://i.example")
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestBearerGoesToTheConfiguredServerOnly(t *testing.T) {
	var seen []string
	p := newProvider(t, ES256)
	text := jwkSet(t, p.key.jwk)
	p.answers(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		_, _ = w.Write(text)
	})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("cluster-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := p.trusted()
	own.BearerFile = file
	newTrusting(t, own).wantGood(t, p.good(t))

	elsewhere := httptest.NewServer(nil)
	t.Cleanup(elsewhere.Close)
	elsewhere.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, elsewhere.URL, p.URL+"/keys")
	})
	own.Issuer = elsewhere.URL
	newTrusting(t, own).wantGood(t, p.key.sign(t, "JWT", p.claims(map[string]string{"iss": `"` + elsewhere.URL + `"`})))
	if want := []string{"Bearer cluster-token", ""}; !slices.Equal(seen, want) {
		t.Errorf("sent %q, want %q", seen, want)
	}
}

func TestKeysFromAFile(t *testing.T) {
	key := newForeign(t, ES256, "f1")
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, jwkSet(t, key.jwk), 0o600); err != nil {
		t.Fatal(err)
	}
	v := newTrusting(t, TrustedIssuer{Issuer: "https://offline.example", Audience: []string{testAudience}, JWKSFile: file})
	claims := claimsWith(map[string]string{"iss": `"https://offline.example"`, "client_id": ""})
	v.wantGood(t, key.sign(t, "JWT", claims))
}

func TestClaimMappings(t *testing.T) {
	p := newProvider(t, ES256)
	keep := func(claim string) ClaimMapping { return ClaimMapping{Claim: claim, KeepUnmapped: true} }
	for name, test := range map[string]struct {
		change func(*TrustedIssuer)
		claims map[string]string
		want   *authz.Subject // nil: refused
	}{
		"Keycloak's realm roles": {
			func(i *TrustedIssuer) {
				i.Roles = ClaimMapping{Claim: "realm_access.roles", Map: map[string][]string{"app-admin": {"admin", "auditor"}, "user": {"client"}}}
			},
			map[string]string{"realm_access": `{"roles":["app-admin","offline_access","admin"]}`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"admin", "auditor"}, Scopes: []string{}},
		},
		"by JSON Pointer": {
			func(i *TrustedIssuer) { i.Roles = keep("/resource_access/my.app/a~1b") },
			map[string]string{"resource_access": `{"my.app":{"a/b":["x"]}}`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"x"}, Scopes: []string{}},
		},
		"Auth0's claim that is a URL": {
			func(i *TrustedIssuer) { i.Roles = keep("https://example.com/roles") },
			map[string]string{"https://example.com/roles": `["b","a","a"]`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"a", "b"}, Scopes: []string{}},
		},
		"scopes in one string": {
			func(i *TrustedIssuer) { i.Scopes = keep("scp") },
			map[string]string{"scp": `"items:read  items:write"`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{"items:read", "items:write"}},
		},
		"unmapped names count for nothing": {
			func(i *TrustedIssuer) {
				i.Scopes = ClaimMapping{Claim: "scope", Map: map[string][]string{"read": {"items:read"}}}
			},
			map[string]string{"scope": `"read admin"`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{"items:read"}},
		},
		"what everybody has": {
			func(i *TrustedIssuer) { i.Roles = ClaimMapping{Always: []string{"workload"}} }, nil,
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"workload"}, Scopes: []string{}},
		},
		"Entra's object id": {
			func(i *TrustedIssuer) { i.Subject = "oid" },
			map[string]string{"oid": `"0000-11"`},
			&authz.Subject{ID: "0000-11", Roles: []string{}, Scopes: []string{}},
		},
		"a claim that is missing": {func(i *TrustedIssuer) { i.Roles = keep("a.b.c") }, map[string]string{"a": `{"b":7}`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"roles that nobody asked for":  {func(*TrustedIssuer) {}, map[string]string{"roles": `["admin"]`, "scope": `"admin"`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"roles that are an object":     {func(i *TrustedIssuer) { i.Roles = keep("roles") }, map[string]string{"roles": `{"admin":true}`}, nil},
		"roles with a number":          {func(i *TrustedIssuer) { i.Roles = keep("roles") }, map[string]string{"roles": `["a",1]`}, nil},
		"a subject that is a list":     {func(i *TrustedIssuer) { i.Subject = "oid" }, map[string]string{"oid": `["x"]`}, nil},
		"a requirement that is met":    {require("email_verified", true), map[string]string{"email_verified": "true"}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"one of a list is met":         {require("groups", "a", "b"), map[string]string{"groups": `["x","b"]`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"a number is met":              {require("v", json.Number("2")), map[string]string{"v": `2`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"any value":                    {require("hd"), map[string]string{"hd": `"x"`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"a requirement that is not":    {require("hd", "example.com"), map[string]string{"hd": `"evil.example"`}, nil},
		"text instead of true":         {require("email_verified", true), map[string]string{"email_verified": `"true"`}, nil},
		"a required claim is missing":  {require("hd", "example.com"), nil, nil},
		"a required claim is null":     {require("hd"), map[string]string{"hd": "null"}, nil},
		"a required claim, deeper in":  {require("kubernetes.io", "x"), map[string]string{"kubernetes": `{"io":"x"}`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"a required claim with a dot":  {require("/kubernetes.io/namespace", "x"), map[string]string{"kubernetes.io": `{"namespace":"y"}`}, nil},
		"an empty list meets nothing":  {require("groups", "a"), map[string]string{"groups": `[]`}, nil},
		"an object is no value":        {require("groups", "a"), map[string]string{"groups": `{"a":1}`}, nil},
		"a list within a list is none": {require("groups", "a"), map[string]string{"groups": `[["a"]]`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := p.trusted()
			test.change(&issuer)
			v := newTrusting(t, issuer)
			raw := p.key.sign(t, "JWT", p.claims(test.claims))
			if test.want == nil {
				v.wantRefused(t, raw, authz.TokenInvalidClaims)
				return
			}
			got := v.wantGood(t, raw).External
			if got.ID != test.want.ID || !slices.Equal(got.Roles, test.want.Roles) || !slices.Equal(got.Scopes, test.want.Scopes) || got.Roles == nil || got.Scopes == nil {
				t.Errorf("subject %+v, want %+v", got, test.want)
			}
		})
	}
}

func require(claim string, anyOf ...any) func(*TrustedIssuer) {
	return func(i *TrustedIssuer) { i.Require = []Requirement{{claim, anyOf}} }
}

// What the application of FastAPI's documentation issues: sub, scopes, exp, and
// nothing else.
func TestLegacyIssuer(t *testing.T) {
	secret := []byte("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7")
	legacy := TrustedIssuer{
		Issuer: "old-app", Secret: secret, Legacy: true,
		Scopes: ClaimMapping{Claim: "scopes", Map: map[string][]string{"items": {"items:read"}}},
	}
	p := newProvider(t, RS256)
	v := newTrusting(t, legacy, p.trusted())
	const header = `{"alg":"HS256","typ":"JWT"}`
	const claims = `{"sub":"johndoe","scopes":["me","items"],"exp":1795456860}`
	got := v.wantGood(t, hs256(header, claims, secret))
	if s := got.External; got.Issuer != "old-app" || s == nil || s.Kind != authz.KindExternal || s.ID != "johndoe" || s.Issuer != "old-app" || !slices.Equal(s.Scopes, []string{"items:read"}) {
		t.Errorf("got %+v, %+v", got, s)
	}
	v.wantGood(t, hs256(`{"typ":"JWT","alg":"HS256","kid":"any"}`, claims, secret))
	for name, test := range map[string]struct {
		raw  string
		want authz.TokenError
	}{
		"another secret":       {hs256(header, claims, []byte(strings.Repeat("x", 64))), authz.TokenBadSignature},
		"no exp":               {hs256(header, `{"sub":"johndoe"}`, secret), authz.TokenInvalidClaims},
		"expired":              {hs256(header, `{"sub":"johndoe","exp":1795455060}`, secret), authz.TokenExpired},
		"no sub":               {hs256(header, `{"exp":1795456860}`, secret), authz.TokenInvalidClaims},
		"for somebody else":    {hs256(header, `{"sub":"johndoe","aud":"https://other.example","exp":1795456860}`, secret), authz.TokenWrongAudience},
		"with our iss":         {hs256(`{"alg":"HS256","typ":"at+jwt","kid":"`+v.keys.signing().id+`"}`, claimsWith(nil), secret), authz.TokenUnknownKey},
		"with its name as iss": {hs256(header, `{"iss":"old-app","sub":"johndoe","exp":1795456860}`, secret), authz.TokenWrongIssuer},
		"with another's iss":   {hs256(`{"alg":"HS256","typ":"JWT","kid":"p1"}`, p.claims(nil), secret), authz.TokenUnsupported},
		"with an empty iss":    {hs256(header, `{"iss":"","sub":"johndoe","exp":1795456860}`, secret), authz.TokenWrongIssuer},
		"with iss null":        {hs256(header, `{"iss":null,"sub":"johndoe","exp":1795456860}`, secret), authz.TokenInvalidClaims},
		"alg none":             {encode(`{"alg":"none"}`) + "." + encode(claims) + ".", authz.TokenUnsupported},
		"HS512":                {hs256(`{"alg":"HS512"}`, claims, secret), authz.TokenUnsupported},
		"ours without iss":     {forge(t, EdDSA, v.keys.signing().private, goodHeader(v.keys.signing()), claimsWith(map[string]string{"iss": ""})), authz.TokenUnsupported},
		"theirs without iss":   {p.key.sign(t, "JWT", p.claims(map[string]string{"iss": ""})), authz.TokenUnsupported},
		"a PEM as the secret":  {hs256(header, claims, publicPEM(t, p.key.public)), authz.TokenBadSignature},
		"typ of another kind":  {hs256(`{"alg":"HS256","typ":"dpop+jwt"}`, claims, secret), authz.TokenWrongType},
	} {
		t.Run(name, func(t *testing.T) { v.wantRefused(t, test.raw, test.want) })
	}
	t.Run("without one, iss is required", func(t *testing.T) {
		newTrusting(t, p.trusted()).wantRefused(t, hs256(header, claims, secret), authz.TokenInvalidClaims)
	})
	t.Run("one that has an iss", func(t *testing.T) {
		named := legacy
		named.Issuer, named.Legacy, named.Audience = "https://old.example", false, []string{testAudience}
		v := newTrusting(t, named)
		v.wantGood(t, hs256(header, `{"iss":"https://old.example","aud":"`+testAudience+`","sub":"johndoe","exp":1795456860}`, secret))
		v.wantRefused(t, hs256(header, claims, secret), authz.TokenInvalidClaims)
	})
}

func TestNewTrustedIssuersRefuses(t *testing.T) {
	good := TrustedIssuer{Issuer: "https://i.example", Audience: []string{"a"}}
	secret := []byte(strings.Repeat("s", 32))
	for name, test := range map[string]struct {
		change func(*TrustedIssuer)
		member string
	}{
		"no issuer":              {func(i *TrustedIssuer) { i.Issuer = "" }, "issuer"},
		"no audience":            {func(i *TrustedIssuer) { i.Audience = nil }, "audience"},
		"an empty audience":      {func(i *TrustedIssuer) { i.Audience = []string{""} }, "audience"},
		"HS256 with public keys": {func(i *TrustedIssuer) { i.Algorithms = []string{"HS256"} }, "algorithms"},
		"none":                   {func(i *TrustedIssuer) { i.Algorithms = []string{"none"} }, "algorithms"},
		"no algorithm":           {func(i *TrustedIssuer) { i.Algorithms = []string{} }, "algorithms"},
		"keys over http":         {func(i *TrustedIssuer) { i.JWKSURL = "http://i.example/keys" }, "jwks"},
		"keys by another scheme": {func(i *TrustedIssuer) { i.JWKSURL = "ftp://i.example/keys" }, "jwks"},
		"discovery over http":    {func(i *TrustedIssuer) { i.Issuer = "http://i.example" }, "issuer"},
		"discovery of a name":    {func(i *TrustedIssuer) { i.Issuer = "i" }, "issuer"},
		"two sources":            {func(i *TrustedIssuer) { i.JWKSURL, i.JWKSFile = "https://i.example/k", "k" }, "jwks-file"},
		"a secret and keys":      {func(i *TrustedIssuer) { i.Secret, i.JWKSURL = secret, "https://i.example/k" }, "hs256-secret-file"},
		"a short secret":         {func(i *TrustedIssuer) { i.Secret = secret[1:] }, "hs256-secret-file"},
		"a PEM as secret":        {func(i *TrustedIssuer) { i.Secret = []byte("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ") }, "hs256-secret-file"},
		"RS256 with a secret":    {func(i *TrustedIssuer) { i.Secret, i.Algorithms = secret, []string{RS256} }, "algorithms"},
		"legacy without secret":  {func(i *TrustedIssuer) { i.Legacy = true }, "legacy"},
		"a CA that is not there": {func(i *TrustedIssuer) { i.CAFile = "missing.pem" }, "ca-file"},
		"a leeway of an hour":    {func(i *TrustedIssuer) { i.Leeway = time.Hour }, "leeway"},
		"roles without a map":    {func(i *TrustedIssuer) { i.Roles.Claim = "roles" }, "roles.map"},
		"a map without a claim":  {func(i *TrustedIssuer) { i.Scopes.Map = map[string][]string{"a": {"b"}} }, "scopes.claim"},
		"an empty part":          {func(i *TrustedIssuer) { i.Subject = "a..b" }, "subject"},
		"a bad pointer":          {func(i *TrustedIssuer) { i.Require = []Requirement{{Claim: "/a~2"}} }, "require"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := good
			test.change(&issuer)
			_, err := NewTrustedIssuers([]TrustedIssuer{{Issuer: "https://first.example", Audience: []string{"a"}}, issuer}, TrustedIssuersOptions{})
			var position *IssuerPosition
			var member *IssuerError
			if !errors.As(err, &position) || position.Index != 1 || !errors.As(err, &member) || member.Member != test.member {
				t.Errorf("got %v, want one about %s of the second", err, test.member)
			}
		})
	}
	twice := []TrustedIssuer{good, good}
	if _, err := NewTrustedIssuers(twice, TrustedIssuersOptions{}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("one issuer twice: %v", err)
	}
	legacy := TrustedIssuer{Issuer: "a", Secret: secret, Legacy: true}
	other := legacy
	other.Issuer = "b"
	if _, err := NewTrustedIssuers([]TrustedIssuer{legacy, other}, TrustedIssuersOptions{}); err == nil || !strings.Contains(err.Error(), "only one") {
		t.Errorf("two secrets: %v", err)
	}
}
