//go:build linux

package main

import (
	"testing"
	"time"
)

func TestShareOut(t *testing.T) {
	const traces = `File: stagedoor
Type: cpu
Duration: 1s, Total samples = 300ms (30%)
-----------+-------------------------------------------------------
      40ms   crypto/internal/fips140/edwards25519/field.feMul
             crypto/ed25519.Verify
             github.com/stagedoor/stagedoor/server/token.(*Verifier).Verify
             github.com/stagedoor/stagedoor/server/gate.(*visit).serve
             net/http.(*conn).serve
-----------+-------------------------------------------------------
      30ms   runtime.mallocgc
             github.com/stagedoor/stagedoor/server/token.(*Verifier).Verify
             github.com/stagedoor/stagedoor/server/gate.(*visit).serve
             net/http.(*conn).serve
-----------+-------------------------------------------------------
      20ms   runtime.gcAssistAlloc
             runtime.mallocgc
             github.com/stagedoor/stagedoor/server/policy.(*Snapshot).Decide
             net/http.(*conn).serve
-----------+-------------------------------------------------------
      10ms   github.com/open-policy-agent/opa/v1/topdown.(*eval).eval
             github.com/open-policy-agent/opa/v1/topdown.(*eval).next (inline)
-----------+-------------------------------------------------------
     200ms   runtime.memmove
             github.com/stagedoor/stagedoor/server.(*Server).loadPolicy
             github.com/stagedoor/stagedoor/server.New.func2
-----------+-------------------------------------------------------
`
	total, shares, err := shareOut(traces)
	if err != nil {
		t.Fatal(err)
	}
	if total != 100*time.Millisecond {
		t.Errorf("%s, want 100ms: the start does not count", total)
	}
	want := map[string][2]float64{
		"token: its signature": {0.4, 0}, "token: all else (reading it, its claims, keeping it)": {0.3, 0.3},
		"garbage collection": {0.2, 0}, "policy: evaluated": {0.1, 0},
	}
	for _, s := range shares {
		if got := [2]float64{s.Share, s.Allocating}; got != want[s.Name] {
			t.Errorf("%s: %v, want %v", s.Name, got, want[s.Name])
		}
	}
	if _, _, err := shareOut("File: stagedoor\n"); err == nil {
		t.Error("an empty profile has shares")
	}
}
