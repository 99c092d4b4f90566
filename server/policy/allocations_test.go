//go:build !race

package policy

import (
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

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

func TestACachedDecisionCostsNoAllocation(t *testing.T) {
	s, err := Load(t.Context(), Dir("../../policies", "../../data"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{"sub": "01A", "scope": "items:read items:write"}
	r := &authz.Request{
		Method: "GET", Path: "/items/", Segments: []string{"items", ""}, Route: "/items/",
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: "01A", Username: "carol", Roles: []string{"client"}},
		Claims:  &authz.Claims{Values: values, Prepared: PrepareClaims(values)},
	}
	n := testing.AllocsPerRun(100, func() {
		if d, err := s.Decide(t.Context(), r); err != nil || !d.Allow {
			t.Fatal(d, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
