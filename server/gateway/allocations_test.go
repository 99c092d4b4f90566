//go:build !race

package gateway_test

import "testing"

// What gate and gateway add to what a bare ReverseProxy allocates for a request. The
// race detector allocates by itself, so it does not build this test.
func TestARequestThroughTheGatewayAllocatesLittle(t *testing.T) {
	const runs, most = 500, 20
	count := func(p *path) float64 {
		p.serve(t)
		return testing.AllocsPerRun(runs, func() { p.serve(t) })
	}
	all := paths(t)
	bare, gateway := count(all["bare"]), count(all["gateway"])
	// Of both, the transport's goroutines allocate a little more or less each time.
	if gateway-bare > most {
		t.Errorf("%.0f allocations beside the %.0f of a bare ReverseProxy, want at most %d", gateway-bare, bare, most)
	}
}
