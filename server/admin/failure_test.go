package admin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/admin"
	"github.com/stagedoor/stagedoor/server/token"
)

// TestStoreFails: a change that could not be stored is an error to the caller, who is
// told nothing of the inside.
func TestStoreFails(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	user, client := r.addAccount(root, "dora"), r.addClient(root, "reports")
	session := r.session(r.root.ID)
	r.call(root, "GET", "/users/me", "").want(200) // root is known from now on
	r.closed = true
	if err := r.database.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"GET", "/users/me", ""},
		{"POST", "/users/me/password", `{"old_password":"` + rootPassword + `","new_password":"x"}`},
		{"GET", "/admin/v1/users", ""},
		{"POST", "/admin/v1/users", `{"username":"eve","password":"x"}`},
		{"GET", user, ""},
		{"PATCH", user, `{"disabled":true}`},
		{"DELETE", user, ""},
		{"PUT", user + "/password", `{"password":"x"}`},
		{"GET", user + "/sessions", ""},
		{"DELETE", user + "/sessions", ""},
		{"GET", "/admin/v1/sessions/" + session, ""},
		{"DELETE", "/admin/v1/sessions/" + session, ""},
		{"GET", "/admin/v1/clients", ""},
		{"POST", "/admin/v1/clients", `{"client_id":"x"}`},
		{"PATCH", client, `{"disabled":true}`},
		{"POST", client + "/secret", ""},
		{"DELETE", client, ""},
		{"GET", "/admin/v1/keys", ""},
		{"POST", "/admin/v1/keys", `{"now":true}`},
		{"DELETE", "/admin/v1/keys/x", ""},
		{"GET", "/admin/v1/events", ""},
	} {
		t.Run(c[0]+" "+c[1], func(t *testing.T) {
			r.log.Reset()
			a := r.call(root, c[0], c[1], c[2], "If-Match", "*")
			if a.Code != 500 && a.Code != 503 {
				t.Fatalf("status %d: %s", a.Code, a.Body)
			}
			if a.detail(); strings.Contains(strings.ToLower(a.Body.String()), "sql") || strings.Contains(a.Body.String(), "closed") {
				t.Errorf("the answer tells of the inside: %s", a.Body)
			}
			if a.Code == 500 && !strings.Contains(r.log.String(), a.Header().Get("X-Request-Id")) {
				t.Errorf("the log does not tell: %s", r.log.String())
			}
		})
	}
}

// TestKeysOfAFile: a secret that the operator keeps in a file can't be changed by a
// request, which is nobody's failure.
func TestKeysOfAFile(t *testing.T) {
	r := open(t, token.KeyringOptions{Algorithm: token.HS256, HMACSecret: []byte(strings.Repeat("s", 32))})
	root := r.rooted()
	r.call(root, "GET", "/admin/v1/keys", "").want(200)
	if a := r.call(root, "POST", "/admin/v1/keys", `{"now":true}`).want(409); !strings.Contains(a.detail(), "file") {
		t.Errorf("the detail is %q", a.detail())
	}
}

// TestWithoutAGate: nothing is open where nobody has decided.
func TestWithoutAGate(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	routes := gin.New()
	admin.New(admin.Options{}).Register(routes)
	for _, route := range routes.Routes() {
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, httptest.NewRequest(route.Method, strings.ReplaceAll(route.Path, ":id", "x"), nil))
		if w.Code != 500 {
			t.Errorf("%s %s: %d", route.Method, route.Path, w.Code)
		}
	}
}
