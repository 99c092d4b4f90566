package token

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

func TestMintedToken(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			keys := openKeyring(t, &memoryStore{}, algorithm)
			raw, jti, exp, err := keys.Mint(testRegistered(), map[string]any{"tenant": "acme", "level": 3})
			if err != nil {
				t.Fatal(err)
			}
			header, claims, err := Inspect(raw)
			if err != nil {
				t.Fatal(err)
			}
			kid, _ := keys.Signing()
			wantJSON(t, "header", header, `{"alg":"`+algorithm+`","kid":"`+kid+`","typ":"at+jwt"}`)
			wantJSON(t, "claims", claims, `{"aud":"https://api.example.com","client_id":"first-party","exp":1795456860,"iat":1795455060,`+
				`"iss":"https://auth.example.com","jti":"`+jti+`","level":3,"nbf":1795455060,"preferred_username":"carol",`+
				`"roles":["client"],"scope":"items:read items:write","sub":"01JDCAROL","tenant":"acme"}`)
			if want := time.Date(2026, 11, 23, 18, 1, 0, 0, time.UTC); !exp.Equal(want) {
				t.Errorf("got expiry %v, want %v", exp, want)
			}
			if id, err := ulid.ParseStrict(jti); err != nil || !id.Timestamp().Equal(testNow) {
				t.Errorf("got jti %q, want a ULID of now", jti)
			}
			other, _, _, err := keys.Mint(testRegistered(), nil)
			if err != nil || other == raw {
				t.Errorf("got %v, or two tokens alike", err)
			}
		})
	}
}

func wantJSON(t *testing.T, what string, got any, want string) {
	t.Helper()
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(encoded) != want {
		t.Errorf("%s:\n got %s\nwant %s", what, encoded, want)
	}
}

func TestMintShapes(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	for name, test := range map[string]struct {
		change func(*Registered)
		claim  string
		want   string // JSON text; empty: no such claim
	}{
		"one audience":         {func(*Registered) {}, "aud", `"https://api.example.com"`},
		"several audiences":    {func(r *Registered) { r.Audience = []string{testAudience, "b"} }, "aud", `["https://api.example.com","b"]`},
		"no scope":             {func(r *Registered) { r.Scope = nil }, "scope", ""},
		"one scope":            {func(r *Registered) { r.Scope = []string{"a"} }, "scope", `"a"`},
		"no roles":             {func(r *Registered) { r.Roles = nil }, "roles", ""},
		"no name":              {func(r *Registered) { r.PreferredUsername = "" }, "preferred_username", ""},
		"part of a second":     {func(r *Registered) { r.Lifetime = 90*time.Second + 999*time.Millisecond }, "exp", "1795455150"},
		"one second":           {func(r *Registered) { r.Lifetime = time.Second }, "exp", "1795455061"},
		"characters of HTML":   {func(r *Registered) { r.Subject = "<&>\u2028" }, "sub", "\"\\u003c\\u0026\\u003e\\u2028\""},
		"a name in any script": {func(r *Registered) { r.PreferredUsername = "Źdźbło 😀" }, "preferred_username", `"Źdźbło 😀"`},
	} {
		t.Run(name, func(t *testing.T) {
			registered := testRegistered()
			test.change(&registered)
			raw, _, _, err := keys.Mint(registered, nil)
			if err != nil {
				t.Fatal(err)
			}
			verified, err := newTestVerifier(keys).Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			got, present := verified.Claims.Values[test.claim]
			if test.want == "" {
				if present {
					t.Errorf("got %s = %v, want none", test.claim, got)
				}
				return
			}
			wantJSON(t, test.claim, got, test.want)
		})
	}
}

