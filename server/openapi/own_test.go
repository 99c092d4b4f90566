package openapi

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/data"
)

// TestOwnDocument holds that what is imported of the server's own openapi.json is what
// data/routes.yaml says, as far as OpenAPI can say it: it has no roles and no owners.
func TestOwnDocument(t *testing.T) {
	text, err := os.ReadFile("../apidoc/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	imported, err := Read(text, Options{})
	if err != nil || len(imported.Left)+len(imported.Notes) > 0 {
		t.Fatal(err, imported)
	}
	routes, err := fs.ReadFile(data.FS, "routes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Routes map[string]map[string]struct {
			Public bool
			Scopes []string
		}
	}
	if err := yaml.Unmarshal(routes, &table); err != nil {
		t.Fatal(err)
	}
	got := map[string]Condition{}
	for _, r := range imported.Routes {
		for method, c := range r.Methods {
			got[method+" "+r.Pattern] = c
		}
	}
	for pattern, methods := range table.Routes {
		for method, want := range methods {
			name := method + " " + strings.ReplaceAll(pattern, "...}", "}")
			c, ok := got[name]
			slices.Sort(want.Scopes)
			if !ok || !c.equal(Condition{want.Public, want.Scopes}) {
				t.Errorf("%s: imported %v (%v), data/routes.yaml has %v", name, c, ok, want)
			}
			delete(got, name)
		}
	}
	if len(got) > 0 {
		t.Errorf("imported, but not in data/routes.yaml: %v", got)
	}
}
