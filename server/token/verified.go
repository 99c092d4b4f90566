package token

import (
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// defaultCacheBytes bounds the memory of verified tokens.
const defaultCacheBytes = 32 << 20

// Verified is a good token. It is never changed, and may be shared.
type Verified struct {
	// Issuer, Subject and ID are iss, sub and jti. Of a trusted issuer's token, Issuer
	// is the name that the configuration has for it, and Subject what it says the
	// subject is.
	Issuer, Subject, ID string
	// ClientID and SessionID are client_id and sid; empty where the token has none,
	// and for tokens of other issuers.
	ClientID, SessionID string
	// External is who the subject of a trusted issuer's token is; nil exactly for our
	// own issuer's. It is never one of our accounts or clients, whatever its id.
	External *authz.Subject
	// KeyID says which of the issuer's keys signed the token.
	KeyID string
	// IssuedAt is iat; zero where a trusted issuer's token has none.
	IssuedAt time.Time
	// Expiry is exp. The token is good before it (plus the leeway), not at it.
	Expiry time.Time
	// Claims is the claims set, whole.
	Claims *authz.Claims
}

// lifetime is when a token is good; a zero time is no bound.
type lifetime struct {
	// from is the later one of nbf and iat, until is exp.
	from, until time.Time
}

// check judges the token's times at a moment. It is asked for a token that is
// remembered as it is for one that is new.
func (l lifetime) check(now time.Time, leeway time.Duration) error {
	if now.Add(leeway).Before(l.from) {
		return refuse(authz.TokenNotYetValid, "nbf or iat lies in the future")
	}
	// RFC 7519 section 4.1.4: on or after exp, a token must not be accepted.
	if !l.until.IsZero() && !now.Before(l.until.Add(leeway)) {
		return refuse(authz.TokenExpired, "exp has passed")
	}
	return nil
}

// remembered is a token that was good when it was verified, with what decides
// whether it still is. It is never changed.
type remembered struct {
	verified *Verified
	lifetime lifetime
	rules    *rules
	key      *verificationKey
}

// stands reports whether verifying the token again would find it good. What its
// bytes say has not changed; the clock and the issuer's keys may have.
func (m *remembered) stands(now time.Time) bool {
	return m.rules.keys.holds(m.key, now) && m.lifetime.check(now, m.rules.leeway) == nil
}

// recall returns the token of exactly these bytes if it was verified before and
// still stands. Where it does not stand, the caller has to verify it: there is
// one place that refuses tokens.
func (v *Verifier) recall(raw string) (*Verified, bool) {
	if len(raw) > MaxSize {
		return nil, false // not worth hashing
	}
	m, found := v.cache.Get(raw)
	if !found {
		return nil, false
	}
	if !m.stands(v.now()) {
		v.cache.Delete(raw)
		return nil, false
	}
	return m.verified, true
}

// remember keeps a token that has just been found good.
func (v *Verifier) remember(raw string, m *remembered) {
	if v.cache == nil {
		return
	}
	size := cache.Footprint(m.verified.Claims.Values)
	if m.verified.Claims.Prepared != nil {
		size += size*preparedFactor + preparedBytes
	}
	// A copy: the bytes may be part of a larger text, such as a header.
	v.cache.Put(strings.Clone(raw), m, verifiedBytes+size)
}

// CacheStats says how the memory of verified tokens does. A token that is found
// and no longer stands counts as a hit.
func (v *Verifier) CacheStats() cache.Stats { return v.cache.Stats() }

const (
	// verifiedBytes is what a remembered token takes beside its claims.
	verifiedBytes = 512
	// preparedBytes is what the policy engine keeps beside that form of the claims.
	preparedBytes = 256
	// preparedFactor is how much larger than the claims the policy engine's form
	// of them is taken to be.
	preparedFactor = 2
)
