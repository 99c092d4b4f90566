package token

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// foreign is a key pair of somebody else, with the JWK that describes it.
type foreign struct {
	*signingKey
	jwk map[string]any
}

func newForeign(t testing.TB, algorithm, kid string) foreign {
	t.Helper()
	base := algorithm
	if strings.HasPrefix(algorithm, "PS") || strings.HasPrefix(algorithm, "RS") {
		base = RS256
	}
	key, err := generate(base, testNow, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	usable, err := parseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	described, err := newJWK(usable.public)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	f := foreign{signingKey: usable, jwk: map[string]any{}}
	if err := json.Unmarshal(text, &f.jwk); err != nil {
		t.Fatal(err)
	}
	f.verificationKey = newVerificationKey(kid, algorithm, usable.public)
	if f.jwk["alg"] = algorithm; kid != "" {
		f.jwk["kid"] = kid
	}
	return f
}

// with is the JWK with some members replaced; nil removes one.
func (f foreign) with(changes map[string]any) map[string]any {
	changed := maps.Clone(f.jwk)
	for name, value := range changes {
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
	}
	return changed
}

func jwkSet(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign signs a token with a header of typ, and claims given as JSON.
func (f foreign) sign(t testing.TB, typ, claims string) string {
	t.Helper()
	header := map[string]any{"alg": f.algorithm}
	if f.id != "" {
		header["kid"] = f.id
	}
	if typ != "" {
		header["typ"] = typ
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return forge(t, f.algorithm, f.private, string(text), claims)
}

const assertionClient = "billing"

func assertionClaims(changes map[string]string) string {
	return claimsWith(mergeTexts(map[string]string{
		"iss": `"` + assertionClient + `"`, "sub": `"` + assertionClient + `"`, "aud": `"` + testIssuer + `"`,
		"jti": `"one"`, "iat": "1795455060", "nbf": "", "client_id": "", "exp": "1795455120",
	}, changes))
}

func mergeTexts(base, changes map[string]string) map[string]string {
	merged := maps.Clone(base)
	maps.Copy(merged, changes)
	return merged
}

var assertionAudiences = []string{testIssuer, testIssuer + "/token"}

func TestAssertions(t *testing.T) {
	client, other := newForeign(t, ES256, "c1"), newForeign(t, ES256, "o1")
	jwks := jwkSet(t, client.jwk)
	for name, test := range map[string]struct {
		raw  string
		want authz.TokenError
	}{
		"good":                              {client.sign(t, "JWT", assertionClaims(nil)), ""},
		"without typ":                       {client.sign(t, "", assertionClaims(nil)), ""},
		"client-authentication+jwt":         {client.sign(t, "client-authentication+jwt", assertionClaims(nil)), ""},
		"the endpoint in a list":            {client.sign(t, "JWT", assertionClaims(map[string]string{"aud": `["x","` + testIssuer + `/token"]`})), ""},
		"ten minutes":                       {client.sign(t, "JWT", assertionClaims(map[string]string{"exp": "1795455660"})), ""},
		"an access token":                   {client.sign(t, "at+jwt", assertionClaims(nil)), authz.TokenWrongType},
		"an access token by media type":     {client.sign(t, "application/AT+JWT", assertionClaims(nil)), authz.TokenWrongType},
		"another kind":                      {client.sign(t, "dpop+jwt", assertionClaims(nil)), authz.TokenWrongType},
		"iss of another":                    {client.sign(t, "JWT", assertionClaims(map[string]string{"iss": `"other"`})), authz.TokenWrongIssuer},
		"sub of another":                    {client.sign(t, "JWT", assertionClaims(map[string]string{"sub": `"other"`})), authz.TokenWrongIssuer},
		"no iss":                            {client.sign(t, "JWT", assertionClaims(map[string]string{"iss": ""})), authz.TokenWrongIssuer},
		"sub is a list":                     {client.sign(t, "JWT", assertionClaims(map[string]string{"sub": `["billing"]`})), authz.TokenWrongIssuer},
		"aud of another":                    {client.sign(t, "JWT", assertionClaims(map[string]string{"aud": `"https://other.example"`})), authz.TokenWrongAudience},
		"no aud":                            {client.sign(t, "JWT", assertionClaims(map[string]string{"aud": ""})), authz.TokenInvalidClaims},
		"empty aud":                         {client.sign(t, "JWT", assertionClaims(map[string]string{"aud": `[]`})), authz.TokenWrongAudience},
		"no exp":                            {client.sign(t, "JWT", assertionClaims(map[string]string{"exp": ""})), authz.TokenInvalidClaims},
		"exp as text":                       {client.sign(t, "JWT", assertionClaims(map[string]string{"exp": `"1795455120"`})), authz.TokenInvalidClaims},
		"expired":                           {client.sign(t, "JWT", assertionClaims(map[string]string{"exp": "1795455050"})), authz.TokenExpired},
		"an hour":                           {client.sign(t, "JWT", assertionClaims(map[string]string{"exp": "1795458660"})), authz.TokenInvalidClaims},
		"not yet":                           {client.sign(t, "JWT", assertionClaims(map[string]string{"nbf": "1795455100"})), authz.TokenNotYetValid},
		"issued later":                      {client.sign(t, "JWT", assertionClaims(map[string]string{"iat": "1795455100"})), authz.TokenNotYetValid},
		"no jti":                            {client.sign(t, "JWT", assertionClaims(map[string]string{"jti": ""})), authz.TokenInvalidClaims},
		"a jti that is a number":            {client.sign(t, "JWT", assertionClaims(map[string]string{"jti": "1"})), authz.TokenInvalidClaims},
		"a jti of 300 bytes":                {client.sign(t, "JWT", assertionClaims(map[string]string{"jti": `"` + strings.Repeat("x", 300) + `"`})), authz.TokenInvalidClaims},
		"another's key":                     {other.sign(t, "JWT", assertionClaims(nil)), authz.TokenUnknownKey},
		"another's key by the client's kid": {foreign{signingKey: &signingKey{newVerificationKey("c1", ES256, nil), other.private}}.sign(t, "JWT", assertionClaims(nil)), authz.TokenBadSignature},
		"alg none":                          {encode(`{"alg":"none","kid":"c1"}`) + "." + encode(assertionClaims(nil)) + ".", authz.TokenUnsupported},
		"HS256 with the public key's PEM":   {hs256(`{"alg":"HS256","kid":"c1"}`, assertionClaims(nil), publicPEM(t, client.public)), authz.TokenUnsupported},
		"crit":                              {forge(t, ES256, client.private, `{"alg":"ES256","kid":"c1","crit":["x"]}`, assertionClaims(nil)), authz.TokenUnsupported},
		"a member twice":                    {forge(t, ES256, client.private, `{"alg":"ES256","kid":"c1"}`, `{"iss":"billing","iss":"billing"}`), authz.TokenMalformed},
		"no token":                          {"nonsense", authz.TokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			jti, expiry, err := AssertionVerifier{}.Verify(test.raw, jwks, assertionClient, assertionAudiences, testNow)
			if test.want != "" {
				wantRefusal(t, err, test.want)
				return
			}
			if err != nil || jti != "one" || expiry.Before(time.Unix(1795455120, 0)) {
				t.Errorf("jti %q until %s, %v", jti, expiry, err)
			}
			// What is remembered of it lasts as long as it is accepted.
			if _, _, err := (AssertionVerifier{}).Verify(test.raw, jwks, assertionClient, assertionAudiences, expiry); err == nil {
				t.Error("it outlives what the caller remembers of it")
			}
		})
	}
	for _, empty := range []string{"", "x"} {
		raw := client.sign(t, "JWT", assertionClaims(map[string]string{"iss": `""`, "sub": `""`}))
		if _, _, err := (AssertionVerifier{}).Verify(raw, jwks, empty, assertionAudiences, testNow); err == nil {
			t.Errorf("an empty client is %q", empty)
		}
	}
}

func publicPEM(t testing.TB, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestAssertionKeys(t *testing.T) {
	for _, algorithm := range assertionAlgorithms() {
		t.Run(algorithm, func(t *testing.T) {
			key := newForeign(t, algorithm, "k")
			raw := key.sign(t, "JWT", assertionClaims(nil))
			noKID := forge(t, algorithm, key.private, `{"alg":"`+algorithm+`"}`, assertionClaims(nil))
			second := newForeign(t, algorithm, "k2")
			for name, test := range map[string]struct {
				raw  string
				keys []map[string]any
				want authz.TokenError
			}{
				"by kid":                         {raw, []map[string]any{second.jwk, key.jwk}, ""},
				"use sig":                        {raw, []map[string]any{key.with(map[string]any{"use": "sig", "key_ops": []string{"verify"}})}, ""},
				"no kid, the only key that fits": {noKID, []map[string]any{key.jwk}, ""},
				"no kid, two keys that fit":      {noKID, []map[string]any{key.jwk, second.jwk}, authz.TokenUnknownKey},
				"no key":                         {raw, []map[string]any{}, authz.TokenUnknownKey},
				"use enc":                        {raw, []map[string]any{key.with(map[string]any{"use": "enc"})}, authz.TokenUnknownKey},
				"key_ops without verify":         {raw, []map[string]any{key.with(map[string]any{"key_ops": []string{"encrypt"}})}, authz.TokenUnknownKey},
				"alg of another":                 {raw, []map[string]any{key.with(map[string]any{"alg": "HS256"})}, authz.TokenUnknownKey},
				"a private member":               {raw, []map[string]any{key.with(map[string]any{"d": "AAAA"})}, authz.TokenUnknownKey},
				"a symmetric member":             {raw, []map[string]any{key.with(map[string]any{"k": "AAAA"})}, authz.TokenUnknownKey},
				"two different keys of one kid":  {raw, []map[string]any{key.jwk, second.with(map[string]any{"kid": "k"})}, authz.TokenUnknownKey},
				"the same key twice":             {raw, []map[string]any{key.jwk, key.jwk}, ""},
				"beside keys of unknown types":   {raw, []map[string]any{{"kty": "new"}, {"kty": "RSA"}, {"kty": "OKP", "crv": "Ed448", "x": "AA"}, key.jwk}, ""},
			} {
				t.Run(name, func(t *testing.T) {
					_, _, err := AssertionVerifier{}.Verify(test.raw, jwkSet(t, test.keys...), assertionClient, assertionAudiences, testNow)
					if test.want != "" {
						wantRefusal(t, err, test.want)
					} else if err != nil {
						t.Error(err)
					}
				})
			}
			if err := CheckJWKS(jwkSet(t, key.jwk)); err != nil {
				t.Errorf("CheckJWKS: %v", err)
			}
			if err := CheckJWKS(jwkSet(t, key.with(map[string]any{"d": "AAAA"}))); err == nil || !strings.Contains(err.Error(), "private") {
				t.Errorf("CheckJWKS of a private key: %v", err)
			}
		})
	}
	t.Run("a symmetric key is never one", func(t *testing.T) {
		secret := strings.Repeat("s", 32)
		for _, jwk := range []map[string]any{
			{"kty": "oct", "kid": "k", "k": encode(secret)},
			{"kty": "oct", "kid": "k", "alg": "HS256", "k": encode(secret)},
			{"kty": "oct", "kid": "k", "alg": "ES256", "k": encode(secret)},
		} {
			raw := hs256(`{"alg":"HS256","kid":"k"}`, assertionClaims(nil), []byte(secret))
			_, _, err := AssertionVerifier{}.Verify(raw, jwkSet(t, jwk), assertionClient, assertionAudiences, testNow)
			wantRefusal(t, err, authz.TokenUnsupported)
			if CheckJWKS(jwkSet(t, jwk)) == nil {
				t.Error("CheckJWKS lets it pass")
			}
		}
	})
}

func TestKeySetsThatAreRefused(t *testing.T) {
	key := newForeign(t, EdDSA, "k")
	one, err := json.Marshal(key.jwk)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "HTML": "<html>", "a list": `[]`, "no keys": `{}`, "keys are null": `{"keys":null}`,
		"keys are an object": `{"keys":{}}`, "a key is a text": `{"keys":["x"]}`,
		"keys twice":              fmt.Sprintf(`{"keys":[],"keys":[%s]}`, one),
		"a member of a key twice": fmt.Sprintf(`{"keys":[%s]}`, strings.Replace(string(one), `"kty"`, `"kid":"other","kty"`, 1)),
		"something after":         `{"keys":[]} {}`,
		"201 keys":                `{"keys":[` + strings.Repeat(string(one)+",", maxKeys) + string(one) + `]}`,
		"longer than the longest": `{"keys":[]` + strings.Repeat(" ", maxKeySet) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			set, _, err := readKeySet([]byte(text), PublicKeyAlgorithms())
			if err == nil || len(set) > 0 {
				t.Errorf("read as %v, %v", set, err)
			}
			var code authz.TokenError
			if asTokenError(err, &code) {
				t.Errorf("it passes for the refusal of a token: %v", err)
			}
		})
	}
	// Names in another case are other names.
	set, _, err := readKeySet([]byte(`{"keys":[{"KTY":"OKP","CRV":"Ed25519","X":"`+key.jwk["x"].(string)+`"}]}`), PublicKeyAlgorithms())
	if err != nil || len(set) != 0 {
		t.Errorf("%v, %v", set, err)
	}
}

