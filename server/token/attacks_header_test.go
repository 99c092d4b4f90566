package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestAttackKidIsOnlyALookup(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	tests := map[string]struct {
		kid  string // JSON text
		want authz.TokenError
	}{
		"path":             {`"../../../../dev/null"`, authz.TokenUnknownKey},
		"SQL":              {`"x' UNION SELECT 'secret' -- "`, authz.TokenUnknownKey},
		"URL":              {`"https://evil.example/jwks.json"`, authz.TokenUnknownKey},
		"command":          {`"| sleep 10"`, authz.TokenUnknownKey},
		"empty":            {`""`, authz.TokenUnknownKey},
		"4 kB":             {`"` + strings.Repeat("k", 4<<10) + `"`, authz.TokenUnknownKey},
		"10 kB":            {`"` + strings.Repeat("k", 10<<10) + `"`, authz.TokenMalformed},
		"other case":       {`"` + strings.ToUpper(keys.signing().id) + `"`, authz.TokenUnknownKey},
		"with a NUL after": {`"` + keys.signing().id + `\u0000"`, authz.TokenUnknownKey},
		"number":           {"0", authz.TokenMalformed},
		"null":             {"null", authz.TokenMalformed},
		"list":             {`["` + keys.signing().id + `"]`, authz.TokenMalformed},
		"object":           {`{"kid":"` + keys.signing().id + `"}`, authz.TokenMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := `{"alg":"EdDSA","typ":"at+jwt","kid":` + test.kid + `}`
			_, err := verify(t, verifier, forge(t, EdDSA, keys.signing().private, header, goodClaims))
			wantRefusal(t, err, test.want)
		})
	}
	t.Run("missing", func(t *testing.T) {
		raw := forge(t, EdDSA, keys.signing().private, `{"alg":"EdDSA","typ":"at+jwt"}`, goodClaims)
		_, err := verify(t, verifier, raw)
		wantRefusal(t, err, authz.TokenUnknownKey)
	})
}

func TestAttackKeysInTheHeaderAreNeverFollowed(t *testing.T) {
	var asked atomic.Int32
	attackers := openKeyring(t, &memoryStore{}, EdDSA)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(attackers.JWKS())
	}))
	defer server.Close()
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	public, err := json.Marshal(must(newJWK(attackers.signing().public)))
	if err != nil {
		t.Fatal(err)
	}
	for name, member := range map[string]string{
		"jku": `"jku":"` + server.URL + `"`,
		"x5u": `"x5u":"` + server.URL + `"`,
		"jwk": `"jwk":` + string(public),
		"x5c": `"x5c":["` + base64.StdEncoding.EncodeToString(attackers.signing().public.(ed25519.PublicKey)) + `"]`,
	} {
		t.Run(name, func(t *testing.T) {
			for kid, want := range map[string]authz.TokenError{
				keys.signing().id:      authz.TokenBadSignature,
				attackers.signing().id: authz.TokenUnknownKey,
			} {
				header := `{"alg":"EdDSA","typ":"at+jwt","kid":"` + kid + `",` + member + `}`
				_, err := verify(t, verifier, forge(t, EdDSA, attackers.signing().private, header, goodClaims))
				wantRefusal(t, err, want)
			}
			// On a token that is good without it, it changes nothing.
			header := `{"alg":"EdDSA","typ":"at+jwt","kid":"` + keys.signing().id + `",` + member + `}`
			if _, err := verify(t, verifier, forge(t, EdDSA, keys.signing().private, header, goodClaims)); err != nil {
				t.Error(err)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the header's URL was asked %d times, want 0", n)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestAttackCritAndB64(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	for name, members := range map[string]string{
		"unknown crit":         `"crit":["exp2"],"exp2":1`,
		"crit of b64":          `"crit":["b64"],"b64":false`,
		"crit of known member": `"crit":["alg"]`,
		"empty crit":           `"crit":[]`,
		"crit is null":         `"crit":null`,
		"crit is a string":     `"crit":"exp"`,
		"b64 false":            `"b64":false`,
		"b64 true":             `"b64":true`,
		"b64 null":             `"b64":null`,
		"crit, escaped":        `"cr\u0069t":["exp2"]`,
	} {
		t.Run(name, func(t *testing.T) {
			header := `{"alg":"EdDSA","typ":"at+jwt","kid":"` + keys.signing().id + `",` + members + `}`
			_, err := verify(t, verifier, forge(t, EdDSA, keys.signing().private, header, goodClaims))
			wantRefusal(t, err, authz.TokenUnsupported)
		})
	}
}

func TestAttackTypOtherThanAccessToken(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	tests := map[string]struct {
		typ string // JSON text; empty: none
		ok  bool
	}{
		"at+jwt":                       {`"at+jwt"`, true},
		"AT+JWT":                       {`"AT+JWT"`, true},
		"application/at+jwt":           {`"application/at+jwt"`, true},
		"Application/At+Jwt":           {`"Application/At+Jwt"`, true},
		"none":                         {"", false},
		"an id token":                  {`"JWT"`, false},
		"a refresh token":              {`"rt+jwt"`, false},
		"a client assertion":           {`"client-authentication+jwt"`, false},
		"a DPoP proof":                 {`"dpop+jwt"`, false},
		"a logout token":               {`"logout+jwt"`, false},
		"an introspection answer":      {`"token-introspection+jwt"`, false},
		"empty":                        {`""`, false},
		"null":                         {"null", false},
		"list":                         {`["at+jwt"]`, false},
		"space after":                  {`"at+jwt "`, false},
		"parameter after":              {`"at+jwt;v=1"`, false},
		"another application type":     {`"application/jwt"`, false},
		"folded by Unicode (dotted I)": {`"appl\u0130cation/at+jwt"`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := `{"alg":"EdDSA","kid":"` + keys.signing().id + `"`
			if test.typ != "" {
				header += `,"typ":` + test.typ
			}
			_, err := verify(t, verifier, forge(t, EdDSA, keys.signing().private, header+"}", goodClaims))
			switch {
			case !test.ok:
				wantRefusal(t, err, authz.TokenWrongType)
			case err != nil:
				t.Error(err)
			}
		})
	}
}
