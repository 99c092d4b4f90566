package token

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// What golang-jwt v5.3.1 lets pass, measured.
func TestAttackRequiredClaims(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	for _, name := range []string{"exp", "iat", "sub", "aud", "jti", "client_id"} {
		for kind, value := range map[string]string{
			"missing": "", "null": "null", "boolean": "true", "object": "{}", "list in a list": `[["x"]]`,
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{name: value}))
				_, err := verify(t, verifier, raw)
				wantRefusal(t, err, authz.TokenInvalidClaims)
			})
		}
	}
	for name, changes := range map[string]map[string]string{
		"sub is empty":                 {"sub": `""`},
		"sub is a number":              {"sub": "1"},
		"jti is empty":                 {"jti": `""`},
		"client_id is empty":           {"client_id": `""`},
		"nbf is null":                  {"nbf": "null"},
		"nbf is a string":              {"nbf": `"1795455060"`},
		"scope is a list":              {"scope": `["items:read"]`},
		"preferred_username is a list": {"preferred_username": `["carol"]`},
		"roles is a string":            {"roles": `"admin"`},
		"roles has a list":             {"roles": `[["admin"]]`},
	} {
		t.Run(name, func(t *testing.T) {
			raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(changes))
			_, err := verify(t, verifier, raw)
			wantRefusal(t, err, authz.TokenInvalidClaims)
		})
	}
	t.Run("nbf is optional", func(t *testing.T) {
		raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{"nbf": ""}))
		if _, err := verify(t, verifier, raw); err != nil {
			t.Error(err)
		}
	})
}

