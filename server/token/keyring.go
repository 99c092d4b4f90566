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
	// Sealer encrypts the keys at rest; those that are stored in clear are encrypted
	// when the ring is opened. Default: none, and the keys are stored in clear.
	Sealer *Sealer
	// MaxLifetime is the longest lifetime of the tokens that are minted; a key is
	// kept for as long after it has signed its last one. Default 24 h.
	MaxLifetime time.Duration
	// RotateEvery has [Keyring.Tend] make a successor of the signing key when it has
	// signed for that long. Default 0: only [Keyring.Rotate] does. It has no meaning
	// for a given HMACSecret.
	RotateEvery time.Duration
	// ReadOnly opens a ring that only verifies, and changes nothing in the store.
	ReadOnly bool
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
	admin       KeyAdmin
	configured  *signingKey // nil unless HMACSecret was given
	lifetime    time.Duration
	rotateEvery time.Duration
	readOnly    bool
	logger      *slog.Logger
	now         func() time.Time
	rand        io.Reader

	reload    sync.Mutex // one Reload at a time, so that none undoes a later one
	tendAfter time.Time  // of Tend alone
	looking   sync.Mutex // over looked
	looked    time.Time  // when the store was last asked for an unknown key
	current   atomic.Pointer[ring]
}

// OpenKeyring reads the keys of the store, and makes and stores one when there is
// none for the signing algorithm. It fails on unusable options, on a store that
// fails, and on a stored key that can't be used.
func OpenKeyring(ctx context.Context, store KeyStore, options KeyringOptions) (*Keyring, error) {
	k := &Keyring{
		lifetime:    options.MaxLifetime,
		rotateEvery: options.RotateEvery,
		readOnly:    options.ReadOnly,
		logger:      cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		now:         options.Now,
		rand:        options.Rand,
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
	algorithm := cmp.Or(options.Algorithm, EdDSA)
	k.admin = KeyAdmin{Store: store, Algorithm: algorithm, Sealer: options.Sealer, Now: k.now, Rand: k.rand}
	if !slices.Contains(Algorithms(), algorithm) {
		return nil, fmt.Errorf("open the keyring: %w", unknownAlgorithm(algorithm))
	}
	if options.HMACSecret != nil {
		if algorithm != HS256 {
			return nil, fmt.Errorf("open the keyring: an HS256 secret was given, but tokens are signed with %s: remove one of the two options", algorithm)
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
// verify and retired ones do not. On an error the keys stay as they were.
func (k *Keyring) Reload(ctx context.Context) error {
	k.reload.Lock()
	defer k.reload.Unlock()
	stored, made, err := k.read(ctx)
	if err != nil {
		return err
	}
	if made != "" {
		k.logger.Info("signing key made", slog.String("kid", made), slog.String("alg", k.admin.Algorithm))
	}
	next, err := k.newRing(stored)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	k.current.Store(next)
	return nil
}

func (k *Keyring) read(ctx context.Context) (stored []Key, made string, err error) {
	if !k.readOnly {
		return k.admin.settle(ctx, k.lifetime, k.configured == nil)
	}
	if stored, err = k.admin.Store.Keys(ctx); err != nil {
		return nil, "", fmt.Errorf("read the signing keys: %w", err)
	}
	return stored, "", nil
}

// find implements keySource. The kid is never anything but a map's key. One that is
// not known may be that of a key which another process has made a moment ago, so the
// store is asked, however many tokens name one, 100 times a second at most.
func (k *Keyring) find(ctx context.Context, h header, now time.Time) (*verificationKey, bool) {
	if !h.hasKeyID {
		return nil, false
	}
	if key, found := k.current.Load().find(h.keyID, now); found || len(h.keyID) > maxKeyID {
		return key, found
	}
	k.look(ctx)
	return k.current.Load().find(h.keyID, now)
}

const (
	// lookInterval is how often the store is asked for a key that is not known.
	lookInterval = 10 * time.Millisecond
	// lookTimeout is how long that may take.
	lookTimeout = 500 * time.Millisecond
	// maxKeyID is longer than any of our kids.
	maxKeyID = 64
)

// look reads the store again, unless that was done a moment ago. What goes wrong is
// the poll's to report: here it means that the key is not known.
func (k *Keyring) look(ctx context.Context) {
	k.looking.Lock()
	defer k.looking.Unlock()
	now := k.now()
	if since := now.Sub(k.looked); !k.looked.IsZero() && since >= 0 && since < lookInterval {
		return
	}
	k.looked = now
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if stored, err := k.admin.Store.Keys(ctx); err == nil && k.hasNews(stored) {
		_ = k.Reload(ctx)
	}
}

// hasNews reports whether a stored key is not in the ring.
func (k *Keyring) hasNews(stored []Key) bool {
	known := k.current.Load().byID
	return slices.ContainsFunc(stored, func(key Key) bool {
		_, found := known[key.ID]
		return !found && !key.expired(k.now())
	})
}

// holds implements keySource.
func (k *Keyring) holds(key *verificationKey, now time.Time) bool {
	found := k.current.Load().byID[key.id]
	return found.key == key && (found.until.IsZero() || now.Before(found.until))
}

// Signing returns the id and the algorithm of the key that signs new tokens.
func (k *Keyring) Signing() (kid, algorithm string) {
	signing := k.current.Load().signing(k.now())
	if signing == nil {
		return "", k.admin.Algorithm
	}
	return signing.id, signing.algorithm
}

// JWKS returns the public keys as a JWK set (RFC 7517), ordered by kid: the next
// and the former ones too. HMAC secrets are never in it.
func (k *Keyring) JWKS() []byte {
	r, now := k.current.Load(), k.now()
	if r.jwksUntil.IsZero() || now.Before(r.jwksUntil) {
		return bytes.Clone(r.jwks)
	}
	// It was encoded before, with more keys in it.
	jwks, _, err := r.publish(now)
	if err != nil {
		return []byte(`{"keys":[]}`)
	}
	return jwks
}

// ErrKeyOfFile means that tokens are signed with a secret that was given, which is not
// ours to change.
var ErrKeyOfFile = errors.New("tokens are signed with the HS256 secret of a file: to change it, replace the file and restart the server")

// Keys lists the keys of the store; see [KeyAdmin.List].
func (k *Keyring) Keys(ctx context.Context) ([]KeyStatus, error) { return k.admin.List(ctx) }

// Rotate makes the successor of the signing key; see [KeyAdmin.Rotate].
func (k *Keyring) Rotate(ctx context.Context, atOnce bool) (Key, error) {
	if k.configured != nil {
		return Key{}, ErrKeyOfFile
	}
	next, err := k.admin.Rotate(ctx, atOnce)
	if err != nil {
		return Key{}, err
	}
	return next, k.Reload(ctx)
}

// Retire takes a key back; see [KeyAdmin.Retire]. When it returns without an error,
// the key's tokens are refused.
func (k *Keyring) Retire(ctx context.Context, kid string) error {
	if err := k.admin.Retire(ctx, kid); err != nil {
		return err
	}
	return k.Reload(ctx)
}

// tendRetry is how long Tend waits after a failure.
const tendRetry = time.Minute

// Tend does what it is time for: it makes the next key by the schedule, and erases
// the secrets of keys that have expired. It is to be called every second or so, by
// one goroutine, and asks nothing of the store where there is nothing to do. Of
// several processes on one store, one makes the key.
func (k *Keyring) Tend(ctx context.Context) error {
	now := k.now()
	if now.Before(k.tendAfter) {
		return nil
	}
	r := k.current.Load()
	var err error
	switch {
	case r.signing(now) == nil, r.hasRemains(now):
		err = k.Reload(ctx)
	case k.isDue(r, now):
		var next Key
		next, err = k.Rotate(ctx, false)
		if errors.Is(err, ErrRotationPending) { // another process was faster
			err = k.Reload(ctx)
		} else if err == nil {
			k.logger.Info("next signing key made", slog.String("kid", next.ID), slog.String("alg", next.Algorithm), slog.Time("signs_from", next.ActivateAt))
		}
	}
	if err != nil {
		k.tendAfter = now.Add(tendRetry)
	}
	return err
}

// isDue reports whether the signing key needs a successor.
func (k *Keyring) isDue(r *ring, now time.Time) bool {
	if k.rotateEvery <= 0 || k.configured != nil {
		return false
	}
	i := signer(r.stored, r.algorithm, now)
	return i >= 0 && r.stored[i].RetireAt.IsZero() && !now.Before(r.stored[i].ActivateAt.Add(k.rotateEvery-publishAhead)) &&
		waiting(r.stored, r.algorithm, now) < 0
}
