package admin_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/server/token"
)

func TestPrecondition(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	for _, item := range []struct{ name, path, patch string }{
		{"an account", r.addAccount(root, "dora"), `{"full_name":"Dora %d"}`},
		{"a client", r.addClient(root, "reports"), `{"client_name":"Reports %d"}`},
	} {
		t.Run(item.name, func(t *testing.T) {
			tag := func() string { return r.call(root, "GET", item.path, "").want(200).Header().Get("ETag") }
			former := tag()
			r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, 0), "If-Match", former).want(200)
			for i, tt := range []struct {
				name, value string
				status      int
			}{
				{"none", "", 428},
				{"the one before", former, 412},
				{"another", `"x"`, 412},
				{"a weak one never matches (RFC 9110 section 13.1.1)", "W/" + tag(), 412},
				{"without quotes", tag()[1 : len(tag())-1], 412},
				{"only a comma", ",", 412},
				{"its own", tag(), 200},
			} {
				t.Run(tt.name, func(t *testing.T) {
					if tt.status != 200 {
						before := tag()
						r.call(root, "DELETE", item.path, "", "If-Match", tt.value).want(tt.status).detail()
						a := r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, i+1), "If-Match", tt.value).want(tt.status)
						if a.detail() == "" || tag() != before {
							t.Errorf("refused with %q, and the tag went from %s to %s", a.detail(), before, tag())
						}
						return
					}
					a := r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, i+1), "If-Match", tt.value).want(200)
					if a.Header().Get("ETag") != tag() || tag() == tt.value {
						t.Errorf("changed from %s to %s, and it is %s", tt.value, a.Header().Get("ETag"), tag())
					}
				})
			}
			t.Run("one of several", func(t *testing.T) {
				r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, 50), "If-Match", `"x", `+tag()).want(200)
				r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, 51), "If-Match", `"x"`, "If-Match", tag()).want(200)
			})
			t.Run("of changes at once with one tag, one is made", func(t *testing.T) {
				const n = 8
				shared := tag()
				var answers [n]*answer
				var all sync.WaitGroup
				for i := range n {
					all.Go(func() {
						answers[i] = r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, 100+i), "If-Match", shared)
					})
				}
				all.Wait()
				counts := map[int]int{}
				for _, a := range answers {
					counts[a.Code]++
				}
				if counts[200] != 1 || counts[412] != n-1 {
					t.Errorf("statuses %v", counts)
				}
			})
			t.Run("removed", func(t *testing.T) {
				r.call(root, "DELETE", item.path, "", "If-Match", tag()).want(204)
				r.call(root, "PATCH", item.path, fmt.Sprintf(item.patch, 1), "If-Match", "*").want(404)
				r.call(root, "DELETE", item.path, "", "If-Match", "*").want(404)
			})
		})
	}
}
