package token

import (
	"errors"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestAttackDuplicateMembers(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	header := goodHeader(keys.signing())
	for name, token := range map[string]struct{ header, claims string }{
		"sub":                         {header, claimsWith(map[string]string{"sub": `"01JDALICE","sub":"01JDCAROL"`})},
		"sub, spelt with an escape":   {header, claimsWith(map[string]string{"sub": `"01JDALICE","s\u0075b":"01JDCAROL"`})},
		"exp":                         {header, claimsWith(map[string]string{"exp": `1795456860,"exp":9999999999`})},
		"the same value twice":        {header, claimsWith(map[string]string{"jti": `"01JDTOKEN","jti":"01JDTOKEN"`})},
		"deeper in":                   {header, claimsWith(map[string]string{"x": `{"y":[{"z":1,"z":2}]}`})},
		"after a hundred other names": {header, claimsWith(map[string]string{"x": manyMembers(100, `"m7":0`)})},
		"alg":                         {strings.Replace(header, "{", `{"alg":"none",`, 1), goodClaims},
		"kid":                         {strings.Replace(header, "{", `{"kid":"x",`, 1), goodClaims},
		"typ":                         {strings.Replace(header, "{", `{"typ":"JWT",`, 1), goodClaims},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify(t, verifier, forge(t, EdDSA, keys.signing().private, token.header, token.claims))
			wantRefusal(t, err, authz.TokenMalformed)
		})
	}
}

// golang-jwt's RegisteredClaims lets SUB override sub.
func TestAttackMembersThatDifferInCase(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	claims := strings.TrimSuffix(goodClaims, "}") +
		`,"SUB":"01JDALICE","Iss":"https://evil.example","EXP":1,"Jti":"x","Aud":"y","Client_ID":"z"}`
	header := strings.TrimSuffix(goodHeader(keys.signing()), "}") + `,"ALG":"none","Kid":"x","TYP":"JWT"}`
	verified, err := verify(t, newTestVerifier(keys), forge(t, EdDSA, keys.signing().private, header, claims))
	if err != nil {
		t.Fatal(err)
	}
	if verified.Subject != "01JDCAROL" || verified.Issuer != testIssuer || verified.ID != "01JDTOKEN" || verified.Expiry.Unix() != 1795456860 {
		t.Errorf("got %+v", verified)
	}
}

func TestAttackMalleableEncoding(t *testing.T) {
	for _, algorithm := range Algorithms() {
		keys := openKeyring(t, &memoryStore{}, algorithm)
		verifier := newTestVerifier(keys)
		raw := mint(t, keys, nil)
		parts := strings.Split(raw, ".")
		for i, part := range []string{"header", "claims", "signature"} {
			for name, change := range map[string]func(string) string{
				"padding":           func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4+4*((4-len(s)%4)/4)) },
				"line feed":         func(s string) string { return s[:4] + "\n" + s[4:] },
				"carriage return":   func(s string) string { return s + "\r" },
				"space":             func(s string) string { return " " + s },
				"standard alphabet": func(s string) string { return s[:4] + "+/" + s[6:] },
				"percent":           func(s string) string { return s + "%3D" },
				"one letter more":   func(s string) string { return s + strings.Repeat("A", (5-len(s)%4)%4) },
			} {
				t.Run(algorithm+"/"+part+"/"+name, func(t *testing.T) {
					changed := strings.Split(raw, ".")
					changed[i] = change(changed[i])
					if changed[i] == parts[i] {
						changed[i] += "A" // a length that no base64 text has
					}
					_, err := verify(t, verifier, strings.Join(changed, "."))
					wantRefusal(t, err, authz.TokenMalformed)
				})
			}
		}
	}
}

// The last letter of a 64-byte signature carries four bits that decode to nothing.
func TestAttackMalleableSignatureBits(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	raw := mint(t, keys, nil)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	accepted := 0
	for i := range len(alphabet) {
		changed := raw[:len(raw)-1] + alphabet[i:i+1]
		if _, err := verify(t, verifier, changed); err == nil {
			accepted++
		} else if code := authz.TokenError(""); !errors.As(err, &code) {
			t.Errorf("got %v, want a token error", err)
		}
	}
	if accepted != 1 {
		t.Errorf("%d spellings of the last letter verify, want 1", accepted)
	}
}

func TestAttackOversizeIsRefusedCheaply(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	tests := map[string]string{
		"header of 64 kB":     strings.Repeat("A", 64<<10) + "." + encode(goodClaims) + ".AAAA",
		"token of 1 MB":       encode(goodHeader(keys.signing())) + "." + strings.Repeat("A", 1<<20) + ".AAAA",
		"signature of 1 MB":   encode(goodHeader(keys.signing())) + "." + encode(goodClaims) + "." + strings.Repeat("A", 1<<20),
		"100,000 dots":        strings.Repeat(".", 100_000),
		"8,000 dots":          strings.Repeat(".", 8_000),
		"one byte too long":   strings.Repeat("A", MaxSize+1),
		"empty":               "",
		"no dot":              "AAAA",
		"one dot":             "AAAA.AAAA",
		"three dots":          "AAAA.AAAA.AAAA.AAAA",
		"five parts of a JWE": "AAAA.AAAA.AAAA.AAAA.AAAA",
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := verify(t, verifier, raw)
			wantRefusal(t, err, authz.TokenMalformed)
			// One allocation is the refusal itself.
			if n := testing.AllocsPerRun(10, func() { _, _ = verifier.Verify(t.Context(), raw) }); n > 2 {
				t.Errorf("%v allocations, want at most 2", n)
			}
		})
	}
	t.Run("8 KiB of nesting", func(t *testing.T) {
		claims := strings.Repeat("[", 5_000)
		_, err := verify(t, verifier, encode(goodHeader(keys.signing()))+"."+encode(`{"x":`+claims)+".AAAA")
		wantRefusal(t, err, authz.TokenMalformed)
	})
}
