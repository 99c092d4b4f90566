package cache

import (
	"sync/atomic"
	"unsafe"
)

// Stats is how a cache does. The counts are since it was made; a hit that is
// going on may be missing from them.
type Stats struct {
	// Entries and Bytes are what it holds now, MaxBytes what it may hold. Bytes
	// may be above MaxBytes for the moment that a Put takes.
	Entries, Bytes, MaxBytes int64
	// Hits and Misses are how often a key was found and not found.
	Hits, Misses uint64
	// Evictions are the entries that left because there was no room.
	Evictions uint64
}

// Stats returns how the cache does; all zero for a nil cache.
func (c *Cache[V]) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	s := Stats{Entries: c.entries.Load(), Bytes: c.bytes.Load(), MaxBytes: c.maxBytes, Evictions: c.evictions.Load()}
	for i := range c.reads {
		s.Hits += c.reads[i].hits.Load()
		s.Misses += c.reads[i].misses.Load()
	}
	return s
}

// countersShift leaves as many bits as the number of a counter has.
const countersShift = 64 - 5

// counters counts reads. One counter for all would be a line of memory that every
// core writes at every hit.
type counters [1 << (64 - countersShift)]counter

type counter struct {
	hits, misses atomic.Uint64
	_            [cacheLine - 16]byte
}

// shard is the counter for this goroutine, chosen by where its stack is: a
// goroutine mostly stays on a core, and so does its counter. Any choice is
// correct.
func (c *counters) shard() *counter {
	var here byte
	const fibonacci = 0x9e3779b97f4a7c15                  // spreads stacks that lie at even distances
	stack := uint64(uintptr(unsafe.Pointer(&here))) >> 11 // stacks have at least 2 KiB
	return &c[stack*fibonacci>>countersShift]
}
