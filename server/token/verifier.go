package token

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// accessTokenType is the typ of an access token (RFC 9068 section 2.1).
const accessTokenType = "at+jwt"

// VerifierOptions says which tokens are good. A verifier without an issuer or an
// audience refuses every token.
type VerifierOptions struct {
	// Issuer is what iss must be, compared byte by byte.
	Issuer string
	// Audience is what aud must be or contain.
	Audience string
	// Leeway is how far the clock of whoever minted a token may differ from ours:
	// it is added to exp and subtracted from nbf and iat. Default 0, and so are
	// negative values. One process has one clock, and an expired token must be
	// refused when it says so; nodes that share a store and keep their clocks by
	// NTP want a second or two, so that a token just minted by one is not too
	// young for another.
	Leeway time.Duration
	// Prepare makes the policy engine's own form of the claims; what it returns
	// becomes [authz.Claims].Prepared. It must not change the claims. Default:
	// none.
	Prepare func(claims map[string]any) any
	// Revoked reports whether a token that is good in all else has been taken
	// back. It is asked each time that such a token is presented, so it must be
	// quick, and safe for concurrent use. Default: none is.
	Revoked func(*Verified) bool
	// CacheBytes bounds the memory, in bytes, that verified tokens are remembered
	// in. 0 is 32 MiB; a negative value remembers none.
	CacheBytes int64
	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*rules
	prepare func(map[string]any) any
	revoked func(*Verified) bool
	now     func() time.Time
	cache   *cache.Cache[*remembered] // nil when it is off
}

// rules is how the tokens of one issuer are verified. Nothing in it is shared
// between issuers, keys least of all.
type rules struct {
	audience string
	// algorithms are those that the issuer signs with.
	algorithms []string
	// types are the accepted values of typ; media types ignore case (RFC 7515
	// section 4.1.9).
	types []string
	// required names the claims that must be there. Those that we know must have
	// the right type wherever they are.
	required []string
	leeway   time.Duration
	keys     keySource
}

// keySource is the keys of one issuer.
type keySource interface {
	// verificationKey returns the key of that kid. It is the same pointer for as
	// long as the key stays what it is: tokens that it verified are remembered by
	// it.
	verificationKey(ctx context.Context, kid string) (*verificationKey, bool)
}

// NewVerifier returns a verifier for the tokens that the keyring mints for the
// issuer.
func NewVerifier(keys *Keyring, options VerifierOptions) *Verifier {
	own := &rules{
		audience:   options.Audience,
		algorithms: Algorithms(),
		types:      []string{accessTokenType, "application/" + accessTokenType},
		required:   []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id"},
		leeway:     max(options.Leeway, 0),
		keys:       keys,
	}
	v := &Verifier{
		issuers: map[string]*rules{}, prepare: options.Prepare, revoked: options.Revoked, now: options.Now,
		cache: cache.New[*remembered](cmp.Or(options.CacheBytes, defaultCacheBytes)),
	}
	if options.Issuer != "" {
		v.issuers[options.Issuer] = own
	}
	if v.now == nil {
		v.now = time.Now
	}
	return v
}

// Verify returns what a good token says. Any other is refused with an error that
// unwraps to an [authz.TokenError]; see the package's documentation for the order
// of the checks. A token that was good before is recognised by its bytes, all of
// them, and what may have changed since is checked again.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Verified, error) {
	verified, known := v.recall(ctx, raw)
	var fresh *remembered
	if !known {
		var err error
		if fresh, err = v.verify(ctx, raw); err != nil {
			return nil, err
		}
		verified = fresh.verified
	}
	if v.revoked != nil && v.revoked(verified) {
		v.cache.Delete(raw)
		return nil, refuse(authz.TokenRevoked, "it was taken back before it expired")
	}
	if !known {
		v.remember(raw, fresh)
	}
	return verified, nil
}

// verify makes every check but that for revocation.
func (v *Verifier) verify(ctx context.Context, raw string) (*remembered, error) {
	c, err := read(raw)
	if err != nil {
		return nil, err
	}
	if !c.hasIssuer {
		return nil, refuse(authz.TokenInvalidClaims, "iss is missing or not a string")
	}
	own, trusted := v.issuers[c.issuer]
	if !trusted {
		return nil, refuse(authz.TokenWrongIssuer, "iss is not a trusted issuer")
	}
	if !own.acceptsType(c.header.typ) {
		return nil, refuse(authz.TokenWrongType, "typ is not that of an access token")
	}
	key, err := own.key(ctx, c.header)
	if err != nil {
		return nil, err
	}
	if err := key.method.Verify(c.signed, c.signature, key.public); err != nil {
		return nil, refuse(authz.TokenBadSignature, "the signature does not verify")
	}
	claims, err := decodeObject(c.claims)
	if err != nil {
		return nil, err
	}
	verified, lifetime, err := own.check(claims, c.issuer, v.now())
	if err != nil {
		return nil, err
	}
	verified.KeyID = key.id
	verified.Claims = &authz.Claims{Values: claims}
	if v.prepare != nil {
		verified.Claims.Prepared = v.prepare(claims)
	}
	return &remembered{verified: verified, lifetime: lifetime, rules: own, key: key}, nil
}

func (r *rules) acceptsType(typ string) bool {
	return slices.ContainsFunc(r.types, func(accepted string) bool { return strings.EqualFold(accepted, typ) })
}

// key finds the issuer's key that the header asks for. An algorithm is accepted
// because the key is for it, not because the header says so (RFC 8725 section
// 3.1).
func (r *rules) key(ctx context.Context, h header) (*verificationKey, error) {
	if !slices.Contains(r.algorithms, h.algorithm) {
		return nil, refuse(authz.TokenUnsupported, "alg is not one that the issuer signs with")
	}
	if !h.hasKeyID {
		return nil, refuse(authz.TokenUnknownKey, "its header has no kid")
	}
	key, found := r.keys.verificationKey(ctx, h.keyID)
	if !found {
		return nil, refuse(authz.TokenUnknownKey, "the issuer has no key of this kid")
	}
	if key.algorithm != h.algorithm {
		return nil, refuse(authz.TokenUnknownKey, "the issuer's key of this kid is for another alg")
	}
	return key, nil
}
