package token

import (
	"cmp"
	"slices"
	"time"
)

const (
	// publishAhead is how long a key is published before it signs: those who verify
	// our tokens may keep the published set for 300 s, and other processes of ours
	// know of it within a second.
	publishAhead = 6 * time.Minute
	// keySlack is how much longer than its last token a key is kept, for clocks that
	// differ, and for processes that learn of a successor a moment later.
	keySlack = time.Minute
	// defaultMaxLifetime is how long a token may live where nobody says so.
	defaultMaxLifetime = 24 * time.Hour
	// keepExpired is how long a key is still listed after it has expired. Its secret
	// is erased at once.
	keepExpired = 30 * 24 * time.Hour
)

// KeyState says what a key is for at a moment.
type KeyState string

// The states of a key, in the order in which it goes through them.
const (
	// KeyNext: published, and will sign.
	KeyNext KeyState = "next"
	// KeySigning: signs new tokens.
	KeySigning KeyState = "signing"
	// KeyFormer: verifies, and is published, until the last token that it has signed
	// has expired.
	KeyFormer KeyState = "former"
	// KeyExpired: its tokens are refused.
	KeyExpired KeyState = "retired"
)

// expired reports whether a key verifies nothing any more.
func (k *Key) expired(now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// signs reports whether a key is one of those that may sign now.
func (k *Key) signs(now time.Time) bool {
	return !k.expired(now) && !now.Before(k.ActivateAt) && (k.RetireAt.IsZero() || now.Before(k.RetireAt))
}

// waits reports whether a key has not begun to sign.
func (k *Key) waits(now time.Time) bool { return !k.expired(now) && now.Before(k.ActivateAt) }

// endAt has the key stop signing at a moment, unless it stops earlier, and
// verifying once the last token that it can have signed has expired.
func (k *Key) endAt(moment time.Time) {
	if !k.RetireAt.IsZero() && !k.RetireAt.After(moment) {
		return
	}
	k.RetireAt = moment
	k.ExpiresAt = moment.Add(cmp.Or(k.MaxLifetime, defaultMaxLifetime) + keySlack)
}

// erase takes back what the key can do.
func (k *Key) erase(now time.Time) {
	k.Secret, k.Sealed = nil, false
	if k.ExpiresAt.IsZero() || k.ExpiresAt.After(now) {
		k.ExpiresAt = now
	}
	if k.RetireAt.IsZero() || k.RetireAt.After(now) {
		k.RetireAt = now
	}
}

// youngerThan orders keys by when they began to sign, and then by age and id, so
// that every process signs with the same one.
func (k *Key) youngerThan(other *Key) bool {
	return cmp.Or(k.ActivateAt.Compare(other.ActivateAt), k.CreatedAt.Compare(other.CreatedAt), cmp.Compare(k.ID, other.ID)) > 0
}

// signer is the index of the key that signs with the algorithm at a moment, or -1.
// Where none has begun, the next one does: of two processes that start at once,
// the one whose clock is behind signs with the other's key.
func signer(keys []Key, algorithm string, now time.Time) int {
	active, next := -1, -1
	for i := range keys {
		switch key := &keys[i]; {
		case key.Algorithm != algorithm:
		case key.signs(now):
			if active < 0 || key.youngerThan(&keys[active]) {
				active = i
			}
		case key.waits(now):
			if next < 0 || keys[next].youngerThan(key) {
				next = i
			}
		}
	}
	if active < 0 {
		return next
	}
	return active
}

// waiting is the index of the key of the algorithm that signs next, or -1.
func waiting(keys []Key, algorithm string, now time.Time) int {
	current := signer(keys, algorithm, now)
	return slices.IndexFunc(keys, func(key Key) bool {
		return key.Algorithm == algorithm && key.waits(now) && (current < 0 || key.ID != keys[current].ID)
	})
}

// KeyStatus is a key as it is listed; nothing secret is in it.
type KeyStatus struct {
	Key
	// State is what the key is for now.
	State KeyState `json:"state"`
}

// statuses are the keys with their states, the signing one and those that will
// sign first.
func statuses(keys []Key, algorithm string, now time.Time) []KeyStatus {
	current := signer(keys, algorithm, now)
	listed := make([]KeyStatus, len(keys))
	for i, key := range keys {
		state := KeyFormer
		switch {
		case key.expired(now):
			state = KeyExpired
		case i == current:
			state = KeySigning
		case key.waits(now):
			state = KeyNext
		}
		key.Secret = nil
		listed[i] = KeyStatus{Key: key, State: state}
	}
	order := []KeyState{KeySigning, KeyNext, KeyFormer, KeyExpired}
	slices.SortFunc(listed, func(a, b KeyStatus) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
			b.ActivateAt.Compare(a.ActivateAt), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID),
		)
	})
	return listed
}
