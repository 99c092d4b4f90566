package openapi

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/server/route"
)

var update = flag.Bool("update", false, "write the golden files anew")

// builtIn stands for two of the server's routes.
func builtIn(pattern string) string {
	for _, p := range []string{"/token", "/admin/v1/users/{id}"} {
		if includes(shape(p), shape(pattern)) {
			return p
		}
	}
	return ""
}

// TestDocuments holds what whole documents become: FastAPI's, the petstore, and one in
// which nothing can be translated.
func TestDocuments(t *testing.T) {
	for _, name := range []string{"fastapi.json", "petstore.yaml", "untranslatable.yaml"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			imported, err := Read(text, Options{BuiltIn: builtIn})
			if err != nil {
				t.Fatal(err)
			}
			written, err := imported.YAML(name, "")
			if err != nil {
				t.Fatal(err)
			}
			got := string(written)
			for _, list := range []struct {
				what  string
				items []Item
			}{{"left", imported.Left}, {"note", imported.Notes}} {
				for _, item := range list.items {
					got += fmt.Sprintf("%s: line %d: %s\n", list.what, item.Line, item)
				}
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s\n(-update writes it)", got, want)
			}
		})
	}
}

// head begins documents of the tests below.
const head = `
openapi: 3.1.0
components:
  securitySchemes:
    o: {type: oauth2}
    oidc: {type: openIdConnect}
    b: {type: http, scheme: Bearer}
    k: {type: apiKey}
    linked: {$ref: '#/components/securitySchemes/o'}
`

// asked is a condition in a word.
func asked(c Condition) string {
	switch {
	case c.Public:
		return "public"
	case len(c.Scopes) > 0:
		return strings.Join(c.Scopes, "+")
	}
	return "authenticated"
}

