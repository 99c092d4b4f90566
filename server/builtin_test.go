package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// TestAWideRouteOpensNothingOfTheServer: what is declared for a service behind another
// proxy (so without an upstream) is not meant for the server's own endpoints.
func TestAWideRouteOpensNothingOfTheServer(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "roles.yaml", "roles: {}\n")
	write(t, dir, "routes.yaml", `routes:
  /{path...}: &open {GET: {public: true}, POST: {public: true}, DELETE: {public: true}}
  /admin/{version}/keys: *open
  /users/{path...}: *open
  /docs/{path...}: *open
  /livez: *open
  /admin/v1/users: {GET: {roles: [admin]}}
  shop.example/{path...}: *open
  shop.example/readyz: *open
  shop.example/admin/v1/users/{who}: *open
`)
	s := start(t, func(c *server.Config) { c.Data, c.Demo = dir, false })
	for _, c := range []struct {
		method, host, path string
		status             int
	}{
		{"GET", "", "/livez", 200}, {"HEAD", "", "/livez", 200}, {"GET", "", "/docs/swagger-ui.css", 200}, {"GET", "", "/admin/v1/users", 401},
		{"GET", "", "/admin/v1/keys", 404}, {"HEAD", "", "/admin/v1/keys", 404}, {"GET", "", "/admin/v1/policy", 404}, {"GET", "", "/metrics", 404},
		{"GET", "", "/users/me", 404}, {"GET", "", "/admin/v1/clients/x", 404}, {"DELETE", "", "/admin/v1/clients/x", 404}, {"POST", "", "/token", 404},
		{"GET", "", "/access/routes", 404}, {"GET", "", "/nothing", 404},
		{"GET", "shop.example", "/readyz", 200}, {"GET", "shop.example", "/admin/v1/users", 404}, {"POST", "shop.example", "/admin/v1/users", 404},
		{"GET", "shop.example", "/livez", 404}, {"GET", "SHOP.example.:80", "/admin/v1/events", 404},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, s.URL()+c.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = c.host
		if a := s.do(request); a.StatusCode != c.status {
			t.Errorf("%s %s%s: %d %.200s, want %d", c.method, c.host, c.path, a.StatusCode, a.body, c.status)
		}
	}
	// Declared there under another name of its parameter, it is answered.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/admin/v1/users/nobody", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "shop.example"
	if a := s.do(request); a.StatusCode != 404 || !strings.Contains(a.body, "detail") {
		t.Errorf("an account that isn't there: %d %s", a.StatusCode, a.body)
	}
}
