package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/policy"
)

// TestGatewayDocument holds that the upstreams and routes which docs/gateway.md shows
// are accepted as they stand, and mean what it says.
func TestGatewayDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), 3)
	if len(blocks) != 3 {
		t.Fatal("docs/gateway.md does not show upstreams, routes and routes of hosts")
	}
	_, data := copyDefaults(t)
	for i, name := range []string{"upstreams.yaml", "documented.yaml", "hosts.yaml"} {
		write(t, data, name, blocks[i][1])
	}
	source, err := server.PolicySource("", data)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.Load(t.Context(), source, policy.Options{BuiltIn: server.BuiltInRoutes(false)})
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]string{
		"/shop/items/{id}": "shop", "/files/{path...}": "files", "files.example.com/{path...}": "files",
		"shop.example.com/items/{id}": "", "/token": "",
	} {
		name := ""
		if u := snapshot.Upstream(pattern); u != nil {
			name = u.Name
		}
		if name != want {
			t.Errorf("%s goes to %q, want %q", pattern, name, want)
		}
	}
	shop, files := snapshot.Upstream("/shop/items/{id}"), snapshot.Upstream("/files/{path...}")
	if shop.ConnectTimeout != 5*time.Second || shop.ResponseTimeout != 30*time.Second || shop.IdleTimeout != time.Minute ||
		shop.MaxBody != 1<<30 || shop.RemoveToken || shop.Assertion != nil || shop.HostHeader != "" {
		t.Errorf("the defaults are others than docs/gateway.md says: %+v", shop)
	}
	if files.HostHeader != "files.internal" || files.MaxBody != 5<<30 || !files.RemoveToken || *files.Assertion != (policy.Assertion{Audience: "https://files.internal:8443", Lifetime: time.Minute}) {
		t.Errorf("files: %+v %+v", files, files.Assertion)
	}
}
