package admin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/token"
)

// bodied are the routes that read a body: one that is good, and one of its members.
func bodied(r *rig, root string) []struct{ name, method, path, good, member string } {
	user, client := r.addAccount(root, "dora"), r.addClient(root, "reports")
	return []struct{ name, method, path, good, member string }{
		{"a new account", "POST", "/admin/v1/users", `{"username":"eve","password":"x"}`, "username"},
		{"a change of an account", "PATCH", user, `{"full_name":"Dora"}`, "full_name"},
		{"a password", "PUT", user + "/password", `{"password":"x"}`, "password"},
		{"a new client", "POST", "/admin/v1/clients", `{"client_id":"x"}`, "client_id"},
		{"a change of a client", "PATCH", client, `{"client_name":"Reports"}`, "client_name"},
		{"a secret", "POST", client + "/secret", `{"overlap":1}`, "overlap"},
		{"a key", "POST", "/admin/v1/keys", `{"now":true}`, "now"},
		{"one's own password", "POST", "/users/me/password", `{"old_password":"` + rootPassword + `","new_password":"x"}`, "new_password"},
	}
}

func TestBadBodies(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	for _, route := range bodied(r, root) {
		t.Run(route.name, func(t *testing.T) {
			m := route.member
			for _, tt := range []struct {
				name, body, mediaType string
				status                int
				detail                string
			}{
				{"an unknown member", `{"rooot":true}`, "", 400, `"rooot"`},
				{"a member in another case", `{"` + strings.ToUpper(m) + `":null}`, "", 400, strings.ToUpper(m)},
				{"a member twice", `{"` + m + `":null,"` + m + `":null}`, "", 400, `"` + m + `"`},
				{"a member of the wrong type", `{"` + m + `":[{}]}`, "", 400, `"` + m},
				{"a list", `[]`, "", 400, "object"},
				{"null", `null`, "", 400, "object"},
				{"a text", `"x"`, "", 400, "object"},
				{"no JSON", `{"` + m, "", 400, "JSON"},
				{"something behind it", `{} {}`, "", 400, "JSON"},
				{"a comma too many", `{"` + m + `":null,}`, "", 400, "JSON"},
				{"no UTF-8", `{"` + m + "\":\"\xff\"}", "", 400, "UTF-8"},
				{"half a surrogate pair", `{"` + m + `":"\ud800"}`, "", 400, "UTF-8"},
				{"nested deeply", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "", 400, "nested"},
				{"nested very deeply", strings.Repeat("[", 60000) + strings.Repeat("]", 60000), "", 400, ""},
				{"too large", `{"` + m + `":"` + strings.Repeat("x", 200<<10) + `"}`, "", 413, "larger"},
				{"a form", "username=eve", "application/x-www-form-urlencoded", 415, "application/"},
				{"no media type", route.good, "-", 415, "application/"},
				{"a media type that is none", route.good, "application/json;;", 415, "application/"},
			} {
				t.Run(tt.name, func(t *testing.T) {
					request := httptest.NewRequest(route.method, route.path, strings.NewReader(tt.body))
					request.Header.Set("Authorization", "Bearer "+root)
					request.Header.Set("If-Match", "*")
					switch tt.mediaType {
					case "":
						request.Header.Set("Content-Type", "application/json")
					case "-":
					default:
						request.Header.Set("Content-Type", tt.mediaType)
					}
					w := httptest.NewRecorder()
					r.handler.ServeHTTP(w, request)
					a := &answer{w, t, route.method + " " + route.path}
					if a.want(tt.status); !strings.Contains(a.detail(), tt.detail) {
						t.Errorf("the detail %q does not have %s", a.detail(), tt.detail)
					}
				})
			}
		})
	}
}

