package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func wantHit(t *testing.T, c *Cache[int], key string, want int) {
	t.Helper()
	if got, ok := c.Get(key); !ok || got != want {
		t.Errorf("Get(%q) = %d, %t, want %d", key, got, ok, want)
	}
	if got, ok := c.GetBytes([]byte(key)); !ok || got != want {
		t.Errorf("GetBytes(%q) = %d, %t, want %d", key, got, ok, want)
	}
}

func wantMiss(t *testing.T, c *Cache[int], key string) {
	t.Helper()
	if got, ok := c.Get(key); ok || got != 0 {
		t.Errorf("Get(%q) = %d, %t, want a miss", key, got, ok)
	}
	if got, ok := c.GetBytes([]byte(key)); ok || got != 0 {
		t.Errorf("GetBytes(%q) = %d, %t, want a miss", key, got, ok)
	}
}

func TestPutGetDelete(t *testing.T) {
	c := New[int](1 << 20)
	wantMiss(t, c, "a")
	c.Put("a", 1, 10)
	c.Put("b", 2, 10)
	c.Put("", 3, -5)
	wantHit(t, c, "a", 1)
	wantHit(t, c, "b", 2)
	wantHit(t, c, "", 3)
	wantMiss(t, c, "A")
	wantMiss(t, c, "ab")
	if got := c.Stats(); got != (Stats{Entries: 3, Bytes: 22 + 3*entryOverhead, MaxBytes: 1 << 20, Hits: 6, Misses: 6}) {
		t.Errorf("stats %+v", got)
	}

	c.Put("a", 4, 30) // in place of the other
	wantHit(t, c, "a", 4)
	if got := c.Stats(); got.Entries != 3 || got.Bytes != 42+3*entryOverhead || got.Evictions != 0 {
		t.Errorf("stats after replacing %+v", got)
	}
	c.Delete("a")
	c.Delete("a")
	c.Delete("never there")
	wantMiss(t, c, "a")
	wantHit(t, c, "b", 2)
	c.Clear()
	wantMiss(t, c, "b")
	wantMiss(t, c, "")
	if got := c.Stats(); got.Entries != 0 || got.Bytes != 0 {
		t.Errorf("stats after clearing %+v", got)
	}
	c.Put("a", 5, 0)
	wantHit(t, c, "a", 5)
}

func TestKeysAreComparedWhole(t *testing.T) {
	c := New[int](1 << 20)
	key := []byte(strings.Repeat("k", 600))
	c.Put(string(key), 1, 0)
	for at := range key {
		for _, bit := range []byte{1, 0x20, 0x80} {
			key[at] ^= bit
			wantMiss(t, c, string(key))
			key[at] ^= bit
		}
	}
	wantMiss(t, c, string(key[1:]))
	wantMiss(t, c, string(key)+"k")
	wantMiss(t, c, string(key)+"\x00")
	wantHit(t, c, string(key), 1)
}

// Keys that share a hash, which nobody can choose from outside, are told apart.
func TestKeysOfOneHash(t *testing.T) {
	var b bucket[int]
	const hash = 0xfedc_ba98_7654_3210
	for slot := range slotsPerBucket {
		b.set(slot, &entry[int]{hash: hash, key: fmt.Sprint(slot), value: slot})
	}
	for slot := range slotsPerBucket {
		if got := b.find(hash, fmt.Sprint(slot)); got != slot {
			t.Errorf("key %d is found in slot %d", slot, got)
		}
	}
	if got := b.find(hash, "another"); got != -1 {
		t.Errorf("a key that is not there is found in slot %d", got)
	}
}

