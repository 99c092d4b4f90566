package token

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestVerifierOfNothingRefusesEverything(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	raw := mint(t, keys, nil)
	emptyIssuer := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{"iss": `""`}))
	emptyAudience := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{"aud": `""`}))
	for name, test := range map[string]struct {
		options VerifierOptions
		raw     string
		want    authz.TokenError
	}{
		"zero options":                      {VerifierOptions{}, raw, authz.TokenWrongIssuer},
		"zero options, empty iss":           {VerifierOptions{}, emptyIssuer, authz.TokenWrongIssuer},
		"no audience":                       {VerifierOptions{Issuer: testIssuer}, raw, authz.TokenWrongAudience},
		"no audience, empty aud":            {VerifierOptions{Issuer: testIssuer}, emptyAudience, authz.TokenWrongAudience},
		"no issuer":                         {VerifierOptions{Audience: testAudience}, raw, authz.TokenWrongIssuer},
		"another service":                   {VerifierOptions{Issuer: testIssuer, Audience: "https://other.example"}, raw, authz.TokenWrongAudience},
		"another issuer with the same keys": {VerifierOptions{Issuer: "https://b.example", Audience: testAudience}, raw, authz.TokenWrongIssuer},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Now = newClock().Now
			_, err := NewVerifier(keys, test.options).Verify(t.Context(), test.raw)
			wantRefusal(t, err, test.want)
		})
	}
}

// A program without a keyring has no tokens of its own; those of a trusted issuer are
// external even if it was told that issuer's name as its own.
func TestVerifierWithoutAKeyring(t *testing.T) {
	raw := mint(t, openKeyring(t, &memoryStore{}, EdDSA), nil)
	_, err := NewVerifier(nil, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: newClock().Now}).Verify(t.Context(), raw)
	wantRefusal(t, err, authz.TokenWrongIssuer)

	p := newProvider(t, EdDSA)
	trusted, err := NewTrustedIssuers([]TrustedIssuer{p.trusted()}, TrustedIssuersOptions{Now: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trusted.Close)
	for _, issuer := range []string{"", p.URL} {
		verifier := NewVerifier(nil, VerifierOptions{Issuer: issuer, Audience: testAudience, Trusted: trusted, Now: newClock().Now})
		verified, err := verifier.Verify(t.Context(), p.good(t))
		if err != nil || verified.External == nil {
			t.Errorf("issuer %q: %+v, %v; want an external subject", issuer, verified, err)
		}
	}
}

func TestPrepareSeesVerifiedClaimsOnly(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	other := openKeyring(t, &memoryStore{}, EdDSA)
	var mu sync.Mutex
	var seen []string
	verifier := NewVerifier(keys, VerifierOptions{
		Issuer: testIssuer, Audience: testAudience, Now: newClock().Now,
		Prepare: func(claims map[string]any) any {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, claims["sub"].(string))
			return len(claims)
		},
	})
	verified, err := verifier.Verify(t.Context(), mint(t, keys, nil))
	if err != nil {
		t.Fatal(err)
	}
	if verified.Claims.Prepared != len(verified.Claims.Values) {
		t.Errorf("got %v", verified.Claims.Prepared)
	}
	for _, raw := range []string{
		forge(t, EdDSA, other.signing().private, goodHeader(keys.signing()), goodClaims),
		forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{"exp": "1"})),
	} {
		if _, err := verifier.Verify(t.Context(), raw); err == nil {
			t.Error("a bad token passed")
		}
	}
	if len(seen) != 1 {
		t.Errorf("Prepare saw %d tokens, want the good one only", len(seen))
	}
}

func TestRefusalSaysWhyWithoutQuotingTheToken(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	const secret = "s3cr3t"
	for name, changes := range map[string]map[string]string{
		"sub":            {"sub": `["` + secret + `"]`},
		"aud":            {"aud": `"` + secret + `"`},
		"iss":            {"iss": `"` + secret + `"`},
		"exp":            {"exp": `"` + secret + `"`},
		"twice":          {secret: `1,"` + secret + `":2`},
		"malformed JSON": {"x": secret},
	} {
		t.Run(name, func(t *testing.T) {
			raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(changes))
			_, err := verifier.Verify(t.Context(), raw)
			var code authz.TokenError
			if !errors.As(err, &code) || !errors.Is(err, code) || len(err.Error()) <= len(code.Error()) {
				t.Errorf("got %v, want a token error with a reason", err)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), raw) {
				t.Errorf("the error quotes the token: %v", err)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	t.Run("what Verify refuses, Inspect still shows", func(t *testing.T) {
		raw := encode(`{"alg":"none","crit":["x"]}`) + "." + encode(`{"exp":1,"n":9007199254740993}`) + "."
		header, claims, err := Inspect(raw)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, "header", header, `{"alg":"none","crit":["x"]}`)
		wantJSON(t, "claims", claims, `{"exp":1,"n":9007199254740993}`)
	})
	for name, raw := range map[string]string{
		"empty":             "",
		"two parts":         "e30.e30",
		"header is a list":  encode("[]") + "." + encode("{}") + ".",
		"claims are null":   encode("{}") + "." + encode("null") + ".",
		"claims twice":      encode("{}") + "." + encode(`{"a":1,"a":2}`) + ".",
		"with white space ": mint(t, keys, nil) + "\n",
		"something after":   encode("{}") + "." + encode("{} {}") + ".",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Inspect(raw)
			wantRefusal(t, err, authz.TokenMalformed)
		})
	}
}
