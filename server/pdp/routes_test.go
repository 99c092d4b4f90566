package pdp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/route"
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

// TestRoutesAreAskedForByTheirOnePath, for a policy may look at it.
func TestRoutesAreAskedForByTheirOnePath(t *testing.T) {
	for pattern, want := range map[string]string{
		"/": "/", "/a/": "/a/", "/a+b/c%2Bd": "/a+b/c+d", "/caf\u00e9/x y": "/caf%C3%A9/x%20y", "/%c3%a9": "/%C3%A9", "/100%25": "/100%25",
		"shop.example/x y": "/x%20y", "[::1]/x": "/x", "/items/{id}": "",
	} {
		r := anyRequest(&authz.Request{Host: "own.example"}, pattern, http.MethodGet)
		matcher, err := route.NewMatcher([]string{pattern})
		if err != nil {
			t.Fatal(err)
		}
		if match, ok := matcher.Match(r.Host, r.Segments); r.Path != want || want != "" && (!ok || match.Pattern != pattern) {
			t.Errorf("%s: asked for %s%s %q", pattern, r.Host, r.Path, r.Segments)
		}
	}
}
