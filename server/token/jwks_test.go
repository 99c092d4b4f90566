package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestThumbprint(t *testing.T) {
	decode := func(text string) []byte {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	for name, test := range map[string]struct {
		public any
		want   string
	}{
		"RFC 7638 section 3.1": {&rsa.PublicKey{E: 65537, N: new(big.Int).SetBytes(decode(
			"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W" +
				"-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08q" +
				"NLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"))},
			"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 8037 appendix A.3": {ed25519.PublicKey(decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
			"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := thumbprint(test.public)
			if err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// A reader of our JWKS, written from the RFCs.
func publicKey(t *testing.T, key map[string]string) any {
	t.Helper()
	number := func(name string) *big.Int { return new(big.Int).SetBytes(decodeString(t, key[name])) }
	switch key["kty"] {
	case "OKP":
		return ed25519.PublicKey(decodeString(t, key["x"]))
	case "EC":
		x, y := decodeString(t, key["x"]), decodeString(t, key["y"])
		if len(x) != 32 || len(y) != 32 {
			t.Errorf("coordinates of %d and %d bytes, want 32 (RFC 7518 section 6.2.1.2)", len(x), len(y))
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			t.Fatal(err)
		}
		return public
	case "RSA":
		return &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
	}
	t.Fatalf("unknown kty %q", key["kty"])
	return nil
}

func TestJWKS(t *testing.T) {
	store := &memoryStore{}
	tokens := map[string]string{} // by kid
	for _, algorithm := range Algorithms() {
		keys := openKeyring(t, store, algorithm)
		kid, _ := keys.Signing()
		tokens[kid] = mint(t, keys, nil)
	}
	keys := openKeyring(t, store, HS256)
	hmacID, _ := keys.Signing()

	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(keys.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 3 {
		t.Fatalf("got %d keys, want the 3 that are not HMAC keys: %s", len(set.Keys), keys.JWKS())
	}
	if !slices.IsSortedFunc(set.Keys, func(a, b map[string]string) int { return slices.Compare([]string{a["kid"]}, []string{b["kid"]}) }) {
		t.Errorf("not ordered by kid: %s", keys.JWKS())
	}
	members := map[string][]string{
		"OKP": {"alg", "crv", "kid", "kty", "use", "x"},
		"EC":  {"alg", "crv", "kid", "kty", "use", "x", "y"},
		"RSA": {"alg", "e", "kid", "kty", "n", "use"},
	}
	for _, key := range set.Keys {
		var got []string
		for name := range key {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, members[key["kty"]]) {
			t.Errorf("%s: got members %v", key["kty"], got)
		}
		if key["use"] != "sig" || key["kid"] == hmacID {
			t.Errorf("got %v", key)
		}
		public := publicKey(t, key)
		if kid, err := thumbprint(public); err != nil || kid != key["kid"] {
			t.Errorf("kid %q is not the thumbprint %q (%v)", key["kid"], kid, err)
		}
		_, err := jwt.Parse(tokens[key["kid"]], func(*jwt.Token) (any, error) { return public, nil },
			jwt.WithValidMethods([]string{key["alg"]}), jwt.WithTimeFunc(newClock().Now))
		if err != nil {
			t.Errorf("%s: a stranger with our JWKS refuses our token: %v", key["alg"], err)
		}
	}
	for range 20 {
		if string(openKeyring(t, store, EdDSA).JWKS()) != string(keys.JWKS()) {
			t.Fatal("the same keys are published in different ways")
		}
	}
	clear(keys.JWKS())
	if !json.Valid(keys.JWKS()) {
		t.Error("a caller can change what is published")
	}
}

func TestJWKSOfHMACAlone(t *testing.T) {
	if got := string(openKeyring(t, &memoryStore{}, HS256).JWKS()); got != `{"keys":[]}` {
		t.Errorf("got %s", got)
	}
	if _, err := newJWK([]byte("secret")); err == nil {
		t.Error("a secret was described as a public key")
	}
}

// A coordinate with a leading zero keeps it, about one key in 128 has one.
func TestJWKCoordinatesHaveFullLength(t *testing.T) {
	for range 400 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, err := newJWK(&private.PublicKey)
		if err != nil || len(key.X) != 43 || len(key.Y) != 43 {
			t.Fatalf("got %+v, %v", key, err)
		}
	}
}
