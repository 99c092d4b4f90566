package cache

import (
	"math/bits"
	"sync/atomic"
)

// slotsPerBucket makes a bucket one cache line.
const slotsPerBucket = 7

// bucket is where the entries of some hashes are. Everything in it is written
// under the bucket's lock and read without.
type bucket[V any] struct {
	// tags holds a byte for each slot, the lowest for the first: 0 for an empty
	// slot, else the tag of its entry's hash. A reader may see a tag that is a
	// moment behind its slot; then it compares a key in vain, or misses an entry
	// whose Put has not returned yet.
	tags  atomic.Uint64
	slots [slotsPerBucket]atomic.Pointer[entry[V]]
}

const (
	everyByte = 0x0001_0101_0101_0101
	highBits  = everyByte << 7
)

// tag is never 0. Its bits are not those that choose the bucket.
func tag(hash uint64) uint64 { return hash>>57 | 0x80 }

// candidates marks the slots whose tag is the hash's by the high bit of their
// byte. A slot too many may be marked, never one too few.
func (b *bucket[V]) candidates(hash uint64) uint64 {
	differences := b.tags.Load() ^ tag(hash)*everyByte
	return (differences - everyByte) &^ differences & highBits
}

// slotOf is the first of the candidates.
func slotOf(candidates uint64) int { return bits.TrailingZeros64(candidates) / 8 }

// find returns the slot of the key, or -1.
func (b *bucket[V]) find(hash uint64, key string) int {
	for candidates := b.candidates(hash); candidates != 0; candidates &= candidates - 1 {
		slot := slotOf(candidates)
		if e := b.slots[slot].Load(); e != nil && e.hash == hash && e.key == key {
			return slot
		}
	}
	return -1
}

// free returns an empty slot, or -1.
func (b *bucket[V]) free() int {
	for slot := range b.slots {
		if b.slots[slot].Load() == nil {
			return slot
		}
	}
	return -1
}

// victim chooses the slot of a full bucket that is given to the hash: the first
// without a mark, from a place that differs from hash to hash. The entry at that
// place loses its mark, so that one which is no longer asked for goes in the end.
func (b *bucket[V]) victim(hash uint64) int {
	first := int((hash >> 32) % slotsPerBucket)
	chosen := first
	for i := range slotsPerBucket {
		slot := (first + i) % slotsPerBucket
		if !b.slots[slot].Load().used.Load() {
			chosen = slot
			break
		}
	}
	b.slots[first].Load().used.Store(false)
	return chosen
}

// set puts an entry, or nil, in the slot.
func (b *bucket[V]) set(slot int, e *entry[V]) {
	tags := b.tags.Load() &^ (0xff << (8 * slot))
	if e != nil {
		tags |= tag(e.hash) << (8 * slot)
	}
	b.slots[slot].Store(e)
	b.tags.Store(tags)
}
