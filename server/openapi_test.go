package server_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
)

const shopDocument = `openapi: 3.1.0
info: {title: Shop, version: '1'}
components:
  securitySchemes:
    o: {type: oauth2, flows: {}}
    key: {type: apiKey, in: header, name: x-key}
paths:
  /items/{item_id}:
    get: {security: [{o: ['shop:read']}]}
    delete: {security: [{key: []}]}
  /health:
    get: {security: []}
  /users/me:
    get: {security: []}
  /keys:
    get: {security: [{key: []}]}
`

// inFrontOf starts a server with a document and a client that has its scope, and
// returns a token of that.
func inFrontOf(t *testing.T, up *upstream, file string, change func(*server.Config)) (*running, string) {
	t.Helper()
	var secret string
	s := start(t, func(c *server.Config) {
		c.Upstream, c.OpenAPI, c.Demo = up.URL, file, false
		if change != nil {
			change(c)
		}
		secret = addClient(t, c.State, account.Client{
			ID: "try", Confidential: true, Grants: []string{account.GrantClientCredentials}, Scopes: []string{"shop:read"},
		})
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("try:"+secret)))
	a := s.do(request)
	token, _ := a.json(t)["access_token"].(string)
	if token == "" {
		t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	return s, token
}

// addClient registers a client in a state that no server has yet, and returns its
// secret.
func addClient(t *testing.T, dir string, client account.Client) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	state, err := server.OpenState(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	clients, err := account.OpenClients(t.Context(), state, account.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := clients.Create(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestServeOpenAPI holds that a document is protected as it says, that what it can't
// say is refused, and that a save of it is live unless it can't be read.
func TestServeOpenAPI(t *testing.T) {
	up := newUpstream(t)
	dir := t.TempDir()
	write(t, dir, "shop.yaml", shopDocument)
	file := filepath.Join(dir, "shop.yaml")
	s, token := inFrontOf(t, up, file, nil)

	check := func(method, path, token string, status int) {
		t.Helper()
		a := s.call(method, path, token, "")
		if a.StatusCode != status {
			t.Errorf("%s %s: %d, want %d: %s", method, path, a.StatusCode, status, a.body)
		}
		if reached := len(up.take()); (reached == 1) != (status == 200) {
			t.Errorf("%s %s: %d requests reached the upstream", method, path, reached)
		}
	}
	check("GET", "/items/1", token, 200)
	check("HEAD", "/items/1", token, 200)
	check("GET", "/items/1", "", 401)
	check("DELETE", "/items/1", token, 405)
	check("GET", "/items/", token, 404) // the demo's, which is not there
	check("GET", "/keys", "", 401)
	if a := s.call("GET", "/keys", token, ""); a.StatusCode != 405 || a.Header.Get("Allow") != "" || !strings.Contains(a.body, "this path is closed") {
		t.Errorf("/keys, of which nothing could be translated: %d %q %s", a.StatusCode, a.Header.Get("Allow"), a.body)
	}
	check("GET", "/health", "", 200)
	if a := s.call("GET", "/livez", "", ""); a.body != "ok\n" {
		t.Errorf("/livez: %s", a.body)
	}
	if a := s.call("GET", "/users/me", "", ""); a.StatusCode != 401 {
		t.Errorf("/users/me, the server's own: %d", a.StatusCode)
	}
	for _, left := range []string{":10: DELETE /items/{item_id}: asks for key", ":14: GET /users/me: is a path of the server's own"} {
		if !strings.Contains(s.log.since(0), file+left) {
			t.Errorf("the log does not say %s", left)
		}
	}

	s.log.waitAfter(t, "policy activated", func() { edit(t, file, "shop:read", "shop:all") })
	check("GET", "/items/1", token, 403)
	s.log.waitAfter(t, "policy problem", func() { edit(t, file, "paths:", "paths: {") })
	if problem := s.log.since(0); !strings.Contains(problem, "file="+file+" line=") {
		t.Errorf("no file and line in %s", problem)
	}
	check("GET", "/items/1", token, 403)
	check("GET", "/health", "", 200)
	s.log.waitAfter(t, "policy activated", func() {
		write(t, dir, "shop.yaml", strings.Replace(shopDocument, "security: []", "security: [{o: []}]", 1))
	})
	check("GET", "/items/1", token, 200)
	check("GET", "/health", "", 401)
	check("GET", "/health", token, 200)
}

// TestServeOpenAPIBesideData: all of the data counts, and nothing is declared twice.
func TestServeOpenAPIBesideData(t *testing.T) {
	up := newUpstream(t)
	_, data := copyDefaults(t)
	routes := filepath.Join(data, "routes.yaml")
	edit(t, routes, "/items/{id}:", "/things/{id}:")
	edit(t, routes, "/admin-only: {GET: {roles: [admin]}}", "/admin-only: {GET: {public: true}}\n  /keys: {GET: {authenticated: true}}")
	file := filepath.Join(data, "shop.yaml") // in the very directory: it is no data by itself
	write(t, data, "shop.yaml", shopDocument)
	s, token := inFrontOf(t, up, file, func(c *server.Config) { c.Data = data })
	for path, status := range map[string]int{"/items/1": 200, "/admin-only": 200, "/health": 200, "/keys": 200, "/nowhere": 404} {
		if a := s.call("GET", path, token, ""); a.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, status)
		}
	}
	s.log.waitAfter(t, "policy problem", func() { edit(t, routes, "/keys: {GET: {authenticated: true}}", "/health: {POST: {public: true}}") })
	if log := s.log.since(0); !strings.Contains(log, `route \"/health\" is declared in `+routes+":") || !strings.Contains(log, "file="+file+" line=12") {
		t.Errorf("both files should be named in\n%s", log)
	}
}

func TestOpenAPIDocumentsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "good.yaml", shopDocument)
	write(t, dir, "swagger.yaml", "swagger: '2.0'\n")
	write(t, dir, "good.txt", shopDocument)
	data := filepath.Join(dir, "data")
	write(t, data, "routes.yaml", "routes: {}\n")
	for _, c := range []struct{ name, file, upstream, data, want string }{
		{"no upstream", "good.yaml", "", "", "name the service, as in --upstream"},
		{"no upstream in the data", "good.yaml", "", data, "name the service, as in --upstream"},
		{"missing", "missing.yaml", "http://127.0.0.1:1", "", "no such file"},
		{"a directory", "data", "http://127.0.0.1:1", "", "is not a file"},
		{"another name", "good.txt", "http://127.0.0.1:1", "", "has to be named"},
		{"of another kind", "swagger.yaml", "http://127.0.0.1:1", "", "swagger.yaml:1: data_error: is Swagger 2.0; convert it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := server.DefaultConfig()
			cfg.Listen, cfg.State = "127.0.0.1:0", filepath.Join(t.TempDir(), "state")
			cfg.OpenAPI, cfg.Upstream, cfg.Data = filepath.Join(dir, c.file), c.upstream, c.data
			s, err := server.New(context.Background(), cfg, nil)
			if err == nil {
				s.Close()
				t.Fatal("it starts")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestWhatTheWelcomeSaysToTry does what is printed at a start.
func TestWhatTheWelcomeSaysToTry(t *testing.T) {
	for _, name := range []string{"bash", "curl", "go"} {
		tool(t, name)
	}
	up := newUpstream(t)
	dir := t.TempDir()
	write(t, dir, "shop.yaml", strings.Replace(shopDocument, "'shop:read'", "'shop:read', \"it's,odd\"", 1))
	s := start(t, func(c *server.Config) {
		c.Upstream, c.OpenAPI, c.Demo = up.URL, filepath.Join(dir, "shop.yaml"), false
	})
	text, err := s.Welcome(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"shop.yaml: 2 paths, served by " + up.URL, "3 operations could not be translated", "Its scopes: it's,odd, shop:read."} {
		if !strings.Contains(text, said) {
			t.Errorf("%q is not in\n%s", said, text)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "stagedoor"), "../cmd/stagedoor")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	commands := regexp.MustCompile(`(?m)^    (SECRET|TOKEN|curl).*$`).FindAllString(text, -1)
	if len(commands) != 3 {
		t.Fatalf("what to try is %q in\n%s", commands, text)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-ec", strings.Join(commands, "\n"))
	shell.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := shell.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "200 OK") || len(up.take()) != 1 {
		t.Errorf("%v: %s\nof\n%s", err, output, text)
	}
}
