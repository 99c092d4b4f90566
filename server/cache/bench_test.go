package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkGet is a hit, by the length of the key and the number of keys.
func BenchmarkGet(b *testing.B) {
	for _, length := range []int{30, 150, 650} {
		for _, count := range []int{1, 4096} {
			c := New[*int](32 << 20)
			keys := make([]string, count)
			for n := range keys {
				keys[n] = fmt.Sprintf("%0*d", length, n)
				c.Put(keys[n], new(int), 100)
			}
			b.Run(fmt.Sprintf("%d bytes/%d keys", length, count), func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if _, ok := c.Get(keys[n%count]); !ok {
						b.Fatal("a miss")
					}
					n++
				}
			})
		}
	}
}

// BenchmarkGetParallel is a hit of one key by every core.
func BenchmarkGetParallel(b *testing.B) {
	c := New[*int](32 << 20)
	key := strings.Repeat("k", 150)
	c.Put(key, new(int), 100)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, ok := c.Get(key); !ok {
				b.Error("a miss")
			}
		}
	})
}

// BenchmarkPut is an insertion into a full cache, which evicts.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{200, 3000} {
		c := New[*int](32 << 20)
		random := rand.New(rand.NewPCG(1, 2))
		keys := make([]string, 1<<18)
		for n := range keys {
			keys[n] = fmt.Sprintf("%064x", random.Uint64())
		}
		for _, key := range keys {
			c.Put(key, new(int), size)
		}
		b.Run(fmt.Sprintf("values of %d bytes", size), func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				c.Put(keys[n%len(keys)], nil, size)
				n++
			}
		})
	}
}
