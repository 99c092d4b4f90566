package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/demo"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

const issuer = "https://issuer.example"

// people are the demo's accounts by username, with an id each.
type people map[string]account.Account

func newPeople() people {
	p := people{}
	for _, a := range demo.Accounts() {
		a.ID = "01" + strings.ToUpper(a.Username)
		p[a.Username] = a
	}
	return p
}

func (p people) Find(_ context.Context, ref string) (account.Account, error) {
	for _, a := range p {
		if a.ID == ref || a.Username == ref {
			return a, nil
		}
	}
	return account.Account{}, account.ErrNotFound
}

func (p people) Subject(ctx context.Context, id string) (*authz.Subject, error) {
	a, err := p.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.Subject(), nil
}

// Verify takes a token that is a username, or a username and scopes after a
// colon.
func (p people) Verify(_ context.Context, raw string) (*token.Verified, error) {
	username, scope, narrowed := strings.Cut(raw, ".")
	if !narrowed {
		scope = "items~read+items~write"
	}
	scope = strings.NewReplacer("~", ":", "+", " ").Replace(scope)
	id := p[username].ID
	return &token.Verified{
		Issuer: issuer, Subject: id, ID: "the-token",
		Claims: &authz.Claims{Values: map[string]any{"iss": issuer, "sub": id, "scope": scope, "client_id": "stagedoor"}},
	}, nil
}

// shipped is the shipped policy; loading it takes long, and nothing changes it.
// Its own tests have time even under the race detector.
var shipped = sync.OnceValues(func() (*policy.Engine, error) {
	return policy.New(context.Background(), policy.FS(policies.FS, data.FS), policy.Options{
		Deadline: time.Minute, TestDeadline: 5 * time.Minute,
	})
})

