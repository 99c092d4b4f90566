package token

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ring is one state of a keyring. It is never changed; what signs, and what still
// verifies, is found out by the clock.
type ring struct {
	configured *signingKey
	algorithm  string
	// stored are the keys as the store has them, and usable what they are good for,
	// in the same order; nil for those that had expired when the ring was made.
	stored []Key
	usable []*signingKey
	byID   map[string]held
	jwks   []byte
	// jwksUntil is when the first of the published keys expires; zero: never.
	jwksUntil time.Time
}

// held is a key that verifies until it expires; zero: for good.
type held struct {
	key   *verificationKey
	until time.Time
}

// newRing makes a ring of the stored keys. Those that the present ring has too stay
// the same pointers: what was verified with them is remembered by it.
func (k *Keyring) newRing(stored []Key) (*ring, error) {
	r := &ring{configured: k.configured, algorithm: k.admin.Algorithm, byID: make(map[string]held, len(stored)+1)}
	if k.configured != nil {
		r.byID[k.configured.id] = held{key: k.configured.verificationKey}
	}
	previous, now := k.current.Load(), k.now()
	for _, key := range stored {
		if key.expired(now) {
			r.stored, r.usable = append(r.stored, key), append(r.usable, nil)
			continue
		}
		usable, err := k.usable(key, previous)
		if previous != nil && (errors.Is(err, ErrWrongSecret) || errors.Is(err, ErrSealed)) {
			// The others must not suffer: one of them may have been retired.
			k.logger.Error("a signing key can't be used until this server is restarted with the present secret", "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, twice := r.byID[usable.id]; twice {
			return nil, fmt.Errorf("two keys have the id %q: remove one from the store", usable.id)
		}
		r.stored, r.usable = append(r.stored, key), append(r.usable, usable)
		r.byID[usable.id] = held{usable.verificationKey, key.ExpiresAt}
	}
	if !k.readOnly && r.signing(now) == nil {
		return nil, fmt.Errorf("there is no key for %s", r.algorithm)
	}
	var err error
	r.jwks, r.jwksUntil, err = r.publish(now)
	return r, err
}

// usable makes a stored key ready for use. One that the present ring has is taken
// from there, also where it can no longer be decrypted: another process has
// encrypted it with a secret that this one was not started with.
func (k *Keyring) usable(key Key, previous *ring) (*signingKey, error) {
	var known *signingKey
	if previous != nil {
		for i, before := range previous.stored {
			if before.ID != key.ID || before.Algorithm != key.Algorithm || previous.usable[i] == nil {
				continue
			}
			known = previous.usable[i]
			if bytes.Equal(before.Secret, key.Secret) {
				return known, nil
			}
		}
	}
	opened, err := k.admin.Sealer.open(key)
	if known != nil && (errors.Is(err, ErrWrongSecret) || errors.Is(err, ErrSealed)) {
		k.logger.Warn("a signing key was encrypted with another secret: restart this server with it", slog.String("kid", key.ID))
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	usable, err := parseKey(opened)
	if err != nil {
		return nil, err
	}
	if known != nil && usable.verifiesAs(known.verificationKey) {
		usable.verificationKey = known.verificationKey
	}
	return usable, nil
}

// signing is the key that signs at a moment, or nil.
func (r *ring) signing(now time.Time) *signingKey {
	if r.configured != nil {
		return r.configured
	}
	if i := signer(r.stored, r.algorithm, now); i >= 0 {
		return r.usable[i]
	}
	return nil
}

// publish encodes the public keys that verify at a moment, and says until when.
func (r *ring) publish(now time.Time) (jwks []byte, until time.Time, err error) {
	var published []*verificationKey
	for i, key := range r.stored {
		if r.usable[i] == nil || key.expired(now) || key.Algorithm == HS256 {
			continue
		}
		published = append(published, r.usable[i].verificationKey)
		if !key.ExpiresAt.IsZero() && (until.IsZero() || key.ExpiresAt.Before(until)) {
			until = key.ExpiresAt
		}
	}
	jwks, err = encodeJWKS(published)
	return jwks, until, err
}

func (r *ring) find(kid string, now time.Time) (*verificationKey, bool) {
	found, known := r.byID[kid]
	if !known || !found.until.IsZero() && !now.Before(found.until) {
		return nil, false
	}
	return found.key, true
}

// hasRemains reports whether a key that has expired still has its secret.
func (r *ring) hasRemains(now time.Time) bool {
	return slices.ContainsFunc(r.stored, func(key Key) bool { return key.expired(now) && len(key.Secret) > 0 })
}
