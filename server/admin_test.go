package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// admin asks the administration's interface with a token; headers are pairs.
func (r *running) admin(token, method, path, body string, headers ...string) answer {
	r.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequest(method, r.URL()+path, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return r.do(request)
}

// want fails unless an answer has the status.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	return a
}

// text is a member of the answer.
func (a answer) text(t *testing.T, name string) string {
	t.Helper()
	text, _ := a.json(t)[name].(string)
	return text
}

// adminRoutes are all of them, with the scope that each asks for.
var adminRoutes = []struct{ method, path, scope string }{
	{"GET", "/admin/v1/users", "users:read"},
	{"POST", "/admin/v1/users", "users:write"},
	{"GET", "/admin/v1/users/X", "users:read"},
	{"PATCH", "/admin/v1/users/X", "users:write"},
	{"DELETE", "/admin/v1/users/X", "users:write"},
	{"PUT", "/admin/v1/users/X/password", "users:write"},
	{"GET", "/admin/v1/users/X/sessions", "sessions:read"},
	{"DELETE", "/admin/v1/users/X/sessions", "sessions:write"},
	{"GET", "/admin/v1/sessions/X", "sessions:read"},
	{"DELETE", "/admin/v1/sessions/X", "sessions:write"},
	{"GET", "/admin/v1/clients", "clients:read"},
	{"POST", "/admin/v1/clients", "clients:write"},
	{"GET", "/admin/v1/clients/X", "clients:read"},
	{"PATCH", "/admin/v1/clients/X", "clients:write"},
	{"DELETE", "/admin/v1/clients/X", "clients:write"},
	{"POST", "/admin/v1/clients/X/secret", "clients:write"},
	{"GET", "/admin/v1/keys", "keys:read"},
	{"POST", "/admin/v1/keys", "keys:write"},
	{"DELETE", "/admin/v1/keys/X", "keys:write"},
	{"GET", "/admin/v1/policy", "policy:read"},
	{"GET", "/admin/v1/events", "audit:read"},
}

func TestAdminIsForItsScopesOnly(t *testing.T) {
	s := start(t, nil)
	carol := s.token("carol", "secretcarol", "")
	for _, r := range adminRoutes {
		narrowed := s.token("johndoe", "secret", "items:read")
		if a := s.admin("", r.method, r.path, ""); a.StatusCode != 401 {
			t.Errorf("%s %s without a token: %d", r.method, r.path, a.StatusCode)
		}
		for who, token := range map[string]string{"carol": carol, "johndoe without the scope": narrowed} {
			a := s.admin(token, r.method, r.path, "")
			if challenge := a.Header.Get("WWW-Authenticate"); a.StatusCode != 403 || !strings.Contains(challenge, `scope="`+r.scope+`"`) {
				t.Errorf("%s %s by %s: %d, %s", r.method, r.path, who, a.StatusCode, challenge)
			}
		}
		// With that scope alone the request reaches the route: there is no X.
		a := s.admin(s.token("johndoe", "secret", r.scope), r.method, r.path, "", "If-Match", "*")
		if a.StatusCode == 401 || a.StatusCode == 403 || a.StatusCode >= 500 {
			t.Errorf("%s %s with %s: %d %s", r.method, r.path, r.scope, a.StatusCode, a.body)
		}
	}
}