// server is the demo behind a gate with the shipped policy.
func server(t *testing.T) (http.Handler, people) {
	t.Helper()
	engine, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	p := newPeople()
	api := demo.New(demo.Options{Accounts: p})
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.RedirectTrailingSlash, router.RedirectFixedPath = false, false
	api.Register(router)
	door, err := gate.New(gate.Options{
		Policy: engine, Tokens: p, Subjects: p, Issuer: issuer, Realm: "stagedoor", Loaders: api.Loaders(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return door.Wrap(router), p
}

func call(h http.Handler, method, path, bearer, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func object(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return got
}

func TestWhoMayDoWhat(t *testing.T) {
	const johns, carols = "/items/01JDEM01TEM000000000000001", "/items/01JDEM01TEM000000000000003"
	tests := []struct {
		name, method, path, bearer, body string
		status                           int
		want                             map[string]any // the answer, where it matters
	}{
		{"the index is public", "GET", "/", "", "", 200, nil},
		{"an administrator reads /admin-only", "GET", "/admin-only", "johndoe", "", 200, map[string]any{"message": "Hello, admin!"}},
		{"a client does not", "GET", "/admin-only", "carol", "", 403, nil},
		{"nobody does not", "GET", "/admin-only", "", "", 401, nil},
		{"a client reads /client-only", "GET", "/client-only", "carol", "", 200, map[string]any{"message": "Hello, client!"}},
		{"an administrator is no client", "GET", "/client-only", "johndoe", "", 403, nil},
		{"a disabled account reads nothing", "GET", "/client-only", "alice", "", 403, nil},
		{"items need a scope", "GET", "/items/", "carol.items~write", "", 403, nil},
		{"an item can be read", "GET", johns, "carol", "", 200, map[string]any{"id": "01JDEM01TEM000000000000001", "title": "Stage plan", "owner": "johndoe"}},
		{"an item that is not there", "GET", "/items/nothing", "carol", "", 404, nil},
		{"making one needs a scope", "POST", "/items/", "carol.items~read", `{"title":"x"}`, 403, nil},
		{"bad JSON", "POST", "/items/", "carol", `{"title":`, 400, nil},
		{"too large", "POST", "/items/", "carol", `{"title":"` + strings.Repeat("x", 17<<10) + `"}`, 413, nil},
		{"nobody else's item", "DELETE", johns, "carol", "", 403, nil},
		{"one's own without the scope", "DELETE", carols, "carol.items~read", "", 403, nil},
		{"one's own", "DELETE", carols, "carol", "", 204, nil},
		{"an administrator's", "DELETE", johns, "johndoe", "", 204, nil},
		{"an administrator deletes what is not there", "DELETE", johns, "johndoe", "", 404, nil},
	}
	h, _ := server(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := call(h, tt.method, tt.path, tt.bearer, tt.body)
			if w.Code != tt.status {
				t.Fatalf("%d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if tt.want != nil && !reflect.DeepEqual(object(t, w), tt.want) {
				t.Errorf("got %s", w.Body)
			}
			if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("Content-Type %q", w.Header().Get("Content-Type"))
			}
		})
	}
}

func TestAnItemBelongsToWhoMadeIt(t *testing.T) {
	h, _ := server(t)
	made := call(h, "POST", "/items/", "carol", `{"title":"Set list"}`)
	it := object(t, made)
	if made.Code != 201 || it["title"] != "Set list" || it["owner"] != "carol" || made.Header().Get("Location") != "/items/"+it["id"].(string) {
		t.Fatalf("%d %v %s", made.Code, made.Header(), made.Body)
	}
	path := made.Header().Get("Location")
	if w := call(h, "GET", path, "johndoe", ""); !reflect.DeepEqual(object(t, w), it) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	list := object(t, call(h, "GET", "/items/", "johndoe", ""))["items"].([]any)
	if len(list) != 4 || !reflect.DeepEqual(list[3], any(it)) {
		t.Errorf("the list is %v", list)
	}
	if w := call(h, "DELETE", path, "carol", ""); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(h, "GET", path, "carol", ""); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheLoaderGivesThePolicyFacts(t *testing.T) {
	p := newPeople()
	load := demo.New(demo.Options{Accounts: p}).Loaders()["/items/{id}"]
	ask := func(id string) (map[string]any, error) {
		return load(t.Context(), &authz.Request{Params: map[string]string{"id": id}})
	}
	const carols = "01JDEM01TEM000000000000003"
	if got, err := ask(carols); err != nil || !reflect.DeepEqual(got, map[string]any{"type": "item", "id": carols, "owner": "01CAROL"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ask("nothing"); err != nil || got != nil {
		t.Errorf("an item that is not there: %v, %v", got, err)
	}
	delete(p, "carol")
	if got, err := ask(carols); err != nil || !reflect.DeepEqual(got, map[string]any{"type": "item", "id": carols}) {
		t.Errorf("an item whose owner is gone: %v, %v", got, err)
	}
	broken := demo.New(demo.Options{Accounts: brokenDirectory{}}).Loaders()["/items/{id}"]
	if got, err := broken(t.Context(), &authz.Request{Params: map[string]string{"id": carols}}); err == nil {
		t.Errorf("a directory that fails: %v", got)
	}
}

type brokenDirectory struct{}

func (brokenDirectory) Find(context.Context, string) (account.Account, error) {
	return account.Account{}, errors.New("disk on fire")
}

func TestWithoutAGateNobodyIsAnybody(t *testing.T) {
	router := gin.New()
	demo.New(demo.Options{Accounts: newPeople()}).Register(router)
	for _, request := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/items/", 401},
		{"DELETE", "/items/01JDEM01TEM000000000000001", 404},
	} {
		if w := call(router, request.method, request.path, "johndoe", ""); w.Code != request.status {
			t.Errorf("%s %s: %d %s", request.method, request.path, w.Code, w.Body)
		}
	}
}

func TestDemoAccounts(t *testing.T) {
	passwords := map[string]string{"johndoe": "secret", "alice": "secretalice", "carol": "secretcarol"}
	hasher := account.NewHasher(account.HasherOptions{})
	accounts := demo.Accounts()
	if len(accounts) != len(passwords) {
		t.Fatalf("%d accounts", len(accounts))
	}
	for _, a := range accounts {
		if ok, err := hasher.Verify(a.PasswordHash, passwords[a.Username]); !ok || err != nil {
			t.Errorf("%s does not log in with %s: %v", a.Username, passwords[a.Username], err)
		}
		if a.Disabled != (a.Username == "alice") {
			t.Errorf("%s: disabled is %v", a.Username, a.Disabled)
		}
	}
}

func TestTryThisNamesTheServer(t *testing.T) {
	text := demo.TryThis("http://127.0.0.1:4711/")
	if !strings.Contains(text, "http://127.0.0.1:4711/token") || strings.Contains(text, "URL") || strings.Contains(text, "//token") {
		t.Error(text)
	}
}
