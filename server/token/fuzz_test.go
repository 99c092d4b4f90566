package token

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// FuzzScanObject: what the strict reader accepts, encoding/json decodes the same.
func FuzzScanObject(f *testing.F) {
	for _, seed := range []string{
		goodClaims, `{}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":"\ud83d\ude00","b":"\ud83d"}`, `{"a":[[[{"b":null}]]]}`,
		`{"n":[1e308,1e309,-0,0.1,9007199254740993]}`, "{\"a\":\"\xff\"}", `{} {}`, `{"a":tru}`, manyMembers(20, `"m3":1`),
		strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17), `{"alg":"EdDSA","typ":"at+jwt","kid":"x","crit":["b64"],"b64":false}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := checkAgainstStandardLibrary(data); err != nil {
			t.Error(err)
		}
	})
}

// FuzzVerify: nothing panics, every refusal has a code, and no token is accepted
// but those that were signed, byte for byte. The key is fixed and Ed25519 is
// deterministic, so the corpus keeps its meaning.
func FuzzVerify(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		f.Fatal(err)
	}
	kid, err := thumbprint(private.Public())
	if err != nil {
		f.Fatal(err)
	}
	store := &memoryStore{}
	store.put(Key{ID: kid, Algorithm: EdDSA, Secret: der, CreatedAt: testNow})
	store.put(Key{ID: "hmac", Algorithm: HS256, Secret: make([]byte, 32), CreatedAt: testNow})
	keys := openKeyring(f, store, EdDSA)
	verifier := newTestVerifier(keys)
	key := keys.signing()

	signed := map[string]bool{}
	sign := func(header, claims string) {
		raw := forge(f, EdDSA, private, header, claims)
		signed[raw] = true
		f.Add(raw)
	}
	sign(goodHeader(key), goodClaims)
	sign(goodHeader(key), claimsWith(map[string]string{"aud": `["x","` + testAudience + `"]`, "nbf": "", "exp": "1795456860.5", "roles": `["client"]`}))
	sign(`{"alg":"EdDSA","typ":"application/AT+JWT","kid":"`+kid+`","jku":"https://evil.example"}`, " "+goodClaims+"\n")
	for _, header := range []string{
		`{"alg":"none","typ":"at+jwt","kid":"` + kid + `"}`,
		`{"alg":"EdDSA","typ":"JWT","kid":"` + kid + `"}`,
		`{"alg":"EdDSA","typ":"at+jwt","kid":"` + kid + `","crit":["b64"],"b64":false}`,
		`{"alg":"EdDSA","alg":"HS256","typ":"at+jwt","kid":"hmac"}`,
	} {
		sign(header, goodClaims)
	}
	for name, value := range map[string]string{"sub": `"a","sub":"b"`, "exp": "1e300", "iat": "-1", "aud": "[]", "iss": `"x"`, "jti": ""} {
		sign(goodHeader(key), claimsWith(map[string]string{name: value}))
	}
	hmacSigned := hs256(`{"alg":"HS256","typ":"at+jwt","kid":"hmac"}`, goodClaims, make([]byte, 32))
	signed[hmacSigned] = true
	f.Add(hmacSigned)
	f.Add(hs256(`{"alg":"HS256","typ":"at+jwt","kid":"`+kid+`"}`, goodClaims, key.public.(ed25519.PublicKey)))
	for _, raw := range []string{"", ".", "..", "...", "e30.e30.", "e30.e30.\n", "e31.e30.AA", "e30=.e30=.AA=="} {
		f.Add(raw)
	}

	f.Fuzz(func(t *testing.T, raw string) {
		verified, err := verify(t, verifier, raw)
		header, claims, inspectErr := Inspect(raw)
		if err != nil {
			var code authz.TokenError
			if !errors.As(err, &code) || code.InvalidRequest() {
				t.Fatalf("refused with %v, want a code that blames the token", err)
			}
			if verified != nil {
				t.Fatal("a token was refused and returned")
			}
			if inspectErr == nil && code == authz.TokenMalformed {
				// Well-formed in itself: then a header member has the wrong type.
				if _, ok := header["alg"].(string); ok {
					if _, ok := header["kid"].(string); ok {
						t.Fatalf("Inspect reads it, Verify does not: %v", err)
					}
				}
			}
			return
		}
		if !signed[raw] {
			t.Fatalf("a token that nobody signed is accepted: %q", raw)
		}
		if inspectErr != nil || !reflect.DeepEqual(claims, verified.Claims.Values) {
			t.Fatalf("Inspect shows %v (%v), Verify saw %v", claims, inspectErr, verified.Claims.Values)
		}
		if header["alg"] == "none" || header["crit"] != nil {
			t.Fatalf("accepted with the header %v", header)
		}
		if verified.Subject == "" || verified.ID == "" || verified.Issuer != testIssuer || !testNow.Before(verified.Expiry) {
			t.Fatalf("accepted: %+v", verified)
		}
	})
}

// FuzzNumericDate: a date is refused or lies between 1970 and 9999, and whole
// seconds are exact.
func FuzzNumericDate(f *testing.F) {
	for _, seed := range []string{"0", "-1", "1795456860", "1795456860.25", "1.795456860e9", "1e300", "253402300799", "253402300800", "1e-300"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if scanObject([]byte(`{"a":`+text+`}`), nil) != nil {
			return
		}
		moment, ok := numericDate(json.Number(text))
		if !ok {
			return
		}
		if moment.Before(time.Unix(0, 0)) || moment.Unix() > maxNumericDate {
			t.Fatalf("%s became %v", text, moment)
		}
		if seconds, err := json.Number(text).Int64(); err == nil && !moment.Equal(time.Unix(seconds, 0)) {
			t.Fatalf("%s became %v", text, moment)
		}
	})
}