// Each algorithm that others may sign with, and each other algorithm for that key.
func TestAKeyIsForOneAlgorithm(t *testing.T) {
	rsaKey := newForeign(t, RS256, "r")
	for _, algorithms := range [][]string{{RS256, "PS256"}, {"PS256", RS256}, {"RS512"}} {
		set, _, err := readKeySet(jwkSet(t, rsaKey.with(map[string]any{"alg": nil})), algorithms)
		if err != nil || len(set) != 1 || set[0].algorithm != algorithms[0] {
			t.Errorf("%v: %v, %v", algorithms, set, err)
		}
	}
	for _, algorithm := range PublicKeyAlgorithms() {
		if method(algorithm) == nil || slices.Contains([]string{HS256, "none"}, algorithm) {
			t.Errorf("%s is offered", algorithm)
		}
	}
}

func FuzzReadKeySet(f *testing.F) {
	key := newForeign(f, ES256, "k")
	f.Add(jwkSet(f, key.jwk))
	f.Add(jwkSet(f, key.with(map[string]any{"d": "x"}), map[string]any{"kty": "oct", "k": "AAAA"}))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","x5u":"http://127.0.0.1:1/"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, _, err := readKeySet(text, PublicKeyAlgorithms())
		if err != nil {
			return
		}
		for _, key := range set {
			if !fits(key.algorithm, key.public) {
				t.Errorf("a %T for %s", key.public, key.algorithm)
			}
		}
	})
}
