package token

import (
	"strings"
	"time"
	"unicode"

	"github.com/stagedoor/stagedoor/server/authz"
)

// plantNeighbours makes the verifier remember, as good, tokens that differ from
// raw by little. Whoever is taken for one of them becomes the subject returned.
// It is nil where the verifier has no keys to remember a token by.
func plantNeighbours(v *Verifier, raw string) *Verified {
	for _, own := range v.issuers {
		keys, ours := own.keys.(*Keyring)
		if !ours {
			continue
		}
		planted := &Verified{Issuer: testIssuer, Subject: "planted", ID: "planted", Claims: &authz.Claims{}}
		for _, neighbour := range neighbours(raw) {
			v.remember(neighbour, &remembered{
				verified: planted, key: keys.signing().verificationKey, rules: own,
				lifetime: lifetime{until: time.Unix(maxNumericDate, 0)},
			})
		}
		return planted
	}
	return nil
}

// neighbours are texts that differ from raw in its case, its padding, its white
// space, its parts, or one bit.
func neighbours(raw string) []string {
	if raw == "" || len(raw) > MaxSize {
		return []string{"x"}
	}
	first, last := strings.Index(raw, "."), strings.LastIndex(raw, ".")
	candidates := []string{
		raw + "=", raw + "==", raw + " ", raw + "\n", raw + "\x00", raw + ".", " " + raw, "Bearer " + raw, raw + "A",
		raw[1:], raw[:len(raw)-1], raw[:last+1], raw[first+1:],
		strings.ToLower(raw), strings.ToUpper(raw), strings.Map(swapCase, raw),
		flip(raw, 0), flip(raw, len(raw)/2), flip(raw, len(raw)-1),
	}
	var others []string
	for _, candidate := range candidates {
		if candidate != raw {
			others = append(others, candidate)
		}
	}
	return others
}

func swapCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

// flip changes the lowest bit of the byte at that place.
func flip(raw string, at int) string {
	changed := []byte(raw)
	changed[at] ^= 1
	return string(changed)
}
