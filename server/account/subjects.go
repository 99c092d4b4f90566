package account

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// DefaultCacheBytes bounds the memory of subjects.
const DefaultCacheBytes = 16 << 20

// subjects remembers who accounts are. All of it is forgotten at each change: a
// change is rare, a look-up is not.
type subjects struct {
	cache *cache.Cache[*remembered] // nil when it is off
	// generation counts changes. What was read from the store during one
	// generation says nothing about the next.
	generation atomic.Uint64
}

// remembered is a subject as it was read during a generation.
type remembered struct {
	subject    *authz.Subject
	generation uint64
}

func (s *subjects) forget() { s.generation.Add(1) }

// Subject is who the account of that id is now; [ErrNotFound] when it is gone. It
// is shared, and must not be changed.
//
// It is answered from memory where it can be. A change made through this
// Directory is seen by every call that begins after it; for one made by others,
// there is [Directory.Forget].
func (d *Directory) Subject(ctx context.Context, id string) (*authz.Subject, error) {
	// Before the store is read: a change during the reading makes what was read
	// one of a generation that is over.
	generation := d.subjects.generation.Load()
	if r, ok := d.subjects.cache.Get(id); ok && r.generation == generation {
		return r.subject, nil
	}
	subject, err := d.store.Subject(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("looking up the account %q: %w", shorten(id), err)
	}
	if d.subjects.cache == nil {
		return subject, nil
	}
	if d.prepare != nil {
		subject.Prepared = d.prepare(subject)
	}
	d.subjects.cache.Put(subject.ID, &remembered{subject, generation}, subjectBytes(subject))
	return subject, nil
}

// Forget makes the next look-up of every subject ask the store. It is for changes
// that were made by others: another process, or the store's other users.
func (d *Directory) Forget() { d.subjects.forget() }

// CacheStats says how the memory of subjects does. One that is found and was
// changed since counts as a hit.
func (d *Directory) CacheStats() cache.Stats { return d.subjects.cache.Stats() }

// subjectBytes is about how much memory a subject takes, with the policy engine's
// form of it.
func subjectBytes(s *authz.Subject) int {
	const fixed, prepared = 256, 3
	return fixed + prepared*(len(s.ID)+len(s.Username)+cache.Footprint(s.Attributes)+cache.Footprint(s.Roles))
}
