//go:build !race

package policy

import "testing"

// What an ordinary allow costs when nothing is cached. The race detector
// allocates by itself, so it does not build this test.
func TestUncachedAllowsAllocateLittle(t *testing.T) {
	s := uncached(t)
	bounds := map[string]float64{
		"public": 40, "authenticated": 92, "roles": 104, "scopes": 128, "HEAD": 130, "external": 128, "owner": 190, "owner_exempt": 194,
	}
	for _, tc := range ordinary() {
		t.Run(tc.name, func(t *testing.T) {
			n := testing.AllocsPerRun(200, func() {
				if d, err := s.Decide(t.Context(), &tc.r); err != nil || !d.Allow {
					t.Fatalf("Decide = %+v, %v", d, err)
				}
			})
			if bound := bounds[tc.name]; n > bound {
				t.Errorf("%.0f allocations, want at most %.0f", n, bound)
			}
		})
	}
}
