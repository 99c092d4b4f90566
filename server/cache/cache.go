package cache

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// entryOverhead is what an entry takes beside its key and value, in bytes: its
	// own members, and its share of the table.
	entryOverhead = 96
	// bytesPerBucket is how many bytes of the bound each bucket stands for: slots
	// and bytes run out together where entries are of a kilobyte, as most are here.
	// The table counts as live for the garbage collector, full or empty.
	bytesPerBucket = 8192
	// minBuckets keeps small caches from being one crowded bucket.
	minBuckets = 8
	// largest is the fraction of the bound that one entry may take: one in so many.
	largest = 16
	// stripes is how many writers can write at once. A power of two.
	stripes = 64
)

// Cache is a bounded map from strings to values. Make one with [New]; a nil
// *Cache is one that remembers nothing. It is safe for concurrent use.
type Cache[V any] struct {
	seed     maphash.Seed
	buckets  []bucket[V] // a power of two of them
	maxBytes int64

	entries, bytes atomic.Int64
	evictions      atomic.Uint64
	hand           atomic.Uint64 // the next slot to look at for eviction
	reads          counters
	locks          [stripes]paddedMutex
}

// entry is what is remembered of one key. All but the mark is immutable.
type entry[V any] struct {
	hash  uint64
	key   string
	value V
	cost  int64
	used  atomic.Bool // asked for since the clock's hand last came by
}

type paddedMutex struct {
	sync.Mutex
	_ [cacheLine - 8]byte
}

// cacheLine is the usual size of one, in bytes.
const cacheLine = 64

// New returns a cache that holds at most maxBytes bytes. With maxBytes <= 0 it
// returns nil, whose methods all work: it never hits and keeps nothing.
func New[V any](maxBytes int64) *Cache[V] {
	if maxBytes <= 0 {
		return nil
	}
	wanted := max(minBuckets, uint64(maxBytes)/bytesPerBucket)
	return &Cache[V]{
		seed:     maphash.MakeSeed(),
		buckets:  make([]bucket[V], 1<<(bits.Len64(wanted-1))),
		maxBytes: maxBytes,
	}
}

// Get returns what was put under the key. It does not allocate.
func (c *Cache[V]) Get(key string) (V, bool) {
	if c == nil {
		var none V
		return none, false
	}
	hash := maphash.String(c.seed, key)
	b := c.bucket(hash)
	for candidates := b.candidates(hash); candidates != 0; candidates &= candidates - 1 {
		if e := b.slots[slotOf(candidates)].Load(); e != nil && e.hash == hash && e.key == key {
			return c.hit(e)
		}
	}
	return c.miss()
}

// GetBytes is [Cache.Get] for a key that is not a string yet. It does not
// allocate, and it keeps no reference to the key.
func (c *Cache[V]) GetBytes(key []byte) (V, bool) {
	if c == nil {
		var none V
		return none, false
	}
	hash := maphash.Bytes(c.seed, key)
	b := c.bucket(hash)
	for candidates := b.candidates(hash); candidates != 0; candidates &= candidates - 1 {
		if e := b.slots[slotOf(candidates)].Load(); e != nil && e.hash == hash && e.key == string(key) {
			return c.hit(e)
		}
	}
	return c.miss()
}

func (c *Cache[V]) hit(e *entry[V]) (V, bool) {
	// The line is shared by all readers: write it only when that says something.
	if !e.used.Load() {
		e.used.Store(true)
	}
	c.reads.shard().hits.Add(1)
	return e.value, true
}

func (c *Cache[V]) miss() (V, bool) {
	c.reads.shard().misses.Add(1)
	var none V
	return none, false
}

// Put remembers the value under the key, in place of what was there. size is how
// many bytes the value holds beside the key; what an entry itself takes is added
// here. An entry of more than a sixteenth of the bound is not kept, and what was
// there is forgotten all the same. The key is kept as it is: hand over a copy of
// one that is part of something large.
func (c *Cache[V]) Put(key string, value V, size int) {
	if c == nil {
		return
	}
	cost := int64(len(key)) + int64(max(size, 0)) + entryOverhead
	if cost > c.maxBytes/largest {
		c.Delete(key)
		return
	}
	hash := maphash.String(c.seed, key)
	fresh := &entry[V]{hash: hash, key: key, value: value, cost: cost}
	lock := c.lock(hash)
	b := c.bucket(hash)
	slot := b.find(hash, key)
	if slot < 0 {
		slot = b.free()
	}
	if slot < 0 {
		slot = b.victim(hash)
		c.evictions.Add(1)
	}
	c.account(b.slots[slot].Load(), fresh)
	b.set(slot, fresh)
	lock.Unlock()
	c.shrink()
}

// Delete forgets the key.
func (c *Cache[V]) Delete(key string) {
	if c == nil {
		return
	}
	hash := maphash.String(c.seed, key)
	lock := c.lock(hash)
	defer lock.Unlock()
	b := c.bucket(hash)
	if slot := b.find(hash, key); slot >= 0 {
		c.account(b.slots[slot].Load(), nil)
		b.set(slot, nil)
	}
}

// Clear forgets everything that was put before the call. What others put while
// it runs may stay.
func (c *Cache[V]) Clear() {
	if c == nil {
		return
	}
	for i := range c.buckets {
		b := &c.buckets[i]
		lock := c.lock(uint64(i))
		for slot := range b.slots {
			if e := b.slots[slot].Load(); e != nil {
				c.account(e, nil)
				b.set(slot, nil)
			}
		}
		lock.Unlock()
	}
}

func (c *Cache[V]) bucket(hash uint64) *bucket[V] {
	return &c.buckets[hash&uint64(len(c.buckets)-1)]
}

// lock locks the bucket of the hash, or of that index, for writing.
func (c *Cache[V]) lock(hash uint64) *sync.Mutex {
	// There may be fewer buckets than stripes: the bucket's index chooses, so that
	// one bucket has one lock.
	lock := &c.locks[hash&uint64(len(c.buckets)-1)&(stripes-1)].Mutex
	lock.Lock()
	return lock
}

// account keeps the totals when one entry takes the place of another; either may
// be nil.
func (c *Cache[V]) account(before, after *entry[V]) {
	var entries, size int64
	if before != nil {
		entries, size = entries-1, size-before.cost
	}
	if after != nil {
		entries, size = entries+1, size+after.cost
	}
	c.entries.Add(entries)
	c.bytes.Add(size)
}

// shrink moves the clock's hand until the bound is kept: an entry with a mark
// loses the mark, one without goes.
func (c *Cache[V]) shrink() {
	slots := uint64(len(c.buckets)) * slotsPerBucket
	for c.bytes.Load() > c.maxBytes {
		at := (c.hand.Add(1) - 1) % slots
		index, slot := at/slotsPerBucket, at%slotsPerBucket
		b := &c.buckets[index]
		if b.slots[slot].Load() == nil {
			continue
		}
		lock := c.lock(index)
		if e := b.slots[slot].Load(); e != nil && !e.used.Swap(false) {
			c.account(e, nil)
			b.set(int(slot), nil)
			c.evictions.Add(1)
		}
		lock.Unlock()
	}
}
