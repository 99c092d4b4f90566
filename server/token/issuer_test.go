package token

import (
	"context"
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