func TestCandidatesMissNoTag(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var b bucket[int]
		hash := random.Uint64()
		for slot := range slotsPerBucket {
			if random.IntN(3) > 0 {
				b.set(slot, &entry[int]{hash: random.Uint64()})
			}
		}
		here := random.IntN(slotsPerBucket)
		b.set(here, &entry[int]{hash: hash})
		candidates, found := b.candidates(hash), false
		for ; candidates != 0; candidates &= candidates - 1 {
			slot := slotOf(candidates)
			if slot >= slotsPerBucket {
				t.Fatalf("slot %d does not exist", slot)
			}
			found = found || slot == here
		}
		if !found {
			t.Fatalf("slot %d of tags %#x is no candidate for %#x", here, b.tags.Load(), hash)
		}
	}
}

func TestNilRemembersNothing(t *testing.T) {
	for _, size := range []int64{0, -1, -1 << 62} {
		c := New[int](size)
		if c != nil {
			t.Fatalf("New(%d) is a cache", size)
		}
		c.Put("a", 1, 1)
		wantMiss(t, c, "a")
		c.Delete("a")
		c.Clear()
		if got := c.Stats(); got != (Stats{}) {
			t.Errorf("stats %+v", got)
		}
	}
}

func TestLargeEntriesAreNotKept(t *testing.T) {
	c := New[int](64 << 10)
	const fits = 4<<10 - entryOverhead - 1
	c.Put("a", 1, fits)
	wantHit(t, c, "a", 1)
	c.Put("a", 2, fits+1)
	wantMiss(t, c, "a") // neither: the first is no longer what was put
	c.Put(strings.Repeat("k", fits+2), 3, 0)
	if got := c.Stats(); got.Entries != 0 || got.Bytes != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestBoundIsKept(t *testing.T) {
	for _, maxBytes := range []int64{1, 4096, 100_000, 1 << 20} {
		for _, size := range []int{0, 300, 5000} {
			t.Run(fmt.Sprintf("%d bytes, values of %d", maxBytes, size), func(t *testing.T) {
				c := New[int](maxBytes)
				random := rand.New(rand.NewPCG(1, uint64(maxBytes)))
				kept := 0
				for n := range 20_000 {
					key := fmt.Sprint(n)
					c.Put(key, n, random.IntN(size+1))
					if got := c.Stats(); got.Bytes > maxBytes || got.Bytes < 0 {
						t.Fatalf("holds %d bytes", got.Bytes)
					}
				}
				for n := range 20_000 {
					if value, ok := c.Get(fmt.Sprint(n)); ok {
						kept++
						if value != n {
							t.Fatalf("%d is remembered as %d", n, value)
						}
					}
				}
				got := c.Stats()
				if int64(kept) != got.Entries {
					t.Errorf("%d entries are found, %d are counted", kept, got.Entries)
				}
				// It is also put to use, or its slots are.
				slots := int64(len(c.buckets)) * slotsPerBucket
				if maxBytes == 1<<20 && got.Bytes < maxBytes*3/4 && got.Entries < slots*3/4 {
					t.Errorf("holds %d bytes and %d entries only", got.Bytes, got.Entries)
				}
			})
		}
	}
}

// What is asked for now and then stays while keys that are never asked for again
// come by.
func TestFloodKeepsWhatIsUsed(t *testing.T) {
	for _, size := range []int{100, 2500} {
		t.Run(fmt.Sprintf("values of %d bytes", size), func(t *testing.T) {
			c := New[int](4 << 20)
			const hot = 200
			for n := range hot {
				c.Put(fmt.Sprint("hot", n), n, size)
				c.Get(fmt.Sprint("hot", n))
			}
			misses := 0
			for n := range 100_000 {
				c.Put(fmt.Sprint("flood", n), -n, size)
				asked := n % hot
				if got, ok := c.Get(fmt.Sprint("hot", asked)); !ok {
					misses++
					c.Put(fmt.Sprint("hot", asked), asked, size)
				} else if got != asked {
					t.Fatalf("%d is remembered as %d", asked, got)
				}
			}
			if got := c.Stats(); got.Evictions < 50_000 || misses > 5000 { // one in twenty
				t.Errorf("%d of 100,000 hot reads missed (%+v)", misses, got)
			}
		})
	}
}

func TestWhatIsNoLongerUsedLeaves(t *testing.T) {
	c := New[int](64 << 10)
	for n := range 10_000 { // a working set that moves on
		key := fmt.Sprint(n)
		c.Put(key, n, 100)
		for range 3 {
			wantHit(t, c, key, n)
		}
	}
	for n := range 1000 {
		wantMiss(t, c, fmt.Sprint(n))
	}
}

func TestHitsDoNotAllocate(t *testing.T) {
	c := New[*int](1 << 20)
	key := strings.Repeat("k", 600)
	keyBytes := []byte(key)
	c.Put(key, new(int), 8)
	for name, read := range map[string]func() bool{
		"Get":          func() bool { _, ok := c.Get(key); return ok },
		"GetBytes":     func() bool { _, ok := c.GetBytes(keyBytes); return ok },
		"Get, a miss":  func() bool { _, ok := c.Get(key[1:]); return !ok },
		"Bytes missed": func() bool { _, ok := c.GetBytes(keyBytes[1:]); return !ok },
	} {
		t.Run(name, func(t *testing.T) {
			if allocations := testing.AllocsPerRun(1000, func() {
				if !read() {
					t.Error("the answer is wrong")
				}
			}); allocations != 0 {
				t.Errorf("%v allocations", allocations)
			}
		})
	}
}

// pair is a value whose halves must never be seen apart, and never under another
// key.
type pair struct{ key, check string }

func TestConcurrentUse(t *testing.T) {
	c := New[*pair](64 << 10)
	const keys = 2000 // more than fit
	var workers sync.WaitGroup
	var gets, hits atomic.Uint64
	for worker := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 20_000 {
				key := fmt.Sprint(random.IntN(keys))
				switch random.IntN(20) {
				case 0, 1, 2, 3, 4:
					c.Put(key, &pair{key, key}, random.IntN(200))
				case 5:
					c.Delete(key)
				case 6:
					if random.IntN(200) == 0 {
						c.Clear()
					}
				default:
					gets.Add(1)
					if got, ok := c.Get(key); ok {
						hits.Add(1)
						if got.key != key || got.check != key {
							t.Errorf("%q is remembered as %q", key, got)
						}
					}
				}
			}
		})
	}
	workers.Wait()
	got := c.Stats()
	if got.Hits != hits.Load() || got.Misses != gets.Load()-hits.Load() {
		t.Errorf("counted %+v of %d hits in %d reads", got, hits.Load(), gets.Load())
	}
	if got.Bytes > got.MaxBytes {
		t.Errorf("holds %d bytes of %d", got.Bytes, got.MaxBytes)
	}
	var entries, size int64
	for i := range c.buckets {
		for slot := range c.buckets[i].slots {
			if e := c.buckets[i].slots[slot].Load(); e != nil {
				entries, size = entries+1, size+e.cost
				if found := c.buckets[i].find(e.hash, e.key); found != slot {
					t.Errorf("the entry in slot %d is found in slot %d", slot, found)
				}
			}
		}
	}
	if entries != got.Entries || size != got.Bytes {
		t.Errorf("holds %d entries of %d bytes, counted %+v", entries, size, got)
	}
}

// A goroutine that has deleted or replaced a value never sees the old one again,
// whatever others read meanwhile.
func TestDeleteIsSeenAtOnce(t *testing.T) {
	c := New[int](1 << 20)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			last := 0
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, ok := c.Get("k"); ok {
					if got < last {
						t.Errorf("%d came back after %d", got, last)
					}
					last = got
				}
			}
		})
	}
	for n := 1; n <= 20_000; n++ {
		c.Put("k", n, 10)
		if got, ok := c.Get("k"); !ok || got != n {
			t.Fatalf("put %d, got %d, %t", n, got, ok)
		}
		if n%3 == 0 {
			c.Delete("k")
			if got, ok := c.Get("k"); ok {
				t.Fatalf("deleted, and got %d", got)
			}
		}
	}
	close(done)
	readers.Wait()
}