func TestAttackAudience(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	const us = `"` + testAudience + `"`
	for name, test := range map[string]struct {
		aud  string
		want authz.TokenError
	}{
		"string":                     {us, ""},
		"list":                       {`[` + us + `]`, ""},
		"list with others":           {`["https://other.example",` + us + `]`, ""},
		"another string":             {`"https://other.example"`, authz.TokenWrongAudience},
		"others in a list":           {`["https://other.example","https://third.example"]`, authz.TokenWrongAudience},
		"empty list":                 {`[]`, authz.TokenWrongAudience},
		"empty string":               {`""`, authz.TokenWrongAudience},
		"prefix":                     {`"https://api.example.co"`, authz.TokenWrongAudience},
		"longer":                     {`"https://api.example.com/"`, authz.TokenWrongAudience},
		"other case":                 {`"HTTPS://API.EXAMPLE.COM"`, authz.TokenWrongAudience},
		"several in one string":      {`"https://api.example.com https://other.example"`, authz.TokenWrongAudience},
		"nested list":                {`[[` + us + `]]`, authz.TokenInvalidClaims},
		"list with a nested list":    {`[` + us + `,[` + us + `]]`, authz.TokenInvalidClaims},
		"list with a number":         {`[` + us + `,1]`, authz.TokenInvalidClaims},
		"list with null":             {`[` + us + `,null]`, authz.TokenInvalidClaims},
		"object":                     {`{"aud":` + us + `}`, authz.TokenInvalidClaims},
		"number":                     {`1`, authz.TokenInvalidClaims},
		"a thousand others, then us": {`["x",` + strings.Repeat(`"y",`, 999) + us + `]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{"aud": test.aud}))
			_, err := verify(t, verifier, raw)
			switch {
			case test.want != "":
				wantRefusal(t, err, test.want)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func TestAttackNumericDates(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	tests := map[string]struct {
		value string
		want  map[string]authz.TokenError // by claim
	}{
		"float":             {"1795455061.5", map[string]authz.TokenError{"exp": "", "iat": authz.TokenNotYetValid, "nbf": authz.TokenNotYetValid}},
		"float in the past": {"1795455059.5", map[string]authz.TokenError{"exp": authz.TokenExpired, "iat": "", "nbf": ""}},
		"exponent":          {"1.795455061e9", map[string]authz.TokenError{"exp": "", "iat": authz.TokenNotYetValid, "nbf": authz.TokenNotYetValid}},
		"zero":              {"0", map[string]authz.TokenError{"exp": authz.TokenExpired, "iat": "", "nbf": ""}},
		"last of 9999":      {"253402300799", map[string]authz.TokenError{"exp": "", "iat": authz.TokenNotYetValid, "nbf": authz.TokenNotYetValid}},
	}
	for name, value := range map[string]string{
		"string": `"1795456860"`, "1e300": "1e300", "negative": "-1", "negative zero": "-0", "negative float": "-1795456860.5",
		"list": "[1795456860]", "boolean": "true", "after 9999": "253402300800", "2^63": "9223372036854775808",
		"2^64": "18446744073709551616", "in milliseconds": "1795456860000", "as a date": `"2026-11-23T18:01:00Z"`,
	} {
		tests[name] = struct {
			value string
			want  map[string]authz.TokenError
		}{value, map[string]authz.TokenError{"exp": authz.TokenInvalidClaims, "iat": authz.TokenInvalidClaims, "nbf": authz.TokenInvalidClaims}}
	}
	for name, value := range map[string]string{
		"1e400": "1e400", "1e999999999": "1e999999999", "-1e400": "-1e400", "hexadecimal": "0x6b0422dc", "leading zero": "01795456860",
		"plus": "+1795456860", "NaN": "NaN", "Infinity": "Infinity", "underscore": "1_795_456_860", "no digits after the point": "1795456860.",
	} {
		tests[name] = struct {
			value string
			want  map[string]authz.TokenError
		}{value, map[string]authz.TokenError{"exp": authz.TokenMalformed, "iat": authz.TokenMalformed, "nbf": authz.TokenMalformed}}
	}
	for name, test := range tests {
		for claim, want := range test.want {
			t.Run(claim+"/"+name, func(t *testing.T) {
				raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{claim: test.value}))
				_, err := verify(t, verifier, raw)
				switch {
				case want != "":
					wantRefusal(t, err, want)
				case err != nil:
					t.Error(err)
				}
			})
		}
	}
}

func TestAttackClockSkewEitherSideOfTheLeeway(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	const nbf, exp = 1795455060, 1795456860
	// Only nbf, then only iat, lies late; the other one is long past.
	early := claimsWith(map[string]string{"iat": "1795450000"})
	late := claimsWith(map[string]string{"nbf": "1795450000"})
	fraction := claimsWith(map[string]string{"iat": "1795450000", "nbf": "1795450000", "exp": "1795456860.5"})
	for name, leeway := range map[string]time.Duration{
		"default leeway": 0, "leeway of 5 s": 5 * time.Second, "leeway of 1.5 s": 1500 * time.Millisecond, "negative leeway": -time.Hour,
	} {
		effective := max(leeway, 0)
		now := newClock()
		verifier := NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Leeway: leeway, Now: now.Now})
		for edge, test := range map[string]struct {
			claims string
			now    time.Time
			want   authz.TokenError
		}{
			"exp, just before":         {goodClaims, time.Unix(exp, -1).Add(effective), ""},
			"exp, exactly":             {goodClaims, time.Unix(exp, 0).Add(effective), authz.TokenExpired},
			"exp, just after":          {goodClaims, time.Unix(exp, 1).Add(effective), authz.TokenExpired},
			"float exp, just before":   {fraction, time.Unix(exp, 5e8-1).Add(effective), ""},
			"float exp, exactly":       {fraction, time.Unix(exp, 5e8).Add(effective), authz.TokenExpired},
			"nbf, just before":         {early, time.Unix(nbf, -1).Add(-effective), authz.TokenNotYetValid},
			"nbf, exactly":             {early, time.Unix(nbf, 0).Add(-effective), ""},
			"iat, just before":         {late, time.Unix(nbf, -1).Add(-effective), authz.TokenNotYetValid},
			"iat, exactly":             {late, time.Unix(nbf, 0).Add(-effective), ""},
			"iat, a day in the future": {late, time.Unix(nbf, 0).Add(-24 * time.Hour), authz.TokenNotYetValid},
		} {
			t.Run(name+"/"+edge, func(t *testing.T) {
				now.Set(test.now)
				_, err := verify(t, verifier, forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), test.claims))
				switch {
				case test.want != "":
					wantRefusal(t, err, test.want)
				case err != nil:
					t.Error(err)
				}
			})
		}
	}
}

// A claim named __proto__, a number past 2^53 and the like are decided by policy;
// too many roles are refused.
func TestAttackOddClaims(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	verifier := newTestVerifier(keys)
	for name, test := range map[string]struct {
		claim, value string
		want         authz.TokenError
	}{
		"__proto__":            {"__proto__", `{"admin":true}`, ""},
		"a number past 2^53":   {"n", "9007199254740993", ""},
		"an empty name":        {"", "1", ""},
		"16 levels":            {"x", strings.Repeat("[", 15) + strings.Repeat("]", 15), ""},
		"17 levels":            {"x", strings.Repeat("[", 16) + strings.Repeat("]", 16), authz.TokenMalformed},
		"10,000 roles":         {"roles", `["a"` + strings.Repeat(`,"a"`, 9_999) + `]`, authz.TokenMalformed},
		"a lone surrogate":     {"x", `"\ud800"`, authz.TokenMalformed},
		"a reversed pair":      {"x", `"\udc00\ud800"`, authz.TokenMalformed},
		"a surrogate pair":     {"x", `"\ud83d\ude00"`, ""},
		"invalid UTF-8":        {"x", "\"\xff\"", authz.TokenMalformed},
		"an overlong slash":    {"x", "\"\xc0\xaf\"", authz.TokenMalformed},
		"an encoded surrogate": {"x", "\"\xed\xa0\x80\"", authz.TokenMalformed},
		"a raw line feed":      {"x", "\"a\nb\"", authz.TokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			raw := forge(t, EdDSA, keys.signing().private, goodHeader(keys.signing()), claimsWith(map[string]string{test.claim: test.value}))
			verified, err := verify(t, verifier, raw)
			if test.want != "" {
				wantRefusal(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if name == "a number past 2^53" && verified.Claims.Values["n"] != json.Number(test.value) {
				t.Errorf("got %v, want every digit", verified.Claims.Values["n"])
			}
		})
	}
}
