package server_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// The other interop scenarios of the AuthZEN working group, each by the example of
// its name. The expected answers are the tables that the working group published;
// paging must not change them.
func TestAuthZENInterop(t *testing.T) {
	for scenario, cases := range map[string]int{"gateway": 44, "search": 204, "idp": 23} {
		t.Run(scenario, func(t *testing.T) {
			p := startPDP(t, scenario, nil)
			var golden []struct {
				Path              string
				Request, Expected map[string]any
			}
			readJSON(t, scenario+"-decisions.json", &golden)
			if len(golden) != cases {
				t.Fatalf("%d cases", len(golden))
			}
			for _, c := range golden {
				path := "/access/v1/" + c.Path
				if got := p.ask(t, path, encode(t, c.Request), 200).json(t); !reflect.DeepEqual(got, c.Expected) {
					t.Errorf("%s %v:\ngot  %v\nwant %v", path, c.Request, got, c.Expected)
				}
				if strings.HasPrefix(c.Path, "search/") {
					if got := p.pages(t, path, c.Request, 3); !reflect.DeepEqual(got, c.Expected["results"]) {
						t.Errorf("%s %v, in pages:\ngot  %v\nwant %v", path, c.Request, got, c.Expected["results"])
					}
				}
			}
		})
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// pages are a search's results, asked for page after page.
func (p pdp) pages(t *testing.T, path string, request map[string]any, limit int) any {
	t.Helper()
	results, token := []any{}, ""
	for {
		asked := maps.Clone(request)
		asked["page"] = map[string]any{"limit": limit, "token": token}
		answer := p.ask(t, path, encode(t, asked), 200).json(t)
		results = append(results, answer["results"].([]any)...)
		if token = answer["page"].(map[string]any)["next_token"].(string); token == "" {
			return results
		}
	}
}

// Interop runners have no token of ours: they send none, or a key of their own, in
// whatever form. The document says how to let them in.
func TestAuthZENWithoutATokenOfOurs(t *testing.T) {
	_, data := copyDefaults(t)
	routes, err := os.ReadFile(filepath.Join(data, "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	opened := string(routes)
	for line := range strings.Lines(documented(t, "{POST: {public: true}}")) {
		path, _, _ := strings.Cut(strings.TrimSpace(line), ": ")
		before, after, found := strings.Cut(opened, "  "+path+": ")
		_, after, _ = strings.Cut(after, "\n")
		if !found {
			t.Fatalf("data/routes.yaml has no %s", path)
		}
		opened = before + "  " + strings.TrimSpace(line) + "\n" + after
	}
	write(t, data, "routes.yaml", opened)
	p := startPDP(t, "search", func(c *server.Config) { c.Data = data })
	question := []byte(`{"subject": {"type": "user", "id": "bob"}, "action": {"name": "view"}, "resource": {"type": "record", "id": "101"}}`)
	for _, path := range []string{"evaluation", "evaluations", "search/subject", "search/resource", "search/action"} {
		for _, authorization := range []string{"", "undefined", "some-api-key", "Basic dXNlcjpwYXNz", "Bearer some-static-key", "Bearer a.b.c", "Bearer"} {
			request, err := http.NewRequest(http.MethodPost, p.URL()+"/access/v1/"+path, bytes.NewReader(question))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json; charset=utf-8")
			request.Header.Set("X-API-Key", "some-key")
			if authorization != "" {
				request.Header.Set("Authorization", authorization)
			}
			if a := p.do(request); a.StatusCode != 200 {
				t.Errorf("%s, Authorization %q: %d %s", path, authorization, a.StatusCode, a.body)
			}
		}
	}
}