func TestBadValues(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	user, client := r.addAccount(root, "dora"), r.addClient(root, "reports")
	long := strings.Repeat("x", 3000)
	for _, tt := range []struct {
		name, method, path, body string
		detail                   string
	}{
		{"a NUL in a name", "POST", "/admin/v1/users", `{"username":"e\u0000ve","password":"x"}`, "username"},
		{"a long name", "POST", "/admin/v1/users", `{"username":"` + long + `","password":"x"}`, "username"},
		{"a name like an id", "POST", "/admin/v1/users", `{"username":"01K00000000000000000000000","password":"x"}`, "username"},
		{"two faults, both named", "POST", "/admin/v1/users", `{"username":"eve","email":"x","full_name":"a\u0007","password":"x"}`, "full_name"},
		{"a long password", "POST", "/admin/v1/users", `{"username":"eve","password":"` + long + `"}`, "password"},
		{"a password and a hash", "POST", "/admin/v1/users", `{"username":"eve","password":"x","hashed_password":"$2b$04$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW"}`, "password"},
		{"a hash that is none", "POST", "/admin/v1/users", `{"username":"eve","hashed_password":"x"}`, "hashed_password"},
		{"a number that is too large", "PATCH", user, `{"attributes":{"n":1e999}}`, "attributes"},
		{"a role with a comma", "PATCH", user, `{"roles":["a,b"]}`, "roles"},
		{"roles that hold a number", "PATCH", user, `{"roles":["a",1]}`, "roles"},
		{"an id", "PATCH", user, `{"id":"01K00000000000000000000000"}`, "id"},
		{"a hash in a change", "PATCH", user, `{"hashed_password":"x"}`, "hashed_password"},
		{"a time of creation", "PATCH", user, `{"created_at":"2026-11-23T12:00:00Z"}`, "created_at"},
		{"a client's id", "PATCH", client, `{"client_id":"x"}`, "client_id"},
		{"a client's kind", "PATCH", client, `{"confidential":false}`, "confidential"},
		{"a scope with a space", "PATCH", client, `{"scopes":["a b"]}`, "scopes"},
		{"an audience with a space", "PATCH", client, `{"audiences":["a b"]}`, "audiences"},
		{"a redirect URI that is relative", "PATCH", client, `{"redirect_uris":["/x"]}`, "redirect_uris"},
		{"keys that are not for it", "PATCH", client, `{"jwks":{"keys":[]}}`, "jwks"},
		{"a private key", "POST", "/admin/v1/clients", `{"client_id":"x","confidential":true,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"x","d":"topsecret"}]}}`, "jwks"},
		{"a secret of its own", "POST", "/admin/v1/clients", `{"client_id":"x","client_secret":"0123456789012345678901234567890123456789"}`, "client_secret"},
		{"the built-in client's id", "POST", "/admin/v1/clients", `{"client_id":"stagedoor"}`, "client_id"},
		{"an id that has a slash", "POST", "/admin/v1/clients", `{"client_id":"a/b"}`, "client_id"},
		{"an overlap that is no number of seconds", "POST", client + "/secret", `{"overlap":1.5}`, "overlap"},
		{"an overlap that overflows", "POST", client + "/secret", `{"overlap":99999999999999999999}`, "overlap"},
		{"an overlap of years", "POST", client + "/secret", `{"overlap":999999999}`, "overlap"},
		{"an empty new password", "POST", "/users/me/password", `{"old_password":"x","new_password":""}`, "new_password"},
		{"no old password", "POST", "/users/me/password", `{"new_password":"x"}`, "old_password"},
		{"a long new password", "POST", "/users/me/password", `{"old_password":"x","new_password":"` + long + `"}`, "new_password"},
		{"a limit that is no number", "GET", "/admin/v1/users?limit=ten", "", "limit"},
		{"a limit that overflows", "GET", "/admin/v1/users?limit=99999999999999999999", "", "limit"},
		{"a limit that is negative", "GET", "/admin/v1/clients?limit=-1", "", "limit"},
		{"a limit that is too large", "GET", "/admin/v1/events?limit=501", "", "limit"},
		{"an empty limit", "GET", "/admin/v1/users?limit=", "", "limit"},
		{"two cursors", "GET", "/admin/v1/clients?after=a&after=b", "", "after"},
		{"a filter that clients do not have", "GET", "/admin/v1/clients?role=admin", "", "role"},
		{"a cursor of another list", "GET", "/admin/v1/events?after=x", "", "after"},
		{"half a time", "GET", "/admin/v1/events?until=2026-11-23", "", "until"},
		{"two outcomes", "GET", "/admin/v1/events?outcome=success&outcome=failure", "", "outcome"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := r.call(root, tt.method, tt.path, tt.body, "If-Match", "*").want(400)
			if detail := a.detail(); !strings.Contains(detail, tt.detail) || strings.Contains(detail, long) || strings.Contains(detail, "topsecret") {
				t.Errorf("the detail is %q", detail)
			}
		})
	}
}

// FuzzBody sends bodies to each route that reads one: no answer is a failure of ours.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `{"username":"eve","password":"x"}`, `{"attributes":{"a":{"b":null}}}`, `{"attributes":null}`,
		`{"roles":null,"full_name":null}`, `{"jwks":null}`, `{"jwks":{"keys":[{"kty":"OKP"}]},"confidential":true,"token_endpoint_auth_method":"private_key_jwt","client_id":"k"}`,
		`{"overlap":-0}`, `{"now":false}`, `{"attributes":{"n":1e400}}`, `{"scopes":["*"],"redirect_uris":["http://[::1"]}`, "\xef\xbb\xbf{}", `{"email":"\u0000@x"}`,
	} {
		for route := range 8 {
			f.Add(uint8(route), body)
		}
	}
	r := open(f, token.KeyringOptions{})
	root := r.rooted()
	routes := bodied(r, root)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		r.t = t // of each input in turn
		route := routes[int(which)%len(routes)]
		a := r.call(root, route.method, route.path, body, "If-Match", "*")
		if a.Code >= 500 {
			t.Errorf("%s: %d %s; log %s", a.what, a.Code, a.Body, r.log.String())
		}
		if a.Code >= 400 && a.detail() == "" {
			t.Errorf("%s: %d without a detail", a.what, a.Code)
		}
	})
}
