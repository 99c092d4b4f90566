// Package cache is a bounded map for hot paths: verified tokens, decisions,
// subjects.
//
// A [Cache] answers from memory without a lock and without allocating, so what
// it saves is not spent on it:
//
//	verified := cache.New[*token.Verified](32 << 20)
//	if hit, ok := verified.Get(presented); ok { … }
//	verified.Put(presented, v, v.Size())
//
// What it promises:
//
//   - A hit is for the very key that was put. Keys are compared whole, byte by
//     byte; a hash only says where to look, and it is seeded anew for each cache,
//     so nobody can choose keys that collide.
//   - A value is never changed by the cache and is handed to many callers at
//     once. Whoever puts one must not change it afterwards.
//   - What was put under a key is gone once [Cache.Delete], [Cache.Clear] or
//     another [Cache.Put] for the key has returned.
//   - It holds no more bytes than it was told to, by the sizes that [Cache.Put]
//     was given. When it is full, entries leave that were not asked for lately; an
//     entry that was put and never asked for leaves before one that was, so a
//     flood of new keys mostly displaces itself.
//
// What it does not promise is to remember: any entry may leave at any time. There
// is no expiry either. Whether a value is still good is for the caller to judge
// at each hit.
//
// # How it is made
//
// The table is an array of buckets, each one cache line: seven pointers to
// immutable entries, and a byte of the hash for each of them, which tells most of
// the keys that are not there without following a pointer. Readers load pointers
// atomically. Writers of one bucket take turns under one of some striped locks.
// Eviction is second chance (a clock): an entry that was read carries a mark, and
// the mark is taken away before the entry is.
package cache
