package account

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/server/route"
)

const (
	maxClientID    = 128
	maxClientName  = 256
	maxClientItems = 256
	maxScope       = 128
	maxURI         = 2048
	maxJWKS        = 64 << 10
	// minClientSecret is the shortest secret that may be given from outside: it is
	// kept as a fast hash, so nobody must be able to guess it.
	minClientSecret = 32
	maxClientSecret = 1024
	secretPrefix    = "sds_"
	// secretBytes is the randomness of clients' secrets and of refresh tokens (RFC 6749
	// section 10.10 asks for 160 bits).
	secretBytes  = 32
	secretScheme = "sha256$"
	// maxSecrets bounds how many may be good at once.
	maxSecrets = 5
)

// normalize brings what people write into its stored form, and reports every
// member that breaks a rule, under its name in JSON.
func (c *Client) normalize() error {
	return errors.Join(c.checkID(), c.checkName(), c.checkAuthentication(), c.checkGrants(), c.checkScopes(), c.checkRoles(), c.checkAudiences(), c.checkRedirectURIs())
}

func (c *Client) checkID() error {
	_, isID := parseID(c.ID)
	_, canBeNamed := route.EscapeSegment(c.ID)
	switch {
	case c.ID == "" || len(c.ID) > maxClientID:
		return invalid("client_id", "has %d bytes; 1 to %d are good", len(c.ID), maxClientID)
	case strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\:;,/`, r) }):
		return invalid("client_id", "%q has characters other than printable ASCII without space, quote, backslash, colon, semicolon, comma and slash", shorten(c.ID))
	case !canBeNamed:
		return invalid("client_id", "%q can't be named in a path; choose another", c.ID)
	case isID:
		return invalid("client_id", "%q has the shape of an account's id; choose another", c.ID)
	case c.ID == FirstPartyClient:
		return invalid("client_id", "%q is the built-in client; choose another", c.ID)
	}
	return nil
}

func (c *Client) checkName() error {
	if len(c.Name) > maxClientName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unicode.IsControl) {
		return invalid("client_name", "is longer than %d bytes, or has characters that can't be printed", maxClientName)
	}
	return nil
}

func (c *Client) checkAuthentication() error {
	if c.AuthMethod == "" {
		c.AuthMethod = AuthNone
		if c.Confidential {
			c.AuthMethod = AuthSecret
		}
	}
	switch c.AuthMethod {
	case AuthNone:
		if c.Confidential {
			return invalid("token_endpoint_auth_method", "is none, which a confidential client can't have")
		}
	case AuthSecret, AuthPrivateKeyJWT:
		if !c.Confidential {
			return invalid("token_endpoint_auth_method", "is %s, which a public client can't have: it can keep nothing secret", c.AuthMethod)
		}
	default:
		return invalid("token_endpoint_auth_method", "%q is not one of %s, %s, %s", shorten(c.AuthMethod), AuthNone, AuthSecret, AuthPrivateKeyJWT)
	}
	if string(bytes.TrimSpace(c.JWKS)) == "null" {
		c.JWKS = nil
	}
	if c.AuthMethod != AuthPrivateKeyJWT {
		if len(c.JWKS) > 0 {
			return invalid("jwks", "is only for %s", AuthPrivateKeyJWT)
		}
		return nil
	}
	c.Secrets = nil
	return c.checkJWKS()
}

// checkJWKS wants a set of public keys, and keeps exactly what it has looked at. What
// each may be used for is judged by [Clients.checkKeys].
func (c *Client) checkJWKS() error {
	if len(c.JWKS) == 0 {
		return invalid("jwks", "is missing: %s needs the client's public keys", AuthPrivateKeyJWT)
	}
	if len(c.JWKS) > maxJWKS {
		return invalid("jwks", "is larger than %d bytes", maxJWKS)
	}
	var set map[string]json.RawMessage
	var keys []map[string]json.RawMessage
	if json.Unmarshal(c.JWKS, &set) != nil || json.Unmarshal(set["keys"], &keys) != nil || len(keys) == 0 {
		return invalid("jwks", `is not a JWK set with a key in it, such as {"keys":[{"kty":"OKP",...}]} (RFC 7517)`)
	}
	for i, key := range keys {
		var kty string
		if json.Unmarshal(key["kty"], &kty) != nil || kty != "OKP" && kty != "EC" && kty != "RSA" {
			return invalid("jwks", "key %d: kty is not one of OKP, EC, RSA", i+1)
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, has := key[private]; has {
				return invalid("jwks", "key %d has the member %q of a private key: give the public half only, and replace this key, since it has left its client", i+1, private)
			}
		}
	}
	// A second member of a name, and any beside the keys, go; the form is the one that
	// a store gives back.
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		return invalid("jwks", "can't be written: %w", err)
	}
	c.JWKS = text
	return nil
}

// checkKeys judges keys that are new.
func (c *Clients) checkKeys(before, after []byte) error {
	if c.checkJWKS == nil || len(after) == 0 || bytes.Equal(before, after) {
		return nil
	}
	if err := c.checkJWKS(after); err != nil {
		return invalid("jwks", "%w", err)
	}
	return nil
}

func (c *Client) checkGrants() error {
	known := []string{GrantPassword, GrantClientCredentials, GrantRefreshToken, GrantAuthorizationCode}
	for _, grant := range c.Grants {
		if !slices.Contains(known, grant) {
			return invalid("grant_types", "%q is not one of %s", shorten(grant), strings.Join(known, ", "))
		}
		if grant == GrantClientCredentials && !c.Confidential {
			return invalid("grant_types", "%s is for confidential clients only (RFC 6749 section 4.4.2)", grant)
		}
	}
	c.Grants = sortedSet(c.Grants)
	return nil
}

func (c *Client) checkScopes() error {
	if len(c.Scopes) > maxClientItems {
		return invalid("scopes", "are more than %d", maxClientItems)
	}
	for _, scope := range c.Scopes {
		if scope == "" || len(scope) > maxScope || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return invalid("scopes", "%q is not a scope: 1 to %d printable ASCII characters without space, quote and backslash (RFC 6749 section 3.3)", shorten(scope), maxScope)
		}
	}
	c.Scopes = sortedSet(c.Scopes)
	return nil
}

func (c *Client) checkRoles() error {
	as := Account{Roles: c.Roles}
	if err := as.normalizeRoles(); err != nil {
		return err
	}
	c.Roles = as.Roles
	return nil
}

func (c *Client) checkAudiences() error {
	if len(c.Audiences) > maxClientItems {
		return invalid("audiences", "are more than %d", maxClientItems)
	}
	for _, audience := range c.Audiences {
		if audience == "" || len(audience) > maxURI || !utf8.ValidString(audience) || strings.ContainsFunc(audience, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return invalid("audiences", "%q is not an audience: a URI or name without spaces, of at most %d bytes", shorten(audience), maxURI)
		}
	}
	c.Audiences = sortedSet(c.Audiences)
	return nil
}

// checkRedirectURIs wants what RFC 6749 section 3.1.2 and RFC 8252 section 7 allow.
func (c *Client) checkRedirectURIs() error {
	if len(c.RedirectURIs) > maxClientItems {
		return invalid("redirect_uris", "are more than %d", maxClientItems)
	}
	for _, text := range c.RedirectURIs {
		u, err := url.Parse(text)
		switch {
		case err != nil || !u.IsAbs() || len(text) > maxURI:
			return invalid("redirect_uris", "%q is not an absolute URI of at most %d bytes", shorten(text), maxURI)
		case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }):
			return invalid("redirect_uris", "%q has characters that a URI has not; encode them (RFC 3986 section 2)", shorten(text))
		case strings.Contains(text, "#"):
			return invalid("redirect_uris", "%q has a fragment (RFC 6749 section 3.1.2)", shorten(text))
		case u.User != nil:
			return invalid("redirect_uris", "%q has a username", shorten(text))
		case u.Scheme == "https" && u.Hostname() != "", u.Scheme == "http" && isLoopback(u.Hostname()):
		case strings.Contains(u.Scheme, "."):
			// A private-use scheme (RFC 8252 section 7.1).
		default:
			return invalid("redirect_uris", "%q is neither https, nor http on the loopback interface, nor of a private-use scheme with a dot such as com.example.app", shorten(text))
		}
	}
	c.RedirectURIs = sortedSet(c.RedirectURIs)
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sortedSet is never nil, so that it is a list in JSON.
func sortedSet(items []string) []string {
	set := append([]string{}, items...)
	slices.Sort(set)
	return slices.Compact(set)
}

// newSecret makes a text that nobody can guess.
func newSecret(prefix string, random io.Reader) (string, error) {
	bytes := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, bytes); err != nil {
		return "", fmt.Errorf("making a secret: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(bytes), nil
}

// CheckClientSecret reports as an [*InvalidError] that a secret which was not made
// here can't be used.
func CheckClientSecret(secret string) error {
	if len(secret) < minClientSecret || len(secret) > maxClientSecret || !utf8.ValidString(secret) {
		return invalid("client_secret", "has %d bytes; %d to %d are good, chosen at random", len(secret), minClientSecret, maxClientSecret)
	}
	return nil
}

// hashClientSecret is what is kept of a secret. Secrets have 256 random bits, or as
// many as whoever gave one has answered for: there is nothing to guess that a slow
// hash would protect, and services prove themselves often.
func hashClientSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return secretScheme + base64.RawURLEncoding.EncodeToString(sum[:])
}

// noSecret is as long as a hash, and the hash of nothing: the last of 43 characters
// of base64url stands for four bits, and "_" for six.
const noSecret = secretScheme + "___________________________________________"

// CheckSecret reports whether the secret is one of the client's that are good now.
// It takes as long for a client that is nil, or has none.
func (c *Clients) CheckSecret(client *Client, secret string) bool {
	presented, now := []byte(hashClientSecret(secret)), c.stamp.now()
	var secrets []ClientSecret
	if client != nil && client.Confidential && client.AuthMethod == AuthSecret {
		secrets = client.Secrets
	}
	found := 0
	for i := range maxSecrets {
		kept := ClientSecret{Hash: noSecret}
		if i < len(secrets) {
			kept = secrets[i]
		}
		equal := subtle.ConstantTimeCompare(presented, []byte(kept.Hash))
		if kept.ExpiresAt.IsZero() || now.Before(kept.ExpiresAt) {
			found |= equal
		}
	}
	return found == 1
}

// replaceSecret adds a secret, and ends the others at a time; at once where that is
// zero.
func (c *Client) replaceSecret(secret string, now, end time.Time) {
	var kept []ClientSecret
	for _, former := range c.Secrets {
		if former.ExpiresAt.IsZero() || end.Before(former.ExpiresAt) {
			former.ExpiresAt = end
		}
		if now.Before(former.ExpiresAt) {
			kept = append(kept, former)
		}
	}
	// The youngest, where there are too many.
	if excess := len(kept) - (maxSecrets - 1); excess > 0 {
		kept = kept[excess:]
	}
	c.Secrets = append(kept, ClientSecret{Hash: hashClientSecret(secret), CreatedAt: now})
}