// lines is an import on a line each: pattern, method, conditions.
func lines(i *Import) string {
	var all []string
	for _, r := range i.Routes {
		if len(r.Methods) == 0 {
			all = append(all, r.Pattern+" closed")
		}
		for method, c := range r.Methods {
			all = append(all, method+" "+r.Pattern+" "+asked(c))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, document string
		options        Options
		want           string
		left           string // a part of what is left out; empty for nothing
	}{
		{"scopes are sorted and compacted", `paths: {/a: {get: {security: [{o: [b, a, b]}]}}}`, Options{}, "GET /a a+b", ""},
		{"no scopes", `paths: {/a: {get: {security: [{oidc: []}]}}}`, Options{}, "GET /a authenticated", ""},
		{"bearer with names", `paths: {/a: {get: {security: [{b: [x]}]}}}`, Options{}, "GET /a x", ""},
		{"all schemes of an alternative", `paths: {/a: {get: {security: [{o: [x], b: [], oidc: [w]}]}}}`, Options{}, "GET /a w+x", ""},
		{"a linked scheme", `paths: {/a: {get: {security: [{linked: [x]}]}}}`, Options{}, "GET /a x", ""},
		{"nobody", `paths: {/a: {get: {security: []}}}`, Options{}, "GET /a public", ""},
		{"optional", `paths: {/a: {get: {security: [{o: [x]}, {}]}}}`, Options{}, "GET /a public", ""},
		{"a superset falls away", `paths: {/a: {get: {security: [{o: [x, y]}, {o: [x]}, {b: [x, z]}]}}}`, Options{}, "GET /a x", ""},
		{"what can't be asked for falls away", `paths: {/a: {get: {security: [{k: []}, {o: [x]}]}}}`, Options{}, "GET /a x", ""},
		{"a key beside", `paths: {/a: {get: {security: [{k: [], o: [x]}]}}}`, Options{}, "/a closed", "k (apiKey)"},
		{"the document's", `{security: [{o: [d]}], paths: {/a: {get: {}, post: {security: []}}}}`, Options{}, "GET /a d; POST /a public", ""},
		{"nothing said", `paths: {/a: {get: {}}}`, Options{}, "/a closed", "says nothing about security"},
		{"nothing said, authenticated", `paths: {/a: {get: {}}}`, Options{Unsecured: UnsecuredAuthenticated}, "GET /a authenticated", ""},
		{"nothing said, public", `paths: {/a: {get: {}}}`, Options{Unsecured: UnsecuredPublic}, "GET /a public", ""},
		{"an empty security of the document", `{security: [], paths: {/a: {get: {}}}}`, Options{}, "GET /a public", ""},

		{"base of the servers", `{servers: [{url: 'https://x.example/v1/'}, {url: /v2}, {url: //y.example/v1}], paths: {/a: {get: {security: []}}}}`, Options{}, "GET /v1/a public; GET /v2/a public", ""},
		{"base of the path and the operation", `{servers: [{url: /d}], paths: {/a: {servers: [{url: /p}], get: {security: [], servers: [{url: /o}]}, put: {security: []}}}}`, Options{}, "GET /o/a public; PUT /p/a public", ""},
		{"variables", `{servers: [{url: 'https://{host}/{v}', variables: {host: {default: x.example}, v: {default: v3}}}], paths: {/a: {get: {security: []}}}}`, Options{}, "GET /v3/a public", ""},
		{"base given", `{servers: [{url: /d}], paths: {/a/: {get: {security: []}}}}`, Options{Base: "/given/"}, "GET /given/a/ public", ""},
		{"no base given", `{servers: [{url: /d}], paths: {/a: {get: {security: []}}}}`, Options{Base: "/"}, "GET /a public", ""},
		{"one server that can't be read", `{servers: [{url: '/{v}'}, {url: /b}], paths: {/a: {get: {security: []}}}}`, Options{}, "GET /b/a public", "a variable that is not declared"},

		{"parameters", `paths: {'/a/{item-id}/{x.y}/{z...}': {get: {security: []}}}`, Options{}, "GET /a/{item-id}/{x_y}/{z___} public", ""},
		{"parameters of one name", `paths: {'/{a.b}/{a_b}/{é}': {get: {security: []}}}`, Options{}, "GET /{a_b}/{a_b2}/{_} public", ""},
		{"methods", `{security: [], paths: {/a: {trace: {}, patch: {}, options: {}, query: {}, additionalOperations: {COPY: {}}, x-get: {}, connect: {}}}}`, Options{}, "COPY /a public; OPTIONS /a public; PATCH /a public; QUERY /a public; TRACE /a public", ""},
		{"HEAD as GET", `{security: [], paths: {/a: {get: {}, head: {}}, /b: {head: {}}}}`, Options{}, "GET /a public; HEAD /b public", ""},
		{"a path item by reference", `{components: {pathItems: {p: {get: {security: []}}}}, paths: {/a: {$ref: '#/components/pathItems/p', summary: s}, /b~c: {$ref: '#/paths/~1a'}}}`, Options{}, "GET /a public; GET /b~c public", ""},
		{"no paths", `webhooks: {w: {post: {}}}`, Options{}, "", ""},
		{"an empty path item", `paths: {/a: , /b: {}}`, Options{}, "/a closed; /b closed", ""},
		{"merged members", "x: &s {security: [{o: [m]}]}\npaths: {/a: {get: {<<: *s}, put: {<<: [*s], security: []}}}", Options{}, "GET /a m; PUT /a public", ""},
		{"an anchor's security", "paths: {/a: {get: {security: &s [{o: [m]}]}}, /b: {get: {security: *s}}}", Options{}, "GET /a m; GET /b m", ""},
		{"the same path in two spellings", `{security: [], paths: {'/same/{a}': {get: {}}, '/same/{b}': {get: {}, put: {}}}}`, Options{}, "GET /same/{a} public; PUT /same/{a} public", ""},

		// What is left out must not be opened by a wider route.
		{"a closed path below an open one", `paths: {'/i/{id}': {get: {security: []}}, /i/secret: {get: {security: [{k: []}]}}}`, Options{}, "/i/secret closed; GET /i/{id} public", "k (apiKey)"},
		{"a part of a segment closes the method", `paths: {'/f/{n}': {get: {security: []}, put: {security: []}}, '/f/{n}.json': {get: {security: [{o: []}]}}}`, Options{}, "PUT /f/{n} public", "only a part"},
		{"empty path items below an open one", `paths: {'/i/{id}': {get: {security: []}}, /i/a: , /i/b: {}, /i/c: {x-get: {}}, /i/d: {$ref: '#/paths/~1i~1b'}}`, Options{}, "/i/a closed; /i/b closed; /i/c closed; /i/d closed; GET /i/{id} public", ""},
		{"a security of the path", `{security: [], paths: {'/i/{id}': {get: {}}, /i/me: {security: [{o: [x]}], get: {}, put: {security: [{o: [y]}]}}}}`, Options{}, "/i/me closed; GET /i/{id} public", "OpenAPI does not know"},
		{"an operation by reference", `{"openapi": "3.1.0", "security": [], "paths": {"/i/{id}": {"get": {}}, "/i/me": {"get": {"$ref": "#/x"}, "put": {}}}}`, Options{}, "GET /i/{id} public; PUT /i/me public", "an operation can't be"},
		{"a security that is misspelt", `{security: [], paths: {/a: {get: {Security: [{o: [x]}]}, put: {'security ': [{o: [x]}], security: []}, post: {}}, /b: {SECURITY: [{o: [x]}], get: {}}}}`, Options{}, "/b closed; POST /a public", "another name"},
		{"a slash in a parameter's name", `paths: {'/{y}/{id}': {get: {security: []}}, '/i/{a/b}': {get: {security: [{k: []}]}}}`, Options{}, "/i/{a_b} closed; GET /{y}/{id} public", "k (apiKey)"},
		{"a slash in the name of a part", `paths: {'/{y}/{id}': {get: {security: []}}, '/i/{a/b}.x': {get: {security: [{o: []}]}}}`, Options{}, "/i/{part} closed; GET /{y}/{id} public", "only a part"},
		{"a query closes the method", `paths: {'/q': {get: {security: []}}, '/q?all': {get: {security: [{o: []}]}}}`, Options{}, "/q closed", "query"},
		{"another spelling closes what it means", `paths: {'/{x}': {get: {security: []}}, '/%61dmin': {get: {security: [{o: []}]}}, '/a/../b': {get: {security: [{o: []}]}}}`, Options{}, "/admin closed; /b closed; GET /{x} public", "is no route"},
		{"another spelling of a path that is there", `paths: {/admin: {get: {security: []}, put: {security: []}}, '/%61dmin': {get: {security: [{o: []}]}}}`, Options{}, "PUT /admin public", "takes the same requests"},
		{"crossing paths close what is wider", `paths: {'/{a}/{b}': {get: {security: []}}, '/{kind}/me': {get: {security: []}}, '/users/{id}': {get: {security: [{o: []}]}}, /users/list: {get: {security: []}}}`, Options{}, "/{a}/{b} closed; GET /users/list public", "ambiguous"},
		{"a path that can't be read", `paths: {'/i/{id}': {get: {security: []}}, /i/x: {$ref: other.yaml}}`, Options{}, "/i/x closed; GET /i/{id} public", "bundle the document first"},
		{"a path that can't be read beside the same", `paths: {'/i/{id}': {get: {security: []}}, '/i/{x}': {$ref: other.yaml}}`, Options{}, "/i/{id} closed", "bundle the document first"},
		{"the server's own path below an open one", `paths: {'/{slug}': {get: {security: []}}, /token: {get: {security: []}}}`, Options{BuiltIn: builtIn}, "/token closed; GET /{slug} public", "the server's own"},
		{"HEAD that asks for more", `paths: {/a: {get: {security: []}, head: {security: [{o: [x]}]}, put: {security: []}}}`, Options{}, "PUT /a public", "HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imported, err := Read([]byte(join(t, tt.document)), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(imported); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			if left := fmt.Sprint(imported.Left); (len(imported.Left) > 0) != (tt.left != "") || !strings.Contains(left, tt.left) {
				t.Errorf("left out: %s\nwant %q", left, tt.left)
			}
			var document any
			if err := yaml.Unmarshal([]byte(join(t, tt.document)), &document); err != nil {
				t.Fatal(err)
			}
			inJSON, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			if imported, err = Read(inJSON, tt.options); err != nil || lines(imported) != tt.want {
				t.Errorf("as JSON: %v, %v\nwant %s", imported, err, tt.want)
			}
		})
	}
}

