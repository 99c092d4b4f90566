package token

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// KeyringOptions says how to sign. The zero value signs with EdDSA.
type KeyringOptions struct {
	// Algorithm signs new tokens: one of [Algorithms]. Default EdDSA. Keys of the
	// other algorithms that the store holds go on verifying.
	Algorithm string
	// HMACSecret is the HS256 secret, at least 32 bytes; it is not put in the
	// store. Default: a random one, kept in the store. It must be nil for every
	// other algorithm.
	HMACSecret []byte
	// Logger tells of keys made and claims left out. Default: discard.
	Logger *slog.Logger
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Rand makes token ids, HMAC secrets and their ids; it must be safe for
	// concurrent use. Default [crypto/rand.Reader].
	Rand io.Reader
}

// Keyring holds the keys of our own issuer. It is safe for concurrent use.
type Keyring struct {
	store      KeyStore
	algorithm  string
	configured *signingKey // nil unless HMACSecret was given
	logger     *slog.Logger
	now        func() time.Time
	rand       io.Reader

	reload  sync.Mutex // one Reload at a time, so that none undoes a later one
	current atomic.Pointer[ring]
}

// ring is one state of a keyring. It is never changed.
type ring struct {
	signing *signingKey
	byID    map[string]*verificationKey
	jwks    []byte
}

// OpenKeyring reads the keys of the store, and makes and stores one when there is
// none for the signing algorithm. It fails on unusable options, on a store that
// fails, and on a stored key that can't be used.
func OpenKeyring(ctx context.Context, store KeyStore, options KeyringOptions) (*Keyring, error) {
	k := &Keyring{
		store:     store,
		algorithm: cmp.Or(options.Algorithm, EdDSA),
		logger:    cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		now:       options.Now,
		rand:      options.Rand,
	}
	if k.now == nil {
		k.now = time.Now
	}
	if k.rand == nil {
		k.rand = rand.Reader
	}
	if store == nil {
		return nil, errors.New("open the keyring: no key store was given")
	}
	if method(k.algorithm) == nil {
		return nil, fmt.Errorf("open the keyring: %w", unknownAlgorithm(k.algorithm))
	}
	if options.HMACSecret != nil {
		if k.algorithm != HS256 {
			return nil, fmt.Errorf("open the keyring: an HS256 secret was given, but tokens are signed with %s: remove one of the two options", k.algorithm)
		}
		var err error
		if k.configured, err = configuredKey(options.HMACSecret); err != nil {
			return nil, fmt.Errorf("open the keyring: %w", err)
		}
	}
	if err := k.Reload(ctx); err != nil {
		return nil, fmt.Errorf("open the keyring: %w", err)
	}
	return k, nil
}

// Reload reads the store again and swaps in what it holds: from then on, new keys
// verify and removed ones do not. On an error the keys stay as they were.
func (k *Keyring) Reload(ctx context.Context) error {
	k.reload.Lock()
	defer k.reload.Unlock()
	stored, err := k.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	hasSigning := slices.ContainsFunc(stored, func(key Key) bool { return key.Algorithm == k.algorithm })
	if k.configured == nil && !hasSigning {
		made, err := k.makeKey(ctx)
		if err != nil {
			return err
		}
		stored = append(slices.Clip(stored), made)
	}
	next, err := newRing(stored, k.algorithm, k.configured, k.current.Load())
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	k.current.Store(next)
	return nil
}

// makeKey stores a new key for the signing algorithm, or returns the one that
// another process was faster with.
func (k *Keyring) makeKey(ctx context.Context) (Key, error) {
	fresh, err := generate(k.algorithm, k.now(), k.rand)
	if err != nil {
		return Key{}, err
	}
	kept, err := k.store.EnsureKey(ctx, fresh)
	if err != nil {
		return Key{}, fmt.Errorf("store a new signing key: %w", err)
	}
	if kept.Algorithm != k.algorithm {
		return Key{}, fmt.Errorf("store a new signing key: the store answered with a key for %q instead of %q", kept.Algorithm, k.algorithm)
	}
	if kept.ID == fresh.ID {
		k.logger.Info("signing key made", slog.String("kid", kept.ID), slog.String("alg", kept.Algorithm))
	}
	return kept, nil
}

// newRing makes a ring of the stored keys. Those that the previous ring, which
// may be nil, has too stay the same pointers: what was verified with them is
// remembered by it.
func newRing(stored []Key, algorithm string, configured *signingKey, previous *ring) (*ring, error) {
	r := &ring{signing: configured, byID: make(map[string]*verificationKey, len(stored)+1)}
	if configured != nil {
		r.byID[configured.id] = configured.verificationKey
	}
	var published []*verificationKey
	for _, key := range stored {
		usable, err := parseKey(key)
		if err != nil {
			return nil, err
		}
		if r.byID[usable.id] != nil {
			return nil, fmt.Errorf("two keys have the id %q: remove one from the store", usable.id)
		}
		if previous != nil && usable.verifiesAs(previous.byID[usable.id]) {
			usable.verificationKey = previous.byID[usable.id]
		}
		r.byID[usable.id] = usable.verificationKey
		if usable.algorithm != HS256 {
			published = append(published, usable.verificationKey)
		}
		if configured == nil && usable.algorithm == algorithm && usable.youngerThan(r.signing) {
			r.signing = usable
		}
	}
	var err error
	r.jwks, err = encodeJWKS(published)
	return r, err
}

// youngerThan orders keys by age, and those of one age by id, so that every
// process signs with the same one.
func (s *signingKey) youngerThan(other *signingKey) bool {
	if other == nil {
		return true
	}
	return cmp.Or(s.createdAt.Compare(other.createdAt), cmp.Compare(s.id, other.id)) > 0
}

// verificationKey finds a key by its kid, which is never anything but a map's
// key.
func (k *Keyring) verificationKey(_ context.Context, kid string) (*verificationKey, bool) {
	key, found := k.current.Load().byID[kid]
	return key, found
}

// Signing returns the id and the algorithm of the key that signs new tokens.
func (k *Keyring) Signing() (kid, algorithm string) {
	signing := k.current.Load().signing
	return signing.id, signing.algorithm
}

// JWKS returns the public keys as a JWK set (RFC 7517), ordered by kid. HMAC
// secrets are never in it.
func (k *Keyring) JWKS() []byte { return bytes.Clone(k.current.Load().jwks) }