func TestAdminAccounts(t *testing.T) {
	s := start(t, nil)
	admin := s.token("johndoe", "secret", "")
	const users = "/admin/v1/users"

	created := s.admin(admin, "POST", users, `{"username":"Dora","email":"dora@example.com","roles":["client"],"attributes":{"level":12345678901234567890},"password":"correct horse"}`).want(t, 201)
	id := created.text(t, "id")
	if location := created.Header.Get("Location"); location != users+"/"+id {
		t.Errorf("Location %q", location)
	}
	if strings.Contains(created.body, "argon2") || strings.Contains(created.body, "correct horse") {
		t.Errorf("a secret is answered: %s", created.body)
	}
	dora := s.token("dora", "correct horse", "")

	got := s.admin(admin, "GET", users+"/"+id, "").want(t, 200)
	tag := got.Header.Get("ETag")
	if tag == "" || tag != created.Header.Get("ETag") || !strings.Contains(got.body, "12345678901234567890") {
		t.Errorf("ETag %q of %s", tag, got.body)
	}

	t.Run("a change needs the entity tag", func(t *testing.T) {
		s.admin(admin, "PATCH", users+"/"+id, `{"disabled":true}`).want(t, 428)
		s.admin(admin, "DELETE", users+"/"+id, "").want(t, 428)
		s.admin(admin, "PATCH", users+"/"+id, `{"disabled":true}`, "If-Match", `"another"`).want(t, 412)
		s.admin(admin, "DELETE", users+"/"+id, "", "If-Match", `"another"`).want(t, 412)
		s.admin(admin, "GET", users+"/"+id, "").want(t, 200)
	})
	t.Run("a merge patch changes what it names", func(t *testing.T) {
		changed := s.admin(admin, "PATCH", users+"/"+id, `{"full_name":"Dora D.","email":null,"attributes":{"level":null,"team":{"name":"x"}}}`,
			"If-Match", tag, "Content-Type", "application/merge-patch+json").want(t, 200)
		body := changed.json(t)
		if body["full_name"] != "Dora D." || body["email"] != nil || fmt.Sprint(body["attributes"]) != "map[team:map[name:x]]" || fmt.Sprint(body["roles"]) != "[client]" {
			t.Errorf("changed to %s", changed.body)
		}
		if next := changed.Header.Get("ETag"); next == tag || next != s.admin(admin, "GET", users+"/"+id, "").Header.Get("ETag") {
			t.Errorf("ETag %s", next)
		}
	})
	t.Run("a role that is taken away is felt at once", func(t *testing.T) {
		s.call("GET", "/client-only", dora, "").want(t, 200)
		s.admin(admin, "PATCH", users+"/"+id, `{"roles":[]}`, "If-Match", "*").want(t, 200)
		s.call("GET", "/client-only", dora, "").want(t, 403)
	})
	t.Run("a new password ends the sessions", func(t *testing.T) {
		s.admin(admin, "PUT", users+"/"+id+"/password", `{"password":"another horse"}`).want(t, 204)
		s.call("GET", "/users/me", dora, "").want(t, 401)
		s.token("dora", "another horse", "")
	})
	t.Run("sessions are listed and revoked", func(t *testing.T) {
		token := s.token("dora", "another horse", "")
		var list struct{ Items []struct{ ID string } }
		if err := json.Unmarshal([]byte(s.admin(admin, "GET", users+"/"+id+"/sessions", "").want(t, 200).body), &list); err != nil || len(list.Items) != 2 {
			t.Fatalf("sessions %v, %v", list, err)
		}
		s.admin(admin, "GET", "/admin/v1/sessions/"+list.Items[0].ID, "").want(t, 200)
		s.admin(admin, "DELETE", "/admin/v1/sessions/"+list.Items[0].ID, "").want(t, 204)
		s.call("GET", "/users/me", token, "").want(t, 401)
		s.admin(admin, "DELETE", "/admin/v1/sessions/"+list.Items[0].ID, "").want(t, 404)
		if a := s.admin(admin, "DELETE", users+"/"+id+"/sessions", "").want(t, 200); strings.TrimSpace(a.body) != `{"revoked":1}` {
			t.Errorf("revoked: %s", a.body)
		}
	})
	t.Run("bad input names the member", func(t *testing.T) {
		for _, c := range []struct {
			name, method, path, body string
			status                   int
			detail                   string
		}{
			{"no username", "POST", users, `{"password":"correct horse"}`, 400, "username is missing"},
			{"no password", "POST", users, `{"username":"eve"}`, 400, "password is empty"},
			{"an unknown member", "POST", users, `{"username":"eve","password":"x","root":true}`, 400, "root"},
			{"the id", "POST", users, `{"id":"01","username":"eve","password":"x"}`, 400, "id"},
			{"a wrong type", "POST", users, `{"username":7,"password":"x"}`, 400, "username"},
			{"a member twice", "POST", users, `{"username":"eve","username":"adam","password":"x"}`, 400, "twice"},
			{"a list", "POST", users, `[]`, 400, "object"},
			{"no JSON", "POST", users, `{"username"`, 400, "not one JSON value"},
			{"two values", "POST", users, `{} {}`, 400, "not one JSON value"},
			{"nested deeply", "POST", users, strings.Repeat("[", 70) + strings.Repeat("]", 70), 400, "nested"},
			{"too large", "POST", users, `{"username":"` + strings.Repeat("x", 200<<10) + `"}`, 413, "larger"},
			{"a taken name", "POST", users, `{"username":"CAROL","password":"correct horse"}`, 409, "carol"},
			{"attributes that are a list", "POST", users, `{"username":"eve","password":"x","attributes":[]}`, 400, "attributes"},
			{"a patch of a name to nothing", "PATCH", users + "/" + id, `{"username":null}`, 400, "username is missing"},
			{"a patch of an unknown member", "PATCH", users + "/" + id, `{"password":"x"}`, 400, "password"},
			{"a patch of a wrong type", "PATCH", users + "/" + id, `{"disabled":"yes"}`, 400, "disabled"},
			{"a patch that is a list", "PATCH", users + "/" + id, `[{"op":"add"}]`, 400, "merge patch"},
			{"a patch to a taken name", "PATCH", users + "/" + id, `{"email":"carol@example.com"}`, 409, "carol@example.com"},
			{"an empty password", "PUT", users + "/" + id + "/password", `{"password":""}`, 400, "password is empty"},
			{"an unknown account", "GET", users + "/01K00000000000000000000000", "", 404, "no such item"},
			{"a name instead of an id", "GET", users + "/carol", "", 404, "no such item"},
			{"limit", "GET", users + "?limit=0", "", 400, "limit"},
			{"limit twice", "GET", users + "?limit=1&limit=2", "", 400, "limit"},
			{"a misspelt filter", "GET", users + "?rolle=admin", "", 400, "rolle"},
			{"disabled", "GET", users + "?disabled=maybe", "", 400, "disabled"},
			{"a client without an id", "POST", "/admin/v1/clients", `{}`, 400, "client_id"},
			{"a public client with a secret", "POST", "/admin/v1/clients", `{"client_id":"x","token_endpoint_auth_method":"client_secret_basic"}`, 400, "token_endpoint_auth_method"},
			{"keys that verify nothing", "POST", "/admin/v1/clients", `{"client_id":"x","confidential":true,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}}`, 400, "jwks the JWK set has a key that can't be used"},
			{"an unknown grant", "POST", "/admin/v1/clients", `{"client_id":"x","grant_types":["implicit"]}`, 400, "grant_types"},
			{"the built-in client", "PATCH", "/admin/v1/clients/stagedoor", `{"disabled":true}`, 400, "built-in"},
			{"an overlap", "POST", "/admin/v1/clients/demo-service/secret", `{"overlap":-1}`, 400, "overlap"},
			{"the built-in client, removed", "DELETE", "/admin/v1/clients/stagedoor", "", 400, "built-in"},
			{"an unknown client", "GET", "/admin/v1/clients/nobody", "", 404, "no such item"},
			{"an unknown key", "DELETE", "/admin/v1/keys/nothing", "", 404, "no such item"},
			{"a time", "GET", "/admin/v1/events?since=yesterday", "", 400, "since"},
			{"an action", "GET", "/admin/v1/events?action=logn", "", 400, "login.failed"},
			{"a kind of actor", "GET", "/admin/v1/events?actor_kind=robot", "", 400, "actor_kind"},
			{"an outcome", "GET", "/admin/v1/events?outcome=maybe", "", 400, "outcome"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := s.admin(admin, c.method, c.path, c.body, "If-Match", "*").want(t, c.status)
				if a.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.text(t, "detail"), c.detail) {
					t.Errorf("%s: %s", a.Header.Get("Content-Type"), a.body)
				}
			})
		}
		s.admin(admin, "POST", users, `{"username":"eve"}`, "Content-Type", "text/plain").want(t, 415)
	})
	t.Run("removed", func(t *testing.T) {
		s.admin(admin, "DELETE", users+"/"+id, "", "If-Match", "*").want(t, 204)
		s.admin(admin, "GET", users+"/"+id, "").want(t, 404)
	})
	t.Run("all of it is in the audit log, by whom, without a secret", func(t *testing.T) {
		events := s.admin(admin, "GET", "/admin/v1/events?limit=500&account="+id, "").want(t, 200)
		for _, action := range []string{"account.created", "account.changed", "account.password_changed", "session.revoked", "account.removed", "login.succeeded", "token.issued"} {
			if !strings.Contains(events.body, `"action":"`+action+`"`) {
				t.Errorf("no %s", action)
			}
		}
		me := s.call("GET", "/users/me", admin, "").text(t, "id")
		if !strings.Contains(events.body, `"actor_kind":"account","actor_id":"`+me+`"`) || !strings.Contains(events.body, `"client_ip":"127.0.0.1"`) {
			t.Error("johndoe is not named as the actor")
		}
		for query, found := range map[string]bool{
			"actor=" + me + "&action=account": true, "actor=" + me + "&actor_kind=account&action=account.removed": true,
			"actor=" + me + "&actor_kind=client": false, "actor=nobody": false, "actor_kind=operator": false,
		} {
			got := s.admin(admin, "GET", "/admin/v1/events?account="+id+"&"+query, "").want(t, 200)
			if strings.Contains(got.body, "account.removed") != found {
				t.Errorf("%s: %s", query, got.body)
			}
		}
		for _, secret := range []string{"horse", "argon2", "eyJ"} {
			if strings.Contains(events.body, secret) {
				t.Errorf("%q is in the audit log", secret)
			}
		}
	})
}

