package pdp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/policy"
)

// TestListsOfRoutesTakeTurns: each costs a decision for each route, so a caller who asks
// for many at once must not take the time of everybody else's requests.
func TestListsOfRoutesTakeTurns(t *testing.T) {
	a := New(Options{URL: "https://pdp.example.com/"})
	h := doorOf(t, fixed{load(t, rules, policy.Options{Deadline: time.Minute})}, a)
	for range cap(a.lists) {
		a.lists <- struct{}{} // as those have who are being told
	}
	ask := func(ctx context.Context) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, routesPath, nil).WithContext(ctx))
		return w
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if w := ask(ctx); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("while others are told: %d %v", w.Code, w.Header())
	}
	answered := make(chan int)
	go func() { answered <- ask(t.Context()).Code }()
	<-a.lists
	if code := <-answered; code != http.StatusOK {
		t.Errorf("once one has been told: %d", code)
	}
	if n := len(a.lists); n != cap(a.lists)-1 {
		t.Errorf("%d turns are taken, of %d", n, cap(a.lists))
	}
}