func TestExtraClaimsNeverOverrideRegisteredOnes(t *testing.T) {
	var log bytes.Buffer
	keys, err := OpenKeyring(t.Context(), &memoryStore{}, KeyringOptions{Now: newClock().Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	extra := map[string]any{"tenant": "acme", "scopes": "x", "subject": "x"}
	for _, name := range registeredNames {
		extra[name] = "evil"
		extra[strings.ToUpper(name)] = "evil"
		extra[strings.ToUpper(name[:1])+name[1:]] = "evil"
	}
	extra["\u017fub"] = "evil" // long s: encoding/json takes it for sub
	kept := maps.Clone(extra)
	// A bare token has no scope, roles or preferred_username; nor may extra
	// claims bring them in.
	bare := Registered{Issuer: testIssuer, Subject: "01JDCAROL", Audience: []string{testAudience}, ClientID: "first-party", Lifetime: time.Minute}
	raw, _, _, err := keys.Mint(bare, extra)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := newTestVerifier(keys).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "scopes", "sub", "subject", "tenant"}
	if got := slices.Sorted(maps.Keys(verified.Claims.Values)); !slices.Equal(got, want) {
		t.Errorf("got claims %v, want %v", got, want)
	}
	if !maps.Equal(extra, kept) {
		t.Error("the caller's map was changed")
	}
	if !strings.Contains(log.String(), "claim=SUB") || strings.Contains(log.String(), "evil") {
		t.Errorf("want a warning that names the claim and not its value, got %s", log.String())
	}
}

func TestMintRefuses(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	deep := any(0)
	for range maxDepth {
		deep = []any{deep}
	}
	for name, test := range map[string]struct {
		change func(*Registered)
		extra  map[string]any
		want   string // in the error
	}{
		"no issuer":             {func(r *Registered) { r.Issuer = "" }, nil, "an issuer"},
		"no subject":            {func(r *Registered) { r.Subject = "" }, nil, "a subject"},
		"no client":             {func(r *Registered) { r.ClientID = "" }, nil, "a client id"},
		"no audience":           {func(r *Registered) { r.Audience = nil }, nil, "an audience"},
		"an empty audience":     {func(r *Registered) { r.Audience = []string{testAudience, ""} }, nil, "an audience is empty"},
		"no lifetime":           {func(r *Registered) { r.Lifetime = 0 }, nil, "lifetime"},
		"negative lifetime":     {func(r *Registered) { r.Lifetime = -time.Hour }, nil, "lifetime"},
		"half a second":         {func(r *Registered) { r.Lifetime = time.Second / 2 }, nil, "lifetime"},
		"two scopes in one":     {func(r *Registered) { r.Scope = []string{"items:read admin"} }, nil, "not a scope"},
		"an empty scope":        {func(r *Registered) { r.Scope = []string{""} }, nil, "not a scope"},
		"a quote in a scope":    {func(r *Registered) { r.Scope = []string{`a"b`} }, nil, "not a scope"},
		"invalid UTF-8":         {func(r *Registered) { r.Subject = "a\xff" }, nil, "UTF-8"},
		"invalid UTF-8 role":    {func(r *Registered) { r.Roles = []string{"a\xff"} }, nil, "UTF-8"},
		"not a number":          {func(*Registered) {}, map[string]any{"x": math.NaN()}, "sign it"},
		"a function":            {func(*Registered) {}, map[string]any{"x": func() {}}, "sign it"},
		"too large":             {func(*Registered) {}, map[string]any{"x": strings.Repeat("x", MaxSize)}, "fewer"},
		"too deep":              {func(*Registered) {}, map[string]any{"x": deep}, "fewer"},
		"beyond float64":        {func(*Registered) {}, map[string]any{"x": json.Number("1e999")}, "fewer"},
		"names that become one": {func(*Registered) {}, map[string]any{"a\xff": 1, "a\xfe": 1}, "fewer"},
	} {
		t.Run(name, func(t *testing.T) {
			registered := testRegistered()
			test.change(&registered)
			raw, jti, exp, err := keys.Mint(registered, test.extra)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
			if raw != "" || jti != "" || !exp.IsZero() {
				t.Error("got a token beside the error")
			}
		})
	}
	t.Run("no randomness", func(t *testing.T) {
		keys, err := OpenKeyring(t.Context(), &memoryStore{}, KeyringOptions{Rand: bytes.NewReader(nil), Algorithm: HS256, HMACSecret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := keys.Mint(testRegistered(), nil); err == nil {
			t.Error("got a token without randomness")
		}
	})
	t.Run("after the year 9999", func(t *testing.T) {
		now := newClock()
		now.Set(time.Unix(maxNumericDate-10, 0))
		keys, err := OpenKeyring(t.Context(), &memoryStore{}, KeyringOptions{Now: now.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := keys.Mint(testRegistered(), nil); err == nil || !strings.Contains(err.Error(), "9999") {
			t.Errorf("got %v", err)
		}
	})
}
