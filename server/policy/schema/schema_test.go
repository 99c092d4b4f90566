package schema_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stagedoor/stagedoor/server/policy/schema"
)

// node is as much of JSON Schema as the files use.
type node struct {
	Title                string           `json:"title"`
	Description          string           `json:"description"`
	Type                 string           `json:"type"`
	Properties           map[string]*node `json:"properties"`
	Items                *node            `json:"items"`
	AdditionalProperties json.RawMessage  `json:"additionalProperties"`
	Required             []string         `json:"required"`
	Enum                 []string         `json:"enum"`
}

func load(t *testing.T, name string) *node {
	t.Helper()
	text, err := schema.FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	root := new(node)
	if err := json.Unmarshal(text, root); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return root
}

func names(properties map[string]*node) []string {
	list := []string{}
	for name := range properties {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func TestFSHoldsTheSchemasAtItsRoot(t *testing.T) {
	if err := fstest.TestFS(schema.FS, "authz.json", "token.json", "authzen.json"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"../schema.go", "/authz.json", ""} {
		if _, err := fs.ReadFile(schema.FS, name); err == nil {
			t.Errorf("ReadFile(%q) succeeded", name)
		}
		if _, err := schema.FS.Open(name); err == nil {
			t.Errorf("Open(%q) succeeded", name)
		}
		if _, err := schema.FS.ReadDir(name); err == nil {
			t.Errorf("ReadDir(%q) succeeded", name)
		}
	}
}

// TestOnlySchemasLieInTheDirectory: opa reads every file there as a schema.
func TestOnlySchemasLieInTheDirectory(t *testing.T) {
	entries, err := os.ReadDir("json")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() || filepath.Ext(entry.Name()) != ".json" {
			t.Errorf("json/%s: opa check --schema would read it as a schema", entry.Name())
		}
	}
}

// TestMembers holds the inputs' members, which policies depend on.
func TestMembers(t *testing.T) {
	subject := []string{"attributes", "disabled", "id", "issuer", "kind", "roles", "scopes", "username"}
	for _, test := range []struct {
		file, object string
		want         []string
	}{
		{"authz.json", "", []string{
			"claims", "client_ip", "headers", "host", "method", "now", "params", "path", "preflight",
			"query", "resource", "route", "segments", "subject", "token_error",
		}},
		{"authz.json", "subject", subject},
		{"token.json", "", []string{"amr", "audience", "client", "client_ip", "grant_type", "now", "scope", "session", "subject"}},
		{"token.json", "subject", subject},
		{"token.json", "client", []string{"audiences", "confidential", "disabled", "grants", "id", "scopes"}},
		{"token.json", "session", []string{"audience", "auth_time", "scope"}},
		{"authzen.json", "", []string{"action", "context", "resource", "subject"}},
		{"authzen.json", "subject", []string{"id", "properties", "type"}},
		{"authzen.json", "action", []string{"name", "properties"}},
		{"authzen.json", "resource", []string{"id", "properties", "type"}},
	} {
		t.Run(test.file+" "+test.object, func(t *testing.T) {
			object := load(t, test.file)
			if test.object != "" {
				object = object.Properties[test.object]
			}
			if got := names(object.Properties); !slices.Equal(got, test.want) {
				t.Errorf("members\ngot  %v\nwant %v", got, test.want)
			}
			for _, name := range object.Required {
				if object.Properties[name] == nil {
					t.Errorf("%s is required and has no description", name)
				}
			}
		})
	}
}

// TestEachMemberIsDescribedAndEachObjectIsOpenOrClosed: a misspelt member is
// found only in a closed object, and OPA takes one with properties as closed.
func TestEachMemberIsDescribedAndEachObjectIsOpenOrClosed(t *testing.T) {
	open := map[string]bool{"claims": true, "resource": true, "attributes": true, "properties": true, "context": true}
	for _, file := range []string{"authz.json", "token.json", "authzen.json"} {
		var walk func(where, name string, n *node)
		walk = func(where, name string, n *node) {
			if n.Description == "" {
				t.Errorf("%s has no description", where)
			}
			if n.Type == "" {
				t.Errorf("%s has no type", where)
			}
			if n.Type == "array" && (n.Items == nil || n.Items.Type == "") {
				t.Errorf("%s: of what type are its elements?", where)
			}
			switch {
			case n.Type != "object":
			case len(n.Properties) > 0:
				if string(n.AdditionalProperties) != "false" {
					t.Errorf("%s lists its members and does not say that there are no others", where)
				}
			case len(n.AdditionalProperties) == 0 && !open[name]:
				t.Errorf("%s is an object whose members are not described", where)
			}
			for _, child := range names(n.Properties) {
				walk(where+"."+child, child, n.Properties[child])
			}
		}
		walk(file, "", load(t, file))
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "schemas")
	for _, round := range []string{"into a new directory", "over an earlier version"} {
		if err := schema.Write(dir); err != nil {
			t.Fatalf("%s: %v", round, err)
		}
		for _, name := range []string{"authz.json", "token.json", "authzen.json"} {
			want, _ := schema.FS.ReadFile(name)
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != string(want) {
				t.Errorf("%s: %s differs (error %v)", round, name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := schema.Write(""); err == nil {
		t.Error("Write without a directory succeeded")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := schema.Write(filepath.Join(file, "below")); err == nil {
		t.Error("Write below a file succeeded")
	}
}
