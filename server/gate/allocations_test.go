//go:build !race

package gate_test

import (
	"net/http"
	"testing"
)

// What the gate adds to a request that it has seen the like of. The race detector
// allocates by itself, so it does not build this test.
func TestAWarmRequestAllocatesLittle(t *testing.T) {
	for _, c := range []struct {
		target string
		most   float64
	}{
		{"/items/", 3},              // the visit, the request with its context, the ids
		{"/items/42", 5},            // and the parameters
		{"/items/?q=a%20guitar", 7}, // and the query
	} {
		t.Run(c.target, func(t *testing.T) {
			door, raw := warmGate(t, nil)
			passed := 0
			handler := door.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
			request, w := newRequest(t, http.MethodGet, c.target, raw), &nowhere{http.Header{}}
			const runs = 100
			if n := testing.AllocsPerRun(runs, func() { handler.ServeHTTP(w, request) }); n > c.most {
				t.Errorf("%.0f allocations, want at most %.0f", n, c.most)
			}
			if passed != runs+1 {
				t.Errorf("%d requests passed", passed)
			}
		})
	}
}