// join puts a document's own members beside those of the head.
func join(t *testing.T, own string) string {
	t.Helper()
	if !strings.HasPrefix(own, "{") && !strings.Contains(own, "components") {
		return head + own
	}
	var document, more map[string]any
	for text, into := range map[string]*map[string]any{head: &document, own: &more} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range more {
		if name == "components" {
			for member, v := range value.(map[string]any) {
				document[name].(map[string]any)[member] = v
			}
			continue
		}
		document[name] = value
	}
	text, err := yaml.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadRefuses(t *testing.T) {
	bomb := "openapi: 3.0.0\nx-a: &a [1,1,1,1,1,1,1,1,1,1]\n"
	security := "[{}" + strings.Repeat(", {}", 60) + "]"
	flood := "openapi: 3.0.0\nx-s: &s " + security + "\nx-p: &p {get: {security: *s}, put: {security: *s}, post: {security: *s}, delete: {security: *s}}\npaths:\n"
	for i := range 9_000 {
		flood += fmt.Sprintf("  /p%d: *p\n", i)
	}
	tests := []struct{ name, document, want string }{
		{"nothing", " ", "is empty"},
		{"a text", "hello", "has to be an object"},
		{"no version", "paths: {}", "no `openapi`"},
		{"Swagger", "swagger: '2.0'\npaths: {}", "line 1: is Swagger 2.0; convert it"},
		{"version 4", "openapi: 4.0.0", "4.0.0"},
		{"paths twice", "openapi: 3.0.0\npaths: {/a: {}}\npaths: {}", `line 3: the document has "paths" twice`},
		{"a path twice", "openapi: 3.0.0\npaths:\n  /a: {}\n  /a: {}", `line 4: paths has "/a" twice`},
		{"a path twice in JSON", `{"openapi": "3.0.0", "paths": {"/a": {}, "/a": {}}}`, `line 1: paths has "/a" twice`},
		{"a scheme twice", "openapi: 3.0.0\ncomponents: {securitySchemes: {a: {}, a: {}}}", "twice"},
		{"two documents", "openapi: 3.0.0\n---\nopenapi: 3.0.0", "more than one document"},
		{"broken YAML", "openapi: 3.0.0\npaths: [", "line 2: did not find"},
		{"broken JSON", "{\"openapi\": \"3.0.0\",\n\"paths\": {\"/a\": {}", "line 2: is not JSON"},
		{"JSON and more", `{"openapi": "3.0.0"} {}`, "follows the document's end"},
		{"paths a list", "openapi: 3.0.0\npaths: []", "paths has to be an object"},
		{"deep", "openapi: 3.0.0\nx: " + strings.Repeat("[", 20_000), "depth"},
		{"deep JSON", `{"openapi": "3.0.0", "x": ` + strings.Repeat("[", 20_000), "depth"},
		{"a name in base64", "openapi: 3.0.0\nsecurity: []\npaths: {/a: {get: {}}, ? !!binary L2E= : {get: {}}}", "no text"},
		{"larger than is read", strings.Repeat(" ", MaxBytes+1), "more than 32 MiB"},
		{"a mapping merged into itself", "openapi: 3.0.0\npaths: &p {<<: *p}", "merges mappings"},
		{"aliases without end", flood, "steps"},
		{"too many paths", "openapi: 3.0.0\npaths:\n" + many(maxRoutes+1), "more than 10000 paths"},
		{"one path that is ambiguous beside too many", "openapi: 3.0.0\nsecurity: []\npaths:\n  /{a}/x: {get: {}}\n" + strings.ReplaceAll(many(2*maxCluster), ": {get", "/{b}: {get"), "ambiguous"},
		{"too many ambiguous", "openapi: 3.0.0\nsecurity: []\npaths:\n" + crossing(2*maxClusters), "ambiguous"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imported, err := Read([]byte(tt.document), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want %s", imported, err, tt.want)
			}
		})
	}
	bomb += "x-b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nx-c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nx-d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\npaths: {/a: {get: {security: *d}}}\n"
	if imported, err := Read([]byte(bomb), Options{}); err != nil || len(imported.Left) != 1 {
		t.Errorf("aliases that nothing follows: %v, %v", imported, err)
	}
}

