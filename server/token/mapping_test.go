package token

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestClaimMappings(t *testing.T) {
	p := newProvider(t, ES256)
	keep := func(claim string) ClaimMapping { return ClaimMapping{Claim: claim, KeepUnmapped: true} }
	for name, test := range map[string]struct {
		change func(*TrustedIssuer)
		claims map[string]string
		want   *authz.Subject // nil: refused
	}{
		"Keycloak's realm roles": {
			func(i *TrustedIssuer) {
				i.Roles = ClaimMapping{Claim: "realm_access.roles", Map: map[string][]string{"app-admin": {"admin", "auditor"}, "user": {"client"}}}
			},
			map[string]string{"realm_access": `{"roles":["app-admin","offline_access","admin"]}`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"admin", "auditor"}, Scopes: []string{}},
		},
		"by JSON Pointer": {
			func(i *TrustedIssuer) { i.Roles = keep("/resource_access/my.app/a~1b") },
			map[string]string{"resource_access": `{"my.app":{"a/b":["x"]}}`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"x"}, Scopes: []string{}},
		},
		"Auth0's claim that is a URL": {
			func(i *TrustedIssuer) { i.Roles = keep("https://example.com/roles") },
			map[string]string{"https://example.com/roles": `["b","a","a"]`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"a", "b"}, Scopes: []string{}},
		},
		"scopes in one string": {
			func(i *TrustedIssuer) { i.Scopes = keep("scp") },
			map[string]string{"scp": `"items:read  items:write"`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{"items:read", "items:write"}},
		},
		"unmapped names count for nothing": {
			func(i *TrustedIssuer) {
				i.Scopes = ClaimMapping{Claim: "scope", Map: map[string][]string{"read": {"items:read"}}}
			},
			map[string]string{"scope": `"read admin"`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{"items:read"}},
		},
		"what everybody has": {
			func(i *TrustedIssuer) { i.Roles = ClaimMapping{Always: []string{"workload"}} }, nil,
			&authz.Subject{ID: "01JDCAROL", Roles: []string{"workload"}, Scopes: []string{}},
		},
		"Entra's object id": {
			func(i *TrustedIssuer) { i.Subject = "oid" },
			map[string]string{"oid": `"0000-11"`},
			&authz.Subject{ID: "0000-11", Roles: []string{}, Scopes: []string{}},
		},
		"a claim that is missing": {func(i *TrustedIssuer) { i.Roles = keep("a.b.c") }, map[string]string{"a": `{"b":7}`},
			&authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"roles that nobody asked for":  {func(*TrustedIssuer) {}, map[string]string{"roles": `["admin"]`, "scope": `"admin"`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"roles that are an object":     {func(i *TrustedIssuer) { i.Roles = keep("roles") }, map[string]string{"roles": `{"admin":true}`}, nil},
		"roles with a number":          {func(i *TrustedIssuer) { i.Roles = keep("roles") }, map[string]string{"roles": `["a",1]`}, nil},
		"a subject that is a list":     {func(i *TrustedIssuer) { i.Subject = "oid" }, map[string]string{"oid": `["x"]`}, nil},
		"a requirement that is met":    {require("email_verified", true), map[string]string{"email_verified": "true"}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"one of a list is met":         {require("groups", "a", "b"), map[string]string{"groups": `["x","b"]`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"a number is met":              {require("v", json.Number("2")), map[string]string{"v": `2`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"any value":                    {require("hd"), map[string]string{"hd": `"x"`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"a requirement that is not":    {require("hd", "example.com"), map[string]string{"hd": `"evil.example"`}, nil},
		"text instead of true":         {require("email_verified", true), map[string]string{"email_verified": `"true"`}, nil},
		"a required claim is missing":  {require("hd", "example.com"), nil, nil},
		"a required claim is null":     {require("hd"), map[string]string{"hd": "null"}, nil},
		"a required claim, deeper in":  {require("kubernetes.io", "x"), map[string]string{"kubernetes": `{"io":"x"}`}, &authz.Subject{ID: "01JDCAROL", Roles: []string{}, Scopes: []string{}}},
		"a required claim with a dot":  {require("/kubernetes.io/namespace", "x"), map[string]string{"kubernetes.io": `{"namespace":"y"}`}, nil},
		"an empty list meets nothing":  {require("groups", "a"), map[string]string{"groups": `[]`}, nil},
		"an object is no value":        {require("groups", "a"), map[string]string{"groups": `{"a":1}`}, nil},
		"a list within a list is none": {require("groups", "a"), map[string]string{"groups": `[["a"]]`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := p.trusted()
			test.change(&issuer)
			v := newTrusting(t, issuer)
			raw := p.key.sign(t, "JWT", p.claims(test.claims))
			if test.want == nil {
				v.wantRefused(t, raw, authz.TokenInvalidClaims)
				return
			}
			got := v.wantGood(t, raw).External
			if got.ID != test.want.ID || !slices.Equal(got.Roles, test.want.Roles) || !slices.Equal(got.Scopes, test.want.Scopes) || got.Roles == nil || got.Scopes == nil {
				t.Errorf("subject %+v, want %+v", got, test.want)
			}
		})
	}
}

func require(claim string, anyOf ...any) func(*TrustedIssuer) {
	return func(i *TrustedIssuer) { i.Require = []Requirement{{claim, anyOf}} }
}

// What the application of FastAPI's documentation issues: sub, scopes, exp, and
// nothing else.
func TestLegacyIssuer(t *testing.T) {
	secret := []byte("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7")
	legacy := TrustedIssuer{
		Issuer: "old-app", Secret: secret, Legacy: true,
		Scopes: ClaimMapping{Claim: "scopes", Map: map[string][]string{"items": {"items:read"}}},
	}
	p := newProvider(t, RS256)
	v := newTrusting(t, legacy, p.trusted())
	const header = `{"alg":"HS256","typ":"JWT"}`
	const claims = `{"sub":"johndoe","scopes":["me","items"],"exp":1795456860}`
	got := v.wantGood(t, hs256(header, claims, secret))
	if s := got.External; got.Issuer != "old-app" || s == nil || s.Kind != authz.KindExternal || s.ID != "johndoe" || s.Issuer != "old-app" || !slices.Equal(s.Scopes, []string{"items:read"}) {
		t.Errorf("got %+v, %+v", got, s)
	}
	v.wantGood(t, hs256(`{"typ":"JWT","alg":"HS256","kid":"any"}`, claims, secret))
	for name, test := range map[string]struct {
		raw  string
		want authz.TokenError
	}{
		"another secret":       {hs256(header, claims, []byte(strings.Repeat("x", 64))), authz.TokenBadSignature},
		"no exp":               {hs256(header, `{"sub":"johndoe"}`, secret), authz.TokenInvalidClaims},
		"expired":              {hs256(header, `{"sub":"johndoe","exp":1795455060}`, secret), authz.TokenExpired},
		"no sub":               {hs256(header, `{"exp":1795456860}`, secret), authz.TokenInvalidClaims},
		"for somebody else":    {hs256(header, `{"sub":"johndoe","aud":"https://other.example","exp":1795456860}`, secret), authz.TokenWrongAudience},
		"with our iss":         {hs256(`{"alg":"HS256","typ":"at+jwt","kid":"`+v.keys.signing().id+`"}`, claimsWith(nil), secret), authz.TokenUnknownKey},
		"with its name as iss": {hs256(header, `{"iss":"old-app","sub":"johndoe","exp":1795456860}`, secret), authz.TokenWrongIssuer},
		"with another's iss":   {hs256(`{"alg":"HS256","typ":"JWT","kid":"p1"}`, p.claims(nil), secret), authz.TokenUnsupported},
		"with an empty iss":    {hs256(header, `{"iss":"","sub":"johndoe","exp":1795456860}`, secret), authz.TokenWrongIssuer},
		"with iss null":        {hs256(header, `{"iss":null,"sub":"johndoe","exp":1795456860}`, secret), authz.TokenInvalidClaims},
		"alg none":             {encode(`{"alg":"none"}`) + "." + encode(claims) + ".", authz.TokenUnsupported},
		"HS512":                {hs256(`{"alg":"HS512"}`, claims, secret), authz.TokenUnsupported},
		"ours without iss":     {forge(t, EdDSA, v.keys.signing().private, goodHeader(v.keys.signing()), claimsWith(map[string]string{"iss": ""})), authz.TokenUnsupported},
		"theirs without iss":   {p.key.sign(t, "JWT", p.claims(map[string]string{"iss": ""})), authz.TokenUnsupported},
		"a PEM as the secret":  {hs256(header, claims, publicPEM(t, p.key.public)), authz.TokenBadSignature},
		"typ of another kind":  {hs256(`{"alg":"HS256","typ":"dpop+jwt"}`, claims, secret), authz.TokenWrongType},
	} {
		t.Run(name, func(t *testing.T) { v.wantRefused(t, test.raw, test.want) })
	}
	t.Run("without one, iss is required", func(t *testing.T) {
		newTrusting(t, p.trusted()).wantRefused(t, hs256(header, claims, secret), authz.TokenInvalidClaims)
	})
	t.Run("one that has an iss", func(t *testing.T) {
		named := legacy
		named.Issuer, named.Legacy, named.Audience = "https://old.example", false, []string{testAudience}
		v := newTrusting(t, named)
		v.wantGood(t, hs256(header, `{"iss":"https://old.example","aud":"`+testAudience+`","sub":"johndoe","exp":1795456860}`, secret))
		v.wantRefused(t, hs256(header, claims, secret), authz.TokenInvalidClaims)
	})
}

func TestNewTrustedIssuersRefuses(t *testing.T) {
	good := TrustedIssuer{Issuer: "https://i.example", Audience: []string{"a"}}
	secret := []byte(strings.Repeat("s", 32))
	for name, test := range map[string]struct {
		change func(*TrustedIssuer)
		member string
	}{
		"no issuer":              {func(i *TrustedIssuer) { i.Issuer = "" }, "issuer"},
		"no audience":            {func(i *TrustedIssuer) { i.Audience = nil }, "audience"},
		"an empty audience":      {func(i *TrustedIssuer) { i.Audience = []string{""} }, "audience"},
		"HS256 with public keys": {func(i *TrustedIssuer) { i.Algorithms = []string{"HS256"} }, "algorithms"},
		"none":                   {func(i *TrustedIssuer) { i.Algorithms = []string{"none"} }, "algorithms"},
		"no algorithm":           {func(i *TrustedIssuer) { i.Algorithms = []string{} }, "algorithms"},
		"keys over http":         {func(i *TrustedIssuer) { i.JWKSURL = "http://i.example/keys" }, "jwks"},
		"keys by another scheme": {func(i *TrustedIssuer) { i.JWKSURL = "ftp://i.example/keys" }, "jwks"},
		"discovery over http":    {func(i *TrustedIssuer) { i.Issuer = "http://i.example" }, "issuer"},
		"discovery of a name":    {func(i *TrustedIssuer) { i.Issuer = "i" }, "issuer"},
		"two sources":            {func(i *TrustedIssuer) { i.JWKSURL, i.JWKSFile = "https://i.example/k", "k" }, "jwks-file"},
		"a secret and keys":      {func(i *TrustedIssuer) { i.Secret, i.JWKSURL = secret, "https://i.example/k" }, "hs256-secret-file"},
		"a short secret":         {func(i *TrustedIssuer) { i.Secret = secret[1:] }, "hs256-secret-file"},
		"a PEM as secret":        {func(i *TrustedIssuer) { i.Secret = []byte("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ") }, "hs256-secret-file"},
		"RS256 with a secret":    {func(i *TrustedIssuer) { i.Secret, i.Algorithms = secret, []string{RS256} }, "algorithms"},
		"legacy without secret":  {func(i *TrustedIssuer) { i.Legacy = true }, "legacy"},
		"a CA that is not there": {func(i *TrustedIssuer) { i.CAFile = "missing.pem" }, "ca-file"},
		"a leeway of an hour":    {func(i *TrustedIssuer) { i.Leeway = time.Hour }, "leeway"},
		"roles without a map":    {func(i *TrustedIssuer) { i.Roles.Claim = "roles" }, "roles.map"},
		"a map without a claim":  {func(i *TrustedIssuer) { i.Scopes.Map = map[string][]string{"a": {"b"}} }, "scopes.claim"},
		"an empty part":          {func(i *TrustedIssuer) { i.Subject = "a..b" }, "subject"},
		"a bad pointer":          {func(i *TrustedIssuer) { i.Require = []Requirement{{Claim: "/a~2"}} }, "require"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := good
			test.change(&issuer)
			_, err := NewTrustedIssuers([]TrustedIssuer{{Issuer: "https://first.example", Audience: []string{"a"}}, issuer}, TrustedIssuersOptions{})
			var position *IssuerPosition
			var member *IssuerError
			if !errors.As(err, &position) || position.Index != 1 || !errors.As(err, &member) || member.Member != test.member {
				t.Errorf("got %v, want one about %s of the second", err, test.member)
			}
		})
	}
	twice := []TrustedIssuer{good, good}
	if _, err := NewTrustedIssuers(twice, TrustedIssuersOptions{}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("one issuer twice: %v", err)
	}
	legacy := TrustedIssuer{Issuer: "a", Secret: secret, Legacy: true}
	other := legacy
	other.Issuer = "b"
	if _, err := NewTrustedIssuers([]TrustedIssuer{legacy, other}, TrustedIssuersOptions{}); err == nil || !strings.Contains(err.Error(), "only one") {
		t.Errorf("two secrets: %v", err)
	}
}
