package server

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/server/token"
)

// Under load another process rotates and retires keys: no valid token is refused at
// the gate, and none of a retired key passes once the server has looked.
func TestKeysChangeUnderLoad(t *testing.T) {
	s := unpolled(t)
	p := s.newPoll()
	keys, err := OpenKeys(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	for range 5 {
		before, err := keys.List(t.Context())
		if err != nil || before[0].State != token.KeySigning {
			t.Fatalf("keys %+v, %v", before, err)
		}
		old := s.bearer(t, "carol")
		var stop atomic.Bool
		var passed atomic.Int64
		var workers sync.WaitGroup
		for range 3 {
			workers.Go(func() {
				for !stop.Load() && !t.Failed() {
					s.wantStatus(t, "/client-only", s.bearer(t, "carol"), http.StatusOK)
					s.wantStatus(t, "/client-only", old, http.StatusOK)
					passed.Add(1)
				}
			})
		}
		more := func() {
			for target := passed.Load() + 6; passed.Load() < target && !t.Failed(); {
				if err := p.look(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		more()
		if _, err := keys.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		more() // before the server has looked, and after
		stop.Store(true)
		workers.Wait()
		if err := keys.Retire(t.Context(), before[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := p.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wantStatus(t, "/client-only", old, http.StatusUnauthorized)
		s.wantStatus(t, "/client-only", s.bearer(t, "carol"), http.StatusOK)
	}
}
