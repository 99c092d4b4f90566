package token

import (
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

const (
	// maxAssertionLifetime is how far ahead exp may lie. A jti is remembered for as
	// long.
	maxAssertionLifetime = 10 * time.Minute
	// assertionLeeway is how far a client's clock may differ from ours.
	assertionLeeway = 10 * time.Second
	// maxAssertionID is the longest jti, in bytes: it is stored.
	maxAssertionID = 256
)

// assertionAlgorithms are those that clients may sign with.
func assertionAlgorithms() []string { return []string{EdDSA, ES256, RS256, "PS256"} }

// AssertionVerifier verifies the JWTs by which clients authenticate
// (private_key_jwt: RFC 7523 sections 2.2 and 3, RFC 7521). The zero value is
// ready, and safe for concurrent use.
type AssertionVerifier struct{}

// Verify checks an assertion against the client's own public keys, a JWK set. iss
// and sub must be the client's id, aud must be or contain one of the audiences,
// exp must be there and lie at most ten minutes ahead, and jti must be there. An
// access token is never an assertion, whoever signed it.
//
// What it returns is for the caller to remember: the same jti of that client must
// not be accepted a second time before the expiry. A refusal unwraps to an
// [authz.TokenError]; any other error means that the client's keys can't be read.
func (AssertionVerifier) Verify(raw string, jwks []byte, clientID string, audiences []string, now time.Time) (jti string, expiry time.Time, err error) {
	c, err := read(raw)
	if err != nil {
		return "", time.Time{}, err
	}
	c.header.algorithm = canonicalAlgorithm(c.header.algorithm)
	if err := checkAssertionType(c.header.typ); err != nil {
		return "", time.Time{}, err
	}
	if !slices.Contains(assertionAlgorithms(), c.header.algorithm) {
		return "", time.Time{}, refuse(authz.TokenUnsupported, "alg is not one that clients may sign with")
	}
	set, _, err := readKeySet(jwks, assertionAlgorithms())
	if err != nil {
		return "", time.Time{}, err
	}
	key, found := set.find(c.header)
	if !found {
		return "", time.Time{}, refuse(authz.TokenUnknownKey, "the client has no key of this kid and alg, or several without a kid")
	}
	if err := key.method.Verify(c.signed, c.signature, key.public); err != nil {
		return "", time.Time{}, refuse(authz.TokenBadSignature, "the signature does not verify")
	}
	claims, err := decodeObject(c.claims)
	if err != nil {
		return "", time.Time{}, err
	}
	return checkAssertion(claims, clientID, audiences, now)
}

// checkAssertionType keeps JWTs of other kinds out (RFC 8725 section 3.12). Most
// libraries write JWT or nothing.
func checkAssertionType(typ string) error {
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "client-authentication+jwt":
		return nil
	}
	return refuse(authz.TokenWrongType, "typ is not that of a client's assertion")
}

func checkAssertion(claims map[string]any, clientID string, audiences []string, now time.Time) (jti string, expiry time.Time, err error) {
	fail := func(code authz.TokenError, detail string) (string, time.Time, error) {
		return "", time.Time{}, refuse(code, detail)
	}
	for _, name := range []string{"iss", "sub"} {
		if id, ok := claims[name].(string); !ok || id == "" || id != clientID {
			return fail(authz.TokenWrongIssuer, name+" is not the client's id")
		}
	}
	jti, ok := claims["jti"].(string)
	if !ok || jti == "" || len(jti) > maxAssertionID {
		return fail(authz.TokenInvalidClaims, "jti is missing, not a string, or too long")
	}
	audience, ok := audienceList(claims["aud"])
	if !ok {
		return fail(authz.TokenInvalidClaims, "aud is missing, or neither a string nor a list of strings")
	}
	if !slices.ContainsFunc(audience, func(a string) bool { return a != "" && slices.Contains(audiences, a) }) {
		return fail(authz.TokenWrongAudience, "aud is neither the issuer nor the endpoint")
	}
	exp, ok := numericDate(claims["exp"])
	if !ok {
		return fail(authz.TokenInvalidClaims, "exp is missing, or not a number of seconds from 1970 to 9999")
	}
	life := lifetime{until: exp}
	for _, name := range []string{"iat", "nbf"} {
		value, present := claims[name]
		if !present {
			continue
		}
		moment, ok := numericDate(value)
		if !ok {
			return fail(authz.TokenInvalidClaims, name+" is not a number of seconds from 1970 to 9999")
		}
		if moment.After(life.from) {
			life.from = moment
		}
	}
	if err := life.check(now, assertionLeeway); err != nil {
		return "", time.Time{}, err
	}
	if exp.After(now.Add(maxAssertionLifetime + assertionLeeway)) {
		return fail(authz.TokenInvalidClaims, "exp lies more than ten minutes ahead")
	}
	return jti, exp.Add(assertionLeeway), nil
}
