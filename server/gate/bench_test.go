package gate_test

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkServe is one request by a handler that writes a few bytes: bare, and
// with the gate around it, which allows the request by the shipped policy. Token
// and decision are known, and the subject is at hand.
func BenchmarkServe(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	for _, target := range []string{"/items/42", "/items/", "/items/?q=guitar"} {
		door, raw := warmGate(b, nil)
		b.Run("bare"+target, func(b *testing.B) { benchmarkServe(b, handler, target, raw) })
		b.Run("gate"+target, func(b *testing.B) { benchmarkServe(b, door.Wrap(handler), target, raw) })
	}
}

func benchmarkServe(b *testing.B, handler http.Handler, target, raw string) {
	request := newRequest(b, http.MethodGet, target, raw)
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, request)
	}
	if w.header.Get("WWW-Authenticate") != "" {
		b.Fatal("the request was refused")
	}
}
