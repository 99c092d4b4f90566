package token

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oklog/ulid/v2"
)

// Registered is what a token says in registered claims (RFC 9068 section 2.2).
// Issuer, Subject, Audience, ClientID and Lifetime are required; the other fields
// are left out of the token when they are empty.
type Registered struct {
	// Issuer is iss.
	Issuer string
	// Subject is sub: a stable id, never a name that can be given to someone else.
	Subject string
	// Audience is aud: a string when there is one, a list when there are several.
	Audience []string
	// ClientID is client_id.
	ClientID string
	// Scope becomes scope, joined by spaces (RFC 8693 section 4.2).
	Scope []string
	// Roles is roles (RFC 9068 section 2.2.3.1).
	Roles []string
	// SessionID is sid: the login that the token belongs to, and is revoked with.
	SessionID string
	// PreferredUsername is preferred_username. It is for people to read.
	PreferredUsername string
	// Lifetime is counted from iat in whole seconds, at least one.
	Lifetime time.Duration
}

// registeredNames are the claims that Mint sets, or leaves out, by itself.
var registeredNames = [...]string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "scope", "roles", "preferred_username",
}

// isRegistered ignores case, because some readers do: to a Go struct with the
// field `json:"sub"`, SUB is sub.
func isRegistered(name string) bool {
	for _, registered := range registeredNames {
		if strings.EqualFold(name, registered) {
			return true
		}
	}
	return false
}

// Mint signs a new token with typ at+jwt (RFC 9068 section 2.1). iat and nbf are
// now in whole seconds, exp is iat plus the lifetime, jti is a new ULID. Extra
// claims never override a registered one: a claim of such a name, in any case, is
// left out with a warning in the log, whether or not the token has the registered
// claim.
//
// It fails on a missing or malformed registered value, on extra claims that are
// not JSON, and on claims that make a token which the verifier would not read:
// longer than [MaxSize], or too deeply nested.
func (k *Keyring) Mint(registered Registered, extra map[string]any) (raw, jti string, exp time.Time, err error) {
	if err := registered.check(); err != nil {
		return "", "", time.Time{}, fmt.Errorf("mint a token: %w", err)
	}
	now := k.now()
	id, err := ulid.New(ulid.Timestamp(now), k.rand)
	if err != nil {
		return "", "", time.Time{}, fmt.Errorf("mint a token: make its id: %w", err)
	}
	jti = id.String()
	issuedAt := time.Unix(now.Unix(), 0).UTC()
	exp = time.Unix(now.Unix()+int64(registered.Lifetime/time.Second), 0).UTC()
	if exp.Unix() > maxNumericDate {
		return "", "", time.Time{}, errors.New("mint a token: its lifetime ends after the year 9999")
	}

	claims := make(jwt.MapClaims, len(registeredNames)+len(extra))
	maps.Copy(claims, extra)
	for name := range extra {
		if isRegistered(name) {
			delete(claims, name)
			k.logger.Warn("extra claim left out: its name is that of a registered claim", slog.String("claim", name))
		}
	}
	claims["iss"] = registered.Issuer
	claims["sub"] = registered.Subject
	claims["client_id"] = registered.ClientID
	claims["jti"] = jti
	claims["iat"] = issuedAt.Unix()
	claims["nbf"] = issuedAt.Unix()
	claims["exp"] = exp.Unix()
	if len(registered.Audience) == 1 {
		claims["aud"] = registered.Audience[0]
	} else {
		claims["aud"] = registered.Audience
	}
	if registered.SessionID != "" {
		claims["sid"] = registered.SessionID
	}
	if len(registered.Scope) > 0 {
		claims["scope"] = strings.Join(registered.Scope, " ")
	}
	if len(registered.Roles) > 0 {
		claims["roles"] = registered.Roles
	}
	if registered.PreferredUsername != "" {
		claims["preferred_username"] = registered.PreferredUsername
	}

	if raw, err = k.sign(claims, accessTokenType, now); err != nil {
		return "", "", time.Time{}, fmt.Errorf("mint a token: %w", err)
	}
	if _, err := read(raw); err != nil {
		return "", "", time.Time{}, fmt.Errorf("mint a token: its verifier would not read it, give it fewer or simpler claims: %w", err)
	}
	return raw, jti, exp, nil
}

// sign makes a JWT with the key that signs now.
func (k *Keyring) sign(claims jwt.MapClaims, typ string, now time.Time) (string, error) {
	signing := k.current.Load().signing(now)
	if signing == nil {
		return "", fmt.Errorf("no key signs with %s now", k.admin.Algorithm)
	}
	unsigned := jwt.NewWithClaims(method(signing.algorithm), claims)
	unsigned.Header["typ"] = typ
	unsigned.Header["kid"] = signing.id
	raw, err := unsigned.SignedString(signing.private)
	if err != nil {
		return "", fmt.Errorf("sign it: %w", err)
	}
	return raw, nil
}

func (r *Registered) check() error {
	for _, field := range []struct{ name, value string }{
		{"an issuer", r.Issuer}, {"a subject", r.Subject}, {"a client id", r.ClientID},
	} {
		if field.value == "" {
			return fmt.Errorf("it needs %s", field.name)
		}
	}
	if len(r.Audience) == 0 {
		return errors.New("it needs an audience")
	}
	if r.Lifetime < time.Second {
		return fmt.Errorf("it needs a lifetime of at least a second, not %s", r.Lifetime)
	}
	texts := []string{r.Issuer, r.Subject, r.ClientID, r.SessionID, r.PreferredUsername}
	texts = append(append(texts, r.Audience...), r.Roles...)
	for _, text := range texts {
		// encoding/json would replace the bad bytes, and so name someone else.
		if !utf8.ValidString(text) {
			return errors.New("one of its registered claims is not valid UTF-8")
		}
	}
	for _, audience := range r.Audience {
		if audience == "" {
			return errors.New("an audience is empty")
		}
	}
	for _, scope := range r.Scope {
		if !isScopeToken(scope) {
			return fmt.Errorf("%q is not a scope (RFC 6749 section 3.3)", scope)
		}
	}
	return nil
}

// isScopeToken reports whether s is a scope-token of RFC 6749 section 3.3. A
// space in one would make it two.
func isScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
