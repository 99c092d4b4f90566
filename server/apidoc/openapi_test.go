package apidoc

import (
	"encoding/json"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/data"
)

type operation struct {
	OperationID string                     `json:"operationId"`
	Summary     string                     `json:"summary"`
	Tags        []string                   `json:"tags"`
	Security    []map[string][]string      `json:"security"`
	Responses   map[string]json.RawMessage `json:"responses"`
	Parameters  []struct{ Name, In string }
}

type document struct {
	OpenAPI    string
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		SecuritySchemes map[string]struct {
			Type  string
			Flows map[string]struct {
				TokenURL string `json:"tokenUrl"`
				Scopes   map[string]string
			}
		}
		Schemas, Responses map[string]json.RawMessage
	}
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// operations reads the document's operations by "METHOD path".
func (d document) operations(t *testing.T) map[string]operation {
	t.Helper()
	all := map[string]operation{}
	for path, members := range d.Paths {
		for name, raw := range members {
			if name == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatalf("%s %s: %v", name, path, err)
			}
			all[strings.ToUpper(name)+" "+path] = o
		}
	}
	return all
}

// rule is what data/routes.yaml says of a route and method.
type rule struct {
	Public, Authenticated, Owner bool
	Roles, Scopes                []string
	OwnerExempt                  []string `yaml:"owner_exempt"`
}

// declared reads data/routes.yaml by "METHOD path", in OpenAPI's notation.
func declared(t *testing.T) map[string]rule {
	t.Helper()
	text, err := fs.ReadFile(data.FS, "routes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Routes map[string]map[string]rule }
	if err := yaml.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	all := map[string]rule{}
	for pattern, methods := range table.Routes {
		for method, r := range methods {
			all[method+" "+strings.ReplaceAll(pattern, "...}", "}")] = r
		}
	}
	return all
}

func TestOpenAPIAgreesWithTheRouteTable(t *testing.T) {
	d := readDocument(t)
	described, table := d.operations(t), declared(t)
	for name := range described {
		if _, ok := table[name]; !ok {
			t.Errorf("openapi.json describes %s, which data/routes.yaml does not declare", name)
		}
	}
	used := map[string]bool{}
	for name, r := range table {
		o, ok := described[name]
		if !ok {
			t.Errorf("data/routes.yaml declares %s, which openapi.json does not describe", name)
			continue
		}
		if r.Public {
			if o.Security == nil || len(o.Security) != 0 {
				t.Errorf("%s is public, but its security is %v", name, o.Security)
			}
			continue
		}
		if len(o.Security) != 1 || o.Security[0]["login"] == nil {
			t.Errorf("%s needs a login, but its security is %v", name, o.Security)
			continue
		}
		scopes := o.Security[0]["login"]
		if !slices.Equal(slices.Sorted(slices.Values(scopes)), slices.Sorted(slices.Values(r.Scopes))) {
			t.Errorf("%s needs the scopes %v, but openapi.json says %v", name, r.Scopes, scopes)
		}
		for _, scope := range scopes {
			used[scope] = true
		}
		for _, status := range []string{"401", "403"} {
			if o.Responses[status] == nil {
				t.Errorf("%s does not describe %s", name, status)
			}
		}
	}
	flow := d.Components.SecuritySchemes["login"].Flows["password"]
	if got, want := slices.Sorted(maps.Keys(flow.Scopes)), slices.Sorted(maps.Keys(used)); !slices.Equal(got, want) {
		t.Errorf("the security scheme offers the scopes %v; the routes need %v", got, want)
	}
	if _, ok := described["POST "+flow.TokenURL]; !ok {
		t.Errorf("tokenUrl %q is no route", flow.TokenURL)
	}
}

func TestOpenAPIIsSound(t *testing.T) {
	d := readDocument(t)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", d.OpenAPI)
	}
	ids := map[string]string{}
	for name, o := range d.operations(t) {
		if o.OperationID == "" || o.Summary == "" || len(o.Responses) == 0 {
			t.Errorf("%s lacks an operationId, a summary or responses", name)
		}
		if other, twice := ids[o.OperationID]; twice {
			t.Errorf("%s and %s have the same operationId", name, other)
		}
		ids[o.OperationID] = name
	}
	for path, members := range d.Paths {
		var parameters []struct{ Name, In string }
		if raw := members["parameters"]; raw != nil {
			if err := json.Unmarshal(raw, &parameters); err != nil {
				t.Fatal(err)
			}
		}
		var inPath, described []string
		for _, m := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
			inPath = append(inPath, m[1])
		}
		for _, p := range parameters {
			described = append(described, p.Name)
		}
		if !slices.Equal(inPath, described) {
			t.Errorf("%s describes the parameters %v", path, described)
		}
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(string(openAPI), -1) {
		if (m[1] == "schemas" && d.Components.Schemas[m[2]] == nil) || (m[1] == "responses" && d.Components.Responses[m[2]] == nil) {
			t.Errorf("the reference to %s/%s leads nowhere", m[1], m[2])
		}
	}
}

func TestWithoutTheDemo(t *testing.T) {
	text, err := withoutDemo(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	var whole, rest document
	if err := json.Unmarshal(openAPI, &whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rest); err != nil {
		t.Fatal(err)
	}
	left := rest.operations(t)
	for name, o := range whole.operations(t) {
		if _, there := left[name]; there == slices.Contains(o.Tags, demoTag) {
			t.Errorf("%s, of %v, is there: %v", name, o.Tags, there)
		}
	}
}
