package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// Errors of changes to keys that a caller decides on.
var (
	// ErrKeyNotFound: there is no key of that id.
	ErrKeyNotFound = errors.New("there is no such key")
	// ErrKeyRetired: the key was retired, or has expired, before.
	ErrKeyRetired = errors.New("the key is retired already")
	// ErrOnlySigningKey: no other key could sign in its place.
	ErrOnlySigningKey = errors.New("the key signs, and no other one does: make its successor first, with `stagedoor key rotate --now`")
	// ErrRotationPending: a key is published that will sign.
	ErrRotationPending = errors.New("the next key is published already; to have it sign at once, use `stagedoor key rotate --now`")
	// ErrNoKeys: there is nothing to rotate or to encrypt.
	ErrNoKeys = errors.New("there are no signing keys yet: the first start of the server makes one")
)

// KeyAdmin lists and changes the keys of a store. It keeps none of them in memory,
// and works beside running servers, which follow within a second.
type KeyAdmin struct {
	Store KeyStore
	// Algorithm is the one that tokens are signed with.
	Algorithm string
	// Sealer encrypts keys at rest. Nil: they are stored in clear.
	Sealer *Sealer
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Rand is where keys come from. Default [crypto/rand.Reader].
	Rand io.Reader
}

func (a *KeyAdmin) now() time.Time {
	if a.Now == nil {
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return a.Now().UTC().Truncate(time.Millisecond)
}

func (a *KeyAdmin) rand() io.Reader {
	if a.Rand == nil {
		return rand.Reader
	}
	return a.Rand
}

// List returns all keys, also those that expired not long ago, the signing one
// first.
func (a *KeyAdmin) List(ctx context.Context) ([]KeyStatus, error) {
	keys, err := a.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	return statuses(keys, a.Algorithm, a.now()), nil
}

// Rotate makes the successor of the signing key. It is published at once, and signs
// six minutes later, when everybody who verifies our tokens has had the time to
// learn of it; or, if at once, from now on: then those who keep the published keys
// may refuse new tokens until they fetch them again. The former keys verify until
// the last token that they have signed has expired.
//
// While a next key is published, the error is [ErrRotationPending]; rotating at
// once has that one sign.
func (a *KeyAdmin) Rotate(ctx context.Context, atOnce bool) (Key, error) {
	now := a.now()
	start := now
	if !atOnce {
		start = now.Add(publishAhead)
	}
	// Outside the transaction: an RSA key takes a while.
	fresh, err := generate(a.Algorithm, now, a.rand())
	if err != nil {
		return Key{}, fmt.Errorf("rotate the signing keys: %w", err)
	}
	sealed, err := a.Sealer.seal(fresh, a.rand())
	if err != nil {
		return Key{}, fmt.Errorf("rotate the signing keys: %w", err)
	}
	var successor Key
	err = a.Store.ChangeKeys(ctx, func(keys []Key) (KeyChange, error) {
		if signer(keys, a.Algorithm, now) < 0 {
			return KeyChange{}, ErrNoKeys
		}
		if err := a.check(keys, now); err != nil {
			return KeyChange{}, err
		}
		successor = sealed
		if next := waiting(keys, a.Algorithm, now); next >= 0 {
			if !atOnce {
				return KeyChange{}, ErrRotationPending
			}
			successor = keys[next]
		}
		successor.ActivateAt = start
		change := KeyChange{Put: []Key{successor}}
		for _, key := range keys {
			switch {
			case key.ID == successor.ID:
			case key.expired(now):
				if now.Sub(key.ExpiresAt) > keepExpired {
					change.Remove = append(change.Remove, key.ID)
				}
			default:
				change.Put[0].MaxLifetime = max(change.Put[0].MaxLifetime, key.MaxLifetime)
				key.endAt(start)
				change.Put = append(change.Put, key)
			}
		}
		successor = change.Put[0]
		return a.told(change, KeyRotated, successor.ID, map[string]string{
			"algorithm": successor.Algorithm, "signs_from": start.Format(time.RFC3339),
		})
	})
	if err != nil {
		return Key{}, fmt.Errorf("rotate the signing keys: %w", err)
	}
	successor.Secret = nil
	return successor, nil
}

// Retire takes a key back: from now on its tokens are refused, and its secret is
// erased. The key that signs can't be retired while no other one signs. Where a key
// is retired that would have signed next, the present one goes on.
func (a *KeyAdmin) Retire(ctx context.Context, kid string) error { return a.retire(ctx, kid, false) }

// RetireLast is Retire for the key that signs while no other one does, such as when
// the secret that encrypts the keys was lost: a server that runs, or starts, makes
// another.
func (a *KeyAdmin) RetireLast(ctx context.Context, kid string) error { return a.retire(ctx, kid, true) }

func (a *KeyAdmin) retire(ctx context.Context, kid string, last bool) error {
	now := a.now()
	err := a.Store.ChangeKeys(ctx, func(keys []Key) (KeyChange, error) {
		at := slices.IndexFunc(keys, func(key Key) bool { return key.ID == kid })
		if at < 0 {
			return KeyChange{}, ErrKeyNotFound
		}
		if keys[at].expired(now) {
			return KeyChange{}, ErrKeyRetired
		}
		signed := signer(keys, a.Algorithm, now)
		keys[at].erase(now)
		change := KeyChange{Put: []Key{keys[at]}}
		current := signer(keys, a.Algorithm, now)
		if !last && signed == at && (current < 0 || !keys[current].signs(now)) {
			return KeyChange{}, ErrOnlySigningKey
		}
		open := func(key Key) bool {
			return key.Algorithm == a.Algorithm && !key.expired(now) && key.RetireAt.IsZero()
		}
		if current >= 0 && !slices.ContainsFunc(keys, open) {
			keys[current].RetireAt, keys[current].ExpiresAt = time.Time{}, time.Time{}
			change.Put = append(change.Put, keys[current])
		}
		return a.told(change, KeyRetired, kid, map[string]string{"algorithm": keys[at].Algorithm})
	})
	if err != nil {
		return fmt.Errorf("retire the key %q: %w", kid, err)
	}
	return nil
}

// Rekey encrypts every stored key anew with another secret; nil stores them in
// clear. It changes all of them or none. Servers that run have to be started anew
// with the other secret: until then they go on with the keys that they have in
// memory, but can't read one that is made later.
func (a *KeyAdmin) Rekey(ctx context.Context, to *Sealer) (count int, err error) {
	err = a.Store.ChangeKeys(ctx, func(keys []Key) (KeyChange, error) {
		var change KeyChange
		for _, key := range keys {
			if len(key.Secret) == 0 {
				continue
			}
			opened, err := a.Sealer.open(key)
			if err != nil {
				return KeyChange{}, err
			}
			sealed, err := to.seal(opened, a.rand())
			if err != nil {
				return KeyChange{}, err
			}
			change.Put = append(change.Put, sealed)
		}
		if len(change.Put) == 0 {
			return KeyChange{}, ErrNoKeys
		}
		count = len(change.Put)
		return a.told(change, KeyRekeyed, "", map[string]string{"keys": fmt.Sprint(count), "encrypted": fmt.Sprint(to != nil)})
	})
	if err != nil {
		return 0, fmt.Errorf("encrypt the signing keys anew: %w", err)
	}
	return count, nil
}

// told adds an event to a change.
func (a *KeyAdmin) told(change KeyChange, action, kid string, details map[string]string) (KeyChange, error) {
	now := a.now()
	id, err := ulid.New(ulid.Timestamp(now), a.rand())
	if err != nil {
		return KeyChange{}, fmt.Errorf("make the id of an event: %w", err)
	}
	change.Events = append(change.Events, KeyEvent{ID: id.String(), At: now, Action: action, KeyID: kid, Details: details})
	return change, nil
}

// check refuses to add a key that the servers could not read beside those that are
// there: one in clear, or encrypted with another secret.
func (a *KeyAdmin) check(keys []Key, now time.Time) error {
	for _, key := range keys {
		if key.expired(now) || len(key.Secret) == 0 {
			continue
		}
		if _, err := a.Sealer.open(key); err != nil {
			return err
		}
	}
	return nil
}

// settle brings stored keys in line with how a server was started: encrypted, if
// there is a secret; kept for as long as the tokens that the server issues may
// live; and one there for the signing algorithm, unless that comes from elsewhere.
// It returns the keys, and the id of the one that it made, if it did.
func (a *KeyAdmin) settle(ctx context.Context, lifetime time.Duration, needsSigner bool) (stored []Key, made string, err error) {
	now := a.now()
	lifetime = cmp.Or(lifetime, defaultMaxLifetime)
	if stored, err = a.Store.Keys(ctx); err != nil {
		return nil, "", fmt.Errorf("read the signing keys: %w", err)
	}
	fresh, has := Key{}, signer(stored, a.Algorithm, now) >= 0
	if needsSigner && !has {
		if fresh, err = generate(a.Algorithm, now, a.rand()); err != nil {
			return nil, "", err
		}
		if fresh, err = a.Sealer.seal(fresh, a.rand()); err != nil {
			return nil, "", err
		}
		fresh.MaxLifetime = lifetime
	}
	change, err := a.settled(stored, fresh, lifetime, now)
	if err != nil || len(change.Put) == 0 {
		return stored, "", err
	}
	err = a.Store.ChangeKeys(ctx, func(keys []Key) (KeyChange, error) {
		if made = fresh.ID; signer(keys, a.Algorithm, now) >= 0 {
			made = "" // another process was faster
			return a.settled(keys, Key{}, lifetime, now)
		}
		return a.settled(keys, fresh, lifetime, now)
	})
	if err != nil {
		return nil, "", fmt.Errorf("store the signing keys: %w", err)
	}
	if stored, err = a.Store.Keys(ctx); err != nil {
		return nil, "", fmt.Errorf("read the signing keys: %w", err)
	}
	return stored, made, nil
}

// settled is what settle has to change.
func (a *KeyAdmin) settled(keys []Key, fresh Key, lifetime time.Duration, now time.Time) (KeyChange, error) {
	var change KeyChange
	if fresh.ID != "" {
		if err := a.check(keys, now); err != nil {
			return KeyChange{}, err
		}
		change.Put = append(change.Put, fresh)
		var err error
		if change, err = a.told(change, KeyCreated, fresh.ID, map[string]string{"algorithm": fresh.Algorithm}); err != nil {
			return KeyChange{}, err
		}
	}
	for _, key := range keys {
		kept, err := a.Sealer.seal(key, a.rand())
		if err != nil {
			return KeyChange{}, err
		}
		if kept.expired(now) {
			kept.Secret, kept.Sealed = nil, false
		} else if kept.MaxLifetime < lifetime && (kept.RetireAt.IsZero() || now.Before(kept.RetireAt)) {
			kept.MaxLifetime = lifetime
			if !kept.RetireAt.IsZero() {
				kept.ExpiresAt = kept.RetireAt.Add(lifetime + keySlack)
			}
		}
		if kept.Sealed != key.Sealed || kept.MaxLifetime != key.MaxLifetime || len(kept.Secret) != len(key.Secret) {
			change.Put = append(change.Put, kept)
		}
	}
	return change, nil
}
