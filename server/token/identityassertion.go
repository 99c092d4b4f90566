package token

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// identityAssertionType is the typ of an [IdentityAssertion], which keeps it from being
// taken for an access token, or a client's assertion (RFC 8725 section 3.11).
const identityAssertionType = "assertion+jwt"

// IdentityAssertion tells a service behind the gateway who asks, in a form that it can
// verify with our JWKS (RFC 7521 section 5.1 has the members' meaning). All but
// Roles and Scope are required.
type IdentityAssertion struct {
	Issuer, Subject, Audience, ID string
	// Kind is the subject's, such as account.
	Kind  string
	Roles []string
	// Scope is joined by spaces.
	Scope string
	// Lifetime is counted from now in whole seconds, at least one.
	Lifetime time.Duration
}

// AssertIdentity signs an assertion. It fails where the algorithm is [Symmetric].
func (k *Keyring) AssertIdentity(a IdentityAssertion) (string, error) {
	for _, text := range []string{a.Issuer, a.Subject, a.Audience, a.ID, a.Kind} {
		if text == "" || !utf8.ValidString(text) {
			return "", errors.New("sign an assertion: its issuer, subject, audience, id and kind have to be there, and valid UTF-8")
		}
	}
	if a.Lifetime < time.Second {
		return "", fmt.Errorf("sign an assertion: it needs a lifetime of at least a second, not %s", a.Lifetime)
	}
	if Symmetric(k.admin.Algorithm) {
		return "", fmt.Errorf("sign an assertion: with %s nobody else could verify it", k.admin.Algorithm)
	}
	now := k.now()
	claims := jwt.MapClaims{
		"iss": a.Issuer, "sub": a.Subject, "aud": a.Audience, "jti": a.ID, "kind": a.Kind,
		"iat": now.Unix(), "exp": now.Unix() + int64(a.Lifetime/time.Second),
		"scope": a.Scope, "roles": a.Roles,
	}
	if a.Roles == nil {
		claims["roles"] = []string{}
	}
	return k.sign(claims, identityAssertionType, now)
}
