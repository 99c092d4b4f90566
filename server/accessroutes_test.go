package server_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// openRoutes asks which routes a caller may use: "GET /items/", with "?" behind it
// where that depends on the resource.
func openRoutes(t *testing.T, s *running, token string) map[string]bool {
	t.Helper()
	a := s.call("GET", "/access/routes", token, "")
	if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	var answer struct {
		Routes []struct {
			Route            string
			Methods, Depends []string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for _, r := range answer.Routes {
		for _, m := range r.Methods {
			open[m+" "+r.Route] = true
		}
		for _, m := range r.Depends {
			open[m+" "+r.Route+"?"] = true
		}
	}
	return open
}

func TestAccessRoutes(t *testing.T) {
	_, data := copyDefaults(t)
	s := start(t, func(c *server.Config) { c.Data = data })
	if a := s.call("GET", "/access/routes", "", ""); a.StatusCode != 401 {
		t.Errorf("nobody: %d", a.StatusCode)
	}
	carol := s.token("carol", "secretcarol", "")
	for _, c := range []struct {
		name, token string
		yes, no     []string
	}{
		{"a client", carol,
			[]string{"GET /client-only", "GET /items/", "POST /items/", "DELETE /items/{id}?", "POST /token", "GET /users/me", "GET /access/routes"},
			[]string{"GET /admin-only", "GET /admin/v1/users", "DELETE /items/{id}", "HEAD /items/", "GET /metrics"}},
		{"one who may only read", s.token("carol", "secretcarol", "items:read"),
			[]string{"GET /items/"}, []string{"POST /items/", "DELETE /items/{id}", "DELETE /items/{id}?"}},
		{"an administrator", s.token("johndoe", "secret", ""),
			[]string{"GET /admin-only", "DELETE /items/{id}", "GET /admin/v1/users/{id}"}, []string{"GET /client-only", "DELETE /items/{id}?"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := openRoutes(t, s, c.token)
			for _, r := range c.yes {
				if !open[r] {
					t.Errorf("%s is missing in %v", r, slices.Sorted(maps.Keys(open)))
				}
			}
			for _, r := range c.no {
				if open[r] {
					t.Errorf("%s is there", r)
				}
			}
			// What it says is what happens.
			for _, path := range []string{"/", "/items/", "/admin-only", "/client-only", "/users/me", "/admin/v1/users", "/admin/v1/policy", "/metrics", "/livez"} {
				if a := s.call("GET", path, c.token, ""); (a.StatusCode == 403) == open["GET "+path] {
					t.Errorf("GET %s: %d, said to be open: %v", path, a.StatusCode, open["GET "+path])
				}
			}
		})
	}

	edit(t, filepath.Join(data, "routes.yaml"), "/client-only: {", "'shop.example/x': {")
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open := openRoutes(t, s, carol); !open["GET shop.example/x"] || open["GET /client-only"] {
		t.Errorf("after a change: %v", open)
	}
}
