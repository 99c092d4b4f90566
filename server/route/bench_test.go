package route

import (
	"fmt"
	"testing"
)

// BenchmarkMatch is one look-up among ten to ten thousand patterns.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			patterns := make([]string, n)
			for i := range patterns {
				patterns[i] = fmt.Sprintf("/service%d/items/{id}", i)
			}
			matcher, err := NewMatcher(patterns)
			if err != nil {
				b.Fatal(err)
			}
			segments := []string{fmt.Sprintf("service%d", n/2), "items", "42"}
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := matcher.Match("", segments); !ok {
					b.Fatal("no match")
				}
			}
		})
	}
}
