package token

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// KeyStore keeps signing keys.
type KeyStore interface {
	// Keys returns every key, in any order.
	Keys(ctx context.Context) ([]Key, error)
	// ChangeKeys calls change with every key, and stores what it answers. It is one
	// transaction, atomic between processes: no other change comes between what
	// change has seen and what is stored. An error of change is returned, and then
	// nothing is stored. change may be called more than once.
	ChangeKeys(ctx context.Context, change func(keys []Key) (KeyChange, error)) error
}

// KeyChange is what is to be stored.
type KeyChange struct {
	// Put are keys to add, or to put in the place of those with the same id.
	Put []Key
	// Remove are the ids of keys to remove.
	Remove []string
	// Events are what an auditor should know of the change.
	Events []KeyEvent
}

// KeyEvent is something that happened to a key.
type KeyEvent struct {
	// ID is a ULID, and At when it happened.
	ID string
	At time.Time
	// Action is one of the constants below.
	Action string
	// KeyID is the kid of the key; empty where all of them are meant.
	KeyID string
	// Details says more, such as when the key begins to sign.
	Details map[string]string
}

// What happens to keys.
const (
	KeyCreated = "key.created"
	KeyRotated = "key.rotated"
	KeyRetired = "key.retired"
	KeyRekeyed = "key.rekeyed"
)

// MemoryKeys is a [KeyStore] that lasts as long as the process: for rehearsals and
// tests. The zero value is ready.
type MemoryKeys struct {
	mu   sync.Mutex
	keys map[string]Key
}

// Keys implements [KeyStore].
func (m *MemoryKeys) Keys(context.Context) ([]Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.keys)), nil
}

// ChangeKeys implements [KeyStore].
func (m *MemoryKeys) ChangeKeys(_ context.Context, change func([]Key) (KeyChange, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed, err := change(slices.Collect(maps.Values(m.keys)))
	if err != nil {
		return err
	}
	if m.keys == nil {
		m.keys = map[string]Key{}
	}
	for _, key := range changed.Put {
		m.keys[key.ID] = key
	}
	for _, id := range changed.Remove {
		delete(m.keys, id)
	}
	return nil
}
