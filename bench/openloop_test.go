//go:build linux

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestLatencyCountsFromWhenARequestWasDue: those that had to wait for their turn
// are charged for it.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("ok"))
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	p, err := newPump(addr, rawRequest(addr, "/", "t"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, late := range []time.Duration{2 * time.Hour, time.Hour} {
		if err := p.submit(time.Now().Add(-late)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.drain(); err != nil {
		t.Fatal(err)
	}
	got := p.got
	if got.failed > 0 || len(got.latencies) != 2 || got.latencies[0] < 2*time.Hour || got.latencies[1] < time.Hour {
		t.Errorf("got %+v", got)
	}
}

func TestOpenLoopCountsFailures(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	got, err := openLoop{addr: addr, request: rawRequest(addr, "/", "t"), rate: 100, connections: 2}.run(ctx)
	if err != nil || got.failed == 0 || len(got.reasons) == 0 || got.reasons[0] != "status 503" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPercentile(t *testing.T) {
	a := arrivals{latencies: []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}
	for p, want := range map[float64]time.Duration{0: 1, 50: 6, 99: 10, 100: 10} {
		if got := a.percentile(p); got != want {
			t.Errorf("percentile %v is %d, want %d", p, got, want)
		}
	}
}
