package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// documented is an indented block of docs/authzen.md, found by a text in it.
func documented(t *testing.T, text string) string {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("..", "docs", "authzen.md"))
	if err != nil {
		t.Fatal(err)
	}
	var block []string
	for line := range strings.SplitSeq(string(document)+"\nend", "\n") {
		if code, ok := strings.CutPrefix(line, "    "); ok || line == "" && len(block) > 0 {
			block = append(block, code)
			continue
		}
		if whole := strings.TrimSpace(strings.Join(block, "\n")) + "\n"; strings.Contains(whole, text) {
			return whole
		}
		block = nil
	}
	t.Fatalf("docs/authzen.md has no block with %q", text)
	return ""
}

// withoutAuthZEN is what `stagedoor init` writes, but for the package authzen.
func withoutAuthZEN(t *testing.T) (policies, data string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := server.Scaffold(dir); err != nil {
		t.Fatal(err)
	}
	policies = filepath.Join(dir, "policies")
	if err := os.RemoveAll(filepath.Join(policies, "authzen")); err != nil {
		t.Fatal(err)
	}
	return policies, filepath.Join(dir, "data")
}

// What docs/authzen.md shows works: the policy of one's own, and the data for the one
// that is shipped.
func TestAuthZENDocument(t *testing.T) {
	t.Run("a policy of one's own", func(t *testing.T) {
		p := startPDP(t, "", func(c *server.Config) {
			c.Policies, c.Data = withoutAuthZEN(t)
			write(t, c.Data, "library.yaml", documented(t, "\n  subjects:\n    member:"))
			write(t, c.Policies, "authzen/authzen.rego", documented(t, "package authzen\n"))
			write(t, c.Policies, "authzen/authzen_test.rego", documented(t, "package authzen_test\n"))
		})
		for path, want := range map[string]string{"evaluation": `"decision":false`, "search/resource": `"results"`} {
			shown := documented(t, "/access/v1/"+path+" -H")
			_, shown, _ = strings.Cut(shown, "/access/v1/"+path)
			_, shown, _ = strings.Cut(shown, "-d '")
			question, shown, _ := strings.Cut(shown, "'\n")
			answer, _, _ := strings.Cut(shown, "\n")
			if got := p.ask(t, "/access/v1/"+path, []byte(question), 200).body; got != answer+"\n" || !strings.Contains(got, want) {
				t.Errorf("%s: got %swant %s", path, got, answer)
			}
		}
	})
	t.Run("the data of the shipped policy", func(t *testing.T) {
		p := startPDP(t, "", func(c *server.Config) {
			dir := t.TempDir()
			if _, err := server.Scaffold(dir); err != nil {
				t.Fatal(err)
			}
			c.Policies, c.Data = "", filepath.Join(dir, "data")
			write(t, c.Data, "access.yaml", documented(t, "access:\n  subjects:"))
		})
		lends := `{"subject": {"type": "user"}, "action": {"name": "lend"}, "resource": {"type": "book", "id": "b1"}}`
		if got := p.ask(t, "/access/v1/search/subject", []byte(lends), 200).body; got != `{"results":[{"type":"user","id":"ann"},{"type":"user","id":"bob"}]}`+"\n" {
			t.Error(got)
		}
	})
	t.Run("entities that are lists of objects", func(t *testing.T) {
		p := startPDP(t, "", func(c *server.Config) {
			c.Policies, c.Data = withoutAuthZEN(t)
			write(t, c.Policies, "authzen/authzen.rego", "package authzen\n\ndecision := true\n\n"+documented(t, "some user in data.people"))
			write(t, c.Data, "lists.json", `{"people": [{"name": "bob"}, {"name": "ann"}], "records": [{"id": 102}, {"id": 101}]}`)
		})
		for sought, want := range map[string]string{"subject": "ann bob", "resource": "101 102"} {
			question := `{"subject": {"type": "user", "id": "x"}, "action": {"name": "read"}, "resource": {"type": "record", "id": "x"}}`
			ids := []string{}
			for _, r := range p.ask(t, "/access/v1/search/"+sought, []byte(question), 200).json(t)["results"].([]any) {
				ids = append(ids, r.(map[string]any)["id"].(string))
			}
			if strings.Join(ids, " ") != want {
				t.Errorf("%s: %v, want %s", sought, ids, want)
			}
		}
	})
	t.Run("without data everything is denied", func(t *testing.T) {
		p := startPDP(t, "", func(c *server.Config) { c.Policies = "" })
		question := `{"subject": {"type": "user", "id": "ann"}, "action": {"name": "read"}, "resource": {"type": "book", "id": "b1"}}`
		if got := p.ask(t, "/access/v1/evaluation", []byte(question), 200).body; got != `{"decision":false}`+"\n" {
			t.Error(got)
		}
	})
}
