package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

// hs256 signs with any bytes, as an attacker would.
func hs256(header, claims string, secret []byte) string {
	unsigned := encode(header) + "." + encode(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(unsigned))
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestAttackAlgNone(t *testing.T) {
	for _, algorithm := range Algorithms() {
		keys := openKeyring(t, &memoryStore{}, algorithm)
		verifier := newTestVerifier(keys)
		good := mint(t, keys, nil)
		signature := good[strings.LastIndex(good, ".")+1:]
		for _, none := range []string{"none", "None", "nOnE", "NONE", " none", "none\u0000", ""} {
			for name, tail := range map[string]string{"no signature": "", "a signature": signature} {
				t.Run(algorithm+"/"+none+"/"+name, func(t *testing.T) {
					alg, err := json.Marshal(none)
					if err != nil {
						t.Fatal(err)
					}
					header := `{"alg":` + string(alg) + `,"typ":"at+jwt","kid":"` + keys.signing().id + `"}`
					_, err = verify(t, verifier, encode(header)+"."+encode(goodClaims)+"."+tail)
					wantRefusal(t, err, authz.TokenUnsupported)
				})
			}
		}
		for name, alg := range map[string]string{
			"null": "null", "number": "0", "list": `["EdDSA"]`, "object": `{"alg":"EdDSA"}`, "boolean": "false",
		} {
			t.Run(algorithm+"/alg is not a string/"+name, func(t *testing.T) {
				header := `{"alg":` + alg + `,"typ":"at+jwt","kid":"` + keys.signing().id + `"}`
				_, err := verify(t, verifier, encode(header)+"."+encode(goodClaims)+"."+signature)
				wantRefusal(t, err, authz.TokenMalformed)
			})
		}
	}
}

func TestAttackAlgorithmConfusion(t *testing.T) {
	for _, algorithm := range []string{EdDSA, ES256, RS256} {
		store := &memoryStore{}
		keys := openKeyring(t, store, algorithm)
		key := keys.signing()
		der, err := x509.MarshalPKIXPublicKey(key.public)
		if err != nil {
			t.Fatal(err)
		}
		armoured := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		published, err := newJWK(key.public)
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string][]byte{
			"PEM": armoured, "PEM without its line end": armoured[:len(armoured)-1], "DER": der,
			"JWK set": keys.JWKS(), "empty": {},
			"member x or n": []byte(published.X + published.N),
		}
		// With and without an HMAC key of the issuer's own in the ring.
		mixed := openKeyring(t, store, HS256)
		for ring, ringKeys := range map[string]*Keyring{"alone": keys, "beside an HMAC key": mixed} {
			for name, secret := range secrets {
				t.Run(algorithm+"/"+ring+"/"+name, func(t *testing.T) {
					header := `{"alg":"HS256","typ":"at+jwt","kid":"` + key.id + `"}`
					_, err := verify(t, newTestVerifier(ringKeys), hs256(header, goodClaims, secret))
					wantRefusal(t, err, authz.TokenUnknownKey)
				})
			}
		}
		t.Run(algorithm+"/as the HMAC key's kid", func(t *testing.T) {
			header := `{"alg":"HS256","typ":"at+jwt","kid":"` + mixed.signing().id + `"}`
			_, err := verify(t, newTestVerifier(mixed), hs256(header, goodClaims, armoured))
			wantRefusal(t, err, authz.TokenBadSignature)
		})
	}
}

func TestAttackKeyUsedWithAnotherAlgorithm(t *testing.T) {
	store := &memoryStore{}
	rings := map[string]*Keyring{}
	for _, algorithm := range Algorithms() {
		rings[algorithm] = openKeyring(t, store, algorithm)
	}
	keys := openKeyring(t, store, EdDSA) // has all four
	verifier := newTestVerifier(keys)
	for _, signer := range Algorithms() {
		for _, claimed := range Algorithms() {
			for _, named := range Algorithms() {
				t.Run(signer+" signs, alg "+claimed+", kid of "+named, func(t *testing.T) {
					header := `{"alg":"` + claimed + `","typ":"at+jwt","kid":"` + rings[named].signing().id + `"}`
					raw := forge(t, signer, rings[signer].signing().private, header, goodClaims)
					_, err := verify(t, verifier, raw)
					switch {
					case claimed != named:
						wantRefusal(t, err, authz.TokenUnknownKey)
					case signer != claimed:
						wantRefusal(t, err, authz.TokenBadSignature)
					case err != nil:
						t.Fatal(err)
					}
				})
			}
		}
	}
	rsaKey := rings[RS256].signing()
	for _, alg := range []string{"RS384", "RS512", "PS256", "ES384", "HS384", "HS512", "Ed25519", "ed25519", "eddsa", "RSA-OAEP", "dir"} {
		t.Run("alg "+alg, func(t *testing.T) {
			header := `{"alg":"` + alg + `","typ":"at+jwt","kid":"` + rsaKey.id + `"}`
			_, err := verify(t, verifier, forge(t, RS256, rsaKey.private, header, goodClaims))
			wantRefusal(t, err, authz.TokenUnsupported)
		})
	}
}