func TestAdminPages(t *testing.T) {
	s := start(t, nil)
	admin := s.token("johndoe", "secret", "")
	for i := range 7 {
		s.admin(admin, "POST", "/admin/v1/users", fmt.Sprintf(`{"username":"page%d","roles":["clerk%d"],"disabled":%v,"hashed_password":%q}`,
			i, i%2, i == 3, "$2b$04$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW")).want(t, 201)
	}
	names := func(query string) []string {
		var all []string
		for path := "/admin/v1/users?" + query; path != ""; {
			a := s.admin(admin, "GET", path, "").want(t, 200)
			var page struct {
				Items []struct{ Username string }
				Next  string
			}
			if err := json.Unmarshal([]byte(a.body), &page); err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				all = append(all, item.Username)
			}
			link := a.Header.Get("Link")
			if (page.Next == "") != (link == "") || len(all) > 20 {
				t.Fatalf("next %q, Link %q", page.Next, link)
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
			if len(all) == 4 {
				// One that is added meanwhile comes last.
				s.admin(admin, "POST", "/admin/v1/users", `{"username":"late","password":"correct horse"}`)
			}
		}
		return all
	}
	// The order is that of creation, to the millisecond.
	all := names("limit=2")
	if last := all[len(all)-1]; last != "late" {
		t.Errorf("the last one is %s", last)
	}
	slices.Sort(all)
	if got := fmt.Sprint(all); got != "[alice carol johndoe late page0 page1 page2 page3 page4 page5 page6]" {
		t.Errorf("all: %s", got)
	}
	for query, want := range map[string]string{
		"role=clerk1":               "[page1 page3 page5]",
		"role=clerk":                "[]",
		"disabled=true":             "[alice page3]",
		"q=PAGE":                    "[page0 page1 page2 page3 page4 page5 page6]",
		"q=%25":                     "[]",
		"role=clerk1&disabled=true": "[page3]",
		"q=example.com&limit=1":     "[alice carol johndoe]",
	} {
		found := names(query)
		slices.Sort(found)
		if got := fmt.Sprint(found); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestAdminClientsAndKeys(t *testing.T) {
	s := start(t, nil)
	admin := s.token("johndoe", "secret", "")
	const clients = "/admin/v1/clients"
	created := s.admin(admin, "POST", clients, `{"client_id":"reports","confidential":true,"grant_types":["client_credentials"],"scopes":["items:read"]}`).want(t, 201)
	secret := created.text(t, "client_secret")
	issue := func(secret string) answer {
		request, err := http.NewRequest("POST", s.URL()+"/token", strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("reports", secret)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return s.do(request)
	}
	token := issue(secret).want(t, 200).text(t, "access_token")
	s.call("GET", "/items/", token, "").want(t, 200)
	if a := s.admin(admin, "GET", clients+"/reports", "").want(t, 200); strings.Contains(a.body, secret) || strings.Contains(a.body, "sha256") || a.Header.Get("ETag") != created.Header.Get("ETag") {
		t.Errorf("%s %s", a.Header.Get("ETag"), a.body)
	}
	if a := s.admin(admin, "GET", clients+"/stagedoor", "").want(t, 200); strings.Contains(a.body, "null") {
		t.Errorf("the built-in client: %s", a.body)
	}
	s.admin(admin, "POST", clients, `{"client_id":"reports"}`).want(t, 409)
	odd := s.admin(admin, "POST", clients, `{"client_id":"a?b#100%"}`).want(t, 201).Header.Get("Location")
	if got := s.admin(admin, "GET", odd, "").want(t, 200).text(t, "client_id"); got != "a?b#100%" {
		t.Errorf("at %s is %s", odd, got)
	}
	s.admin(admin, "DELETE", odd, "", "If-Match", "*").want(t, 204)

	next := s.admin(admin, "POST", clients+"/reports/secret", `{"overlap":60}`).want(t, 200).text(t, "client_secret")
	issue(secret).want(t, 200)
	issue(next).want(t, 200)
	last := s.admin(admin, "POST", clients+"/reports/secret", "").want(t, 200).text(t, "client_secret")
	issue(next).want(t, 401)
	issue(last).want(t, 200)

	s.admin(admin, "PATCH", clients+"/reports", `{"scopes":[]}`, "If-Match", "*").want(t, 200)
	s.call("GET", "/items/", token, "").want(t, 403)
	s.admin(admin, "PATCH", clients+"/reports", `{"disabled":true}`, "If-Match", "*").want(t, 200)
	s.call("GET", "/items/", token, "").want(t, 401)
	s.admin(admin, "DELETE", clients+"/reports", "", "If-Match", `"x"`).want(t, 412)
	s.admin(admin, "DELETE", clients+"/reports", "", "If-Match", "*").want(t, 204)
	s.admin(admin, "GET", clients+"/reports", "").want(t, 404)
	if a := s.admin(admin, "GET", clients+"?limit=1", "").want(t, 200); a.text(t, "next") != "demo-app" {
		t.Errorf("a page of clients: %s", a.body)
	}

	before := s.admin(admin, "GET", "/admin/v1/keys", "").want(t, 200)
	s.admin(admin, "POST", "/admin/v1/keys", `{"now":true}`).want(t, 201)
	after := s.admin(admin, "GET", "/admin/v1/keys", "").want(t, 200)
	if strings.Count(before.body, `"state":"signing"`) != 1 || strings.Count(after.body, `"state":"signing"`) != 1 || before.body == after.body {
		t.Errorf("keys before %s\nafter %s", before.body, after.body)
	}
	for _, body := range []string{before.body, after.body} {
		if strings.Contains(body, "secret") {
			t.Errorf("a secret in %s", body)
		}
	}
	var keys struct{ Items []struct{ ID, State string } }
	if err := json.Unmarshal([]byte(after.body), &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Items {
		if key.State == "signing" {
			s.admin(admin, "DELETE", "/admin/v1/keys/"+key.ID, "").want(t, 409)
			continue
		}
		s.admin(s.token("johndoe", "secret", ""), "DELETE", "/admin/v1/keys/"+key.ID, "").want(t, 204)
	}
	s.call("GET", "/users/me", admin, "").want(t, 401) // its key is retired

	if a := s.admin(s.token("johndoe", "secret", ""), "GET", "/admin/v1/policy", "").want(t, 200); a.text(t, "revision") == "" {
		t.Errorf("policy: %s", a.body)
	}
}

// TestOwnPassword runs without the demo: one's own account is there always.
func TestOwnPassword(t *testing.T) {
	s := start(t, func(cfg *server.Config) { cfg.LoginThrottle = true })
	here, elsewhere := s.token("carol", "secretcarol", ""), s.token("carol", "secretcarol", "")
	change := func(token, old, fresh string) answer {
		return s.admin(token, "POST", "/users/me/password", fmt.Sprintf(`{"old_password":%q,"new_password":%q}`, old, fresh))
	}
	change("", "secretcarol", "correct horse").want(t, 401)
	change(here, "", "correct horse").want(t, 400)
	change(here, "secretcarol", "").want(t, 400)
	if a := change(here, "wrong", "correct horse").want(t, 403); !strings.Contains(a.body, "old password") {
		t.Error(a.body)
	}
	s.call("GET", "/users/me", elsewhere, "").want(t, 200)
	change(here, "secretcarol", "correct horse").want(t, 204)
	s.call("GET", "/users/me", here, "").want(t, 200)
	s.call("GET", "/users/me", elsewhere, "").want(t, 401)
	s.login("carol", "secretcarol", "").want(t, 400)
	s.login("carol", "correct horse", "").want(t, 200)
}

func TestMe(t *testing.T) {
	s := start(t, nil)
	me := s.call("GET", "/users/me", s.token("carol", "secretcarol", "items:read"), "").want(t, 200).json(t)
	delete(me, "id")
	if got := fmt.Sprint(me); got != "map[disabled:false email:carol@example.com full_name:Carol Doe kind:account roles:[client] scopes:[items:read] username:carol]" {
		t.Errorf("carol is %s", got)
	}
}
