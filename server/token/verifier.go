package token

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// accessTokenType is the typ of an access token (RFC 9068 section 2.1).
const accessTokenType = "at+jwt"

// VerifierOptions says which tokens are good. A verifier without a keyring, an
// issuer or an audience refuses every token of ours.
type VerifierOptions struct {
	// Issuer is what iss must be, compared byte by byte.
	Issuer string
	// Audience is what aud must be or contain.
	Audience string
	// AnyAudience accepts our own issuer's tokens whoever they are for. It is for the
	// token service, which answers for all that it has issued, and not for a gate.
	AnyAudience bool
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
	// PrepareSubject does the same for the subjects of trusted issuers' tokens; what
	// it returns becomes [authz.Subject].Prepared. Default: none.
	PrepareSubject func(*authz.Subject) any
	// Revoked reports whether one of our own tokens that is good in all else has been
	// taken back, by itself or with its session. It is asked each time that such a
	// token is presented, so it must be quick, and safe for concurrent use. An error
	// means that nobody knows: Verify then returns it, and it is no refusal. Default:
	// none is.
	Revoked func(context.Context, *Verified) (bool, error)
	// Trusted are the other issuers whose tokens are good. None can take the place of
	// our own. Default: there are none.
	Trusted *TrustedIssuers
	// CacheBytes bounds the memory, in bytes, that verified tokens are remembered
	// in. 0 is 32 MiB; a negative value remembers none.
	CacheBytes int64
	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	issuers        map[string]*rules
	anonymous      *rules // for tokens without iss; nil: they are refused
	prepare        func(map[string]any) any
	prepareSubject func(*authz.Subject) any
	revoked        func(context.Context, *Verified) (bool, error)
	now            func() time.Time
	cache          *cache.Cache[*remembered] // nil when it is off
}

// rules is how the tokens of one issuer are verified. Nothing in it is shared
// between issuers, keys least of all.
type rules struct {
	// name is what the issuer is called in [Verified].
	name string
	// external is nil for our own issuer.
	external *external
	// audiences are those of which aud must be or contain one.
	audiences []string
	// anyAudience is whether it may contain others only.
	anyAudience bool
	// algorithms are those that the issuer signs with.
	algorithms []string
	// types are the accepted values of typ, empty for none; media types ignore case
	// (RFC 7515 section 4.1.9).
	types []string
	// required names the claims that must be there. Those that we know must have
	// the right type wherever they are.
	required []string
	// needsKeyID is false where one key alone may do without a kid.
	needsKeyID bool
	leeway     time.Duration
	keys       keySource
}

// keySource is the keys of one issuer.
type keySource interface {
	// find returns the key that a header asks for, by its kid. It is the same pointer
	// for as long as the key stays what it is: tokens that it verified are remembered
	// by it. It may wait for the key to be fetched.
	find(ctx context.Context, h header, now time.Time) (*verificationKey, bool)
	// holds reports whether a key that find has returned is still the issuer's: the
	// key itself, and not another one of its kid. It waits for nothing.
	holds(key *verificationKey, now time.Time) bool
}

// NewVerifier returns a verifier for the tokens that the keyring mints for the
// issuer, and for those of the trusted issuers. A program that mints none has no
// keyring, and no issuer of its own:
//
//	token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers})
func NewVerifier(keys *Keyring, options VerifierOptions) *Verifier {
	own := &rules{
		name:       options.Issuer,
		algorithms: Algorithms(),
		types:      []string{accessTokenType, "application/" + accessTokenType},
		required:   []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id"},
		needsKeyID: true,
		leeway:     max(options.Leeway, 0),
		keys:       keys,

		anyAudience: options.AnyAudience,
	}
	if options.Audience != "" {
		own.audiences = []string{options.Audience}
	}
	v := &Verifier{
		issuers: map[string]*rules{}, prepare: options.Prepare, prepareSubject: options.PrepareSubject,
		revoked: options.Revoked, now: options.Now,
		cache: cache.New[*remembered](cmp.Or(options.CacheBytes, defaultCacheBytes)),
	}
	if options.Trusted != nil {
		maps.Copy(v.issuers, options.Trusted.issuers)
		v.anonymous = options.Trusted.anonymous
	}
	// After the others, none of which can take its place.
	delete(v.issuers, "")
	if options.Issuer != "" && keys != nil {
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
	verified, known := v.recall(raw)
	var fresh *remembered
	if !known {
		var err error
		if fresh, err = v.verify(ctx, raw); err != nil {
			return nil, err
		}
		verified = fresh.verified
	}
	if v.revoked != nil && verified.External == nil {
		revoked, err := v.revoked(ctx, verified)
		if err != nil {
			return nil, fmt.Errorf("find out whether a token was revoked: %w", err)
		}
		if revoked {
			v.cache.Delete(raw)
			return nil, refuse(authz.TokenRevoked, "it was taken back before it expired")
		}
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
	own, err := v.rulesOf(c)
	if err != nil {
		return nil, err
	}
	if !own.acceptsType(c.header.typ) {
		return nil, refuse(authz.TokenWrongType, "typ is not that of an access token")
	}
	key, err := own.key(ctx, c.header, v.now())
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
	verified, lifetime, err := own.check(claims, v.now())
	if err != nil {
		return nil, err
	}
	verified.KeyID = key.id
	verified.Claims = &authz.Claims{Values: claims}
	if v.prepare != nil {
		verified.Claims.Prepared = v.prepare(claims)
	}
	if verified.External != nil && v.prepareSubject != nil {
		verified.External.Prepared = v.prepareSubject(verified.External)
	}
	return &remembered{verified: verified, lifetime: lifetime, rules: own, key: key}, nil
}

// rulesOf chooses the rules by the unverified iss; what they are checked with is
// the issuer's own.
func (v *Verifier) rulesOf(c *compact) (*rules, error) {
	switch own, trusted := v.issuers[c.issuer]; {
	case c.hasIssuer && trusted:
		return own, nil
	case c.hasIssuer:
		return nil, refuse(authz.TokenWrongIssuer, "iss is not a trusted issuer")
	case c.mentionsIssuer || v.anonymous == nil:
		return nil, refuse(authz.TokenInvalidClaims, "iss is missing or not a string")
	}
	return v.anonymous, nil
}

func (r *rules) acceptsType(typ string) bool {
	return slices.ContainsFunc(r.types, func(accepted string) bool { return strings.EqualFold(accepted, typ) })
}

// key finds the issuer's key that the header asks for. An algorithm is accepted
// because the key is for it, not because the header says so (RFC 8725 section
// 3.1).
func (r *rules) key(ctx context.Context, h header, now time.Time) (*verificationKey, error) {
	if r.external != nil {
		h.algorithm = canonicalAlgorithm(h.algorithm)
	}
	if !slices.Contains(r.algorithms, h.algorithm) {
		return nil, refuse(authz.TokenUnsupported, "alg is not one that the issuer signs with")
	}
	if !h.hasKeyID && r.needsKeyID {
		return nil, refuse(authz.TokenUnknownKey, "its header has no kid")
	}
	key, found := r.keys.find(ctx, h, now)
	if !found {
		return nil, refuse(authz.TokenUnknownKey, "the issuer has no key of this kid")
	}
	if key.algorithm != h.algorithm {
		return nil, refuse(authz.TokenUnknownKey, "the issuer's key of this kid is for another alg")
	}
	return key, nil
}