// TestParametersOfOneName: naming them apart takes no time that grows with the square of
// their number. It did: some 40 s for this path.
func TestParametersOfOneName(t *testing.T) {
	path := strings.Repeat("/{p}", 20_000)
	if n := testing.AllocsPerRun(1, func() {
		template, why := parseTemplate(path)
		if why != nil || !strings.HasPrefix(template.pattern, "/{p}/{p2}/{p3}/") || !strings.HasSuffix(template.pattern, "/{p20000}") {
			t.Fatal(template, why)
		}
	}); n > 200_000 {
		t.Errorf("%.0f allocations", n)
	}
	if template, _ := parseTemplate("/{p2}/{p}/{p}/{p2}/{p}/{}/{}"); template.pattern != "/{p2}/{p}/{p3}/{p22}/{p4}/{2}/{3}" {
		t.Errorf("%s: a name twice", template.pattern)
	}
}

// TestDeepJSON: what is nested deep takes no memory that grows with the square of its
// depth. It did: 840 MB for these 60 kB.
func TestDeepJSON(t *testing.T) {
	const depth = 9_900
	document := []byte(`{"openapi": "3.0.0", "info": ` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(document, Options{})
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 100<<20 {
		t.Errorf("%d MiB, and %v", got>>20, err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  /p%d: {get: {security: []}}\n", i)
	}
	return b.String()
}

// crossing are pairs of paths, each ambiguous and apart from the others.
func crossing(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  /p%d/{a}/x: {get: {}}\n  /p%d/y/{b}: {get: {}}\n", i, i)
	}
	return b.String()
}

// FuzzRead holds that no document makes it crash, and that what comes out is a table.
func FuzzRead(f *testing.F) {
	// Short ones: whole documents are minimised for longer than they are fuzzed.
	for _, text := range []string{
		"openapi: 3.0.0\nsecurity: [{o: [a]}, {}]\ncomponents: {securitySchemes: {o: {type: oauth2}}}\npaths: {/token: {get: {}}}",
		"openapi: 3.1.0\nservers: [{url: '/{v}', variables: {v: {default: a}}}]\npaths: {'/{x}.j': {get: {}, head: {security: []}}}",
		"openapi: 3.1.0\npaths: {/a: {$ref: '#/paths/~1b'}, /b: {put: {security: []}}}",
		`{"openapi": "3.1.0", "paths": {"/\ud83d\ude00/{a-b}": {"get": {"security": []}}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Add([]byte("openapi: 3.0.0\nx: &x {<<: *x}\npaths: {/a: *x, '/{b}/c': {get: {security: []}}, '/a/{d}': {get: {security: []}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		imported, err := Read(text, Options{BuiltIn: builtIn})
		if err != nil {
			return
		}
		var patterns []string
		for _, r := range imported.Routes {
			patterns = append(patterns, r.Pattern)
		}
		if _, err := route.NewMatcher(patterns); err != nil {
			t.Fatalf("not a table: %v", err)
		}
		written, err := imported.YAML("x", "shop")
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			Routes map[string]map[string]any
		}
		if err := yaml.Unmarshal(written, &back); err != nil || len(back.Routes) != len(imported.Routes) {
			t.Fatalf("written as %s: %v", written, err)
		}
	})
}