// An external issuer is a second set of rules with its own keys.
func TestAttackKeyOfOneIssuerSpeaksForAnother(t *testing.T) {
	ours := openKeyring(t, &memoryStore{}, EdDSA)
	theirs := openKeyring(t, &memoryStore{}, EdDSA)
	const theirIssuer = "https://login.example.net"
	verifier := newTestVerifier(ours)
	external := *verifier.issuers[testIssuer]
	external.keys, external.required = theirs, []string{"iss", "sub", "exp"}
	verifier.issuers[theirIssuer] = &external
	theirClaims := claimsWith(map[string]string{"iss": `"` + theirIssuer + `"`, "jti": "", "client_id": ""})

	tests := map[string]struct {
		key    *signingKey
		kid    string
		claims string
		want   authz.TokenError
	}{
		"ours":                              {ours.signing(), ours.signing().id, goodClaims, ""},
		"theirs":                            {theirs.signing(), theirs.signing().id, theirClaims, ""},
		"their token signed with our key":   {ours.signing(), ours.signing().id, theirClaims, authz.TokenUnknownKey},
		"and with their kid":                {ours.signing(), theirs.signing().id, theirClaims, authz.TokenBadSignature},
		"our token signed with their key":   {theirs.signing(), theirs.signing().id, goodClaims, authz.TokenUnknownKey},
		"and with our kid":                  {theirs.signing(), ours.signing().id, goodClaims, authz.TokenBadSignature},
		"their shape from our issuer":       {ours.signing(), ours.signing().id, claimsWith(map[string]string{"jti": ""}), authz.TokenInvalidClaims},
		"an issuer that nobody trusts":      {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": `"https://evil.example"`}), authz.TokenWrongIssuer},
		"our issuer with a slash":           {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": `"` + testIssuer + `/"`}), authz.TokenWrongIssuer},
		"our issuer in upper case":          {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": `"HTTPS://auth.example.com"`}), authz.TokenWrongIssuer},
		"an empty issuer":                   {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": `""`}), authz.TokenWrongIssuer},
		"no issuer":                         {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": ""}), authz.TokenInvalidClaims},
		"an issuer that is a list":          {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": `["` + testIssuer + `"]`}), authz.TokenInvalidClaims},
		"iss only deeper in":                {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": "", "x": `{"iss":"` + testIssuer + `"}`}), authz.TokenInvalidClaims},
		"our issuer, spelt with an escape ": {ours.signing(), ours.signing().id, claimsWith(map[string]string{"iss": `"\u0068ttps:\/\/auth.example.com"`}), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := `{"alg":"EdDSA","typ":"at+jwt","kid":"` + test.kid + `"}`
			verified, err := verify(t, verifier, forge(t, EdDSA, test.key.private, header, test.claims))
			if test.want != "" {
				wantRefusal(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if verified.KeyID != test.kid {
				t.Errorf("got key %q, want %q", verified.KeyID, test.kid)
			}
		})
	}
}

func TestAttackRemovedKeyStopsVerifying(t *testing.T) {
	store := &memoryStore{}
	old := openKeyring(t, store, EdDSA)
	raw := mint(t, old, nil)
	keys := openKeyring(t, store, ES256)
	verifier := newTestVerifier(keys)
	if _, err := verify(t, verifier, raw); err != nil {
		t.Fatalf("a key of another algorithm than the signing one must go on verifying: %v", err)
	}
	delete(store.keys, old.signing().id)
	if err := keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := verify(t, verifier, raw)
	wantRefusal(t, err, authz.TokenUnknownKey)
	if strings.Contains(string(keys.JWKS()), old.signing().id) {
		t.Error("the removed key is still published")
	}
}

func TestSignatureIsChecked(t *testing.T) {
	for _, algorithm := range Algorithms() {
		keys := openKeyring(t, &memoryStore{}, algorithm)
		other := openKeyring(t, &memoryStore{}, algorithm)
		verifier := newTestVerifier(keys)
		raw := mint(t, keys, nil)
		parts := strings.Split(raw, ".")
		forged := strings.Split(forge(t, algorithm, other.signing().private, goodHeader(keys.signing()), goodClaims), ".")
		longer := strings.Split(mint(t, keys, map[string]any{"x": true}), ".")
		for name, changed := range map[string]string{
			"another key":             strings.Join(forged, "."),
			"claims of another token": parts[0] + "." + longer[1] + "." + parts[2],
			"no signature":            parts[0] + "." + parts[1] + ".",
			"a short signature":       parts[0] + "." + parts[1] + ".AAAA",
			"a zero signature":        parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, len(decodeString(t, parts[2])))),
		} {
			t.Run(algorithm+"/"+name, func(t *testing.T) {
				_, err := verify(t, verifier, changed)
				wantRefusal(t, err, authz.TokenBadSignature)
			})
		}
	}
	t.Run("ES256 as DER", func(t *testing.T) {
		keys := openKeyring(t, &memoryStore{}, ES256)
		raw := mint(t, keys, nil)
		unsigned := raw[:strings.LastIndex(raw, ".")]
		sum := sha256.Sum256([]byte(unsigned))
		der, err := ecdsa.SignASN1(rand.Reader, keys.signing().private.(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		_, err = verify(t, newTestVerifier(keys), unsigned+"."+base64.RawURLEncoding.EncodeToString(der))
		wantRefusal(t, err, authz.TokenBadSignature)
	})
}

func decodeString(t *testing.T, segment string) []byte {
	t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// ECDSA signatures have a second form that verifies too, so the token's bytes do
// not identify it: jti does.
func TestAttackSecondSignatureHasTheSameID(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, ES256)
	verifier := newTestVerifier(keys)
	raw := mint(t, keys, nil)
	cut := strings.LastIndex(raw, ".") + 1
	signature, err := base64.RawURLEncoding.DecodeString(raw[cut:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := raw[:cut] + base64.RawURLEncoding.EncodeToString(signature)
	first, err := verify(t, verifier, raw)
	if err != nil {
		t.Fatal(err)
	}
	second, err := verify(t, verifier, twin)
	if err != nil {
		return // refused: just as good
	}
	if twin == raw || first.ID != second.ID {
		t.Errorf("ids %q and %q, want the same of two different tokens", first.ID, second.ID)
	}
}
