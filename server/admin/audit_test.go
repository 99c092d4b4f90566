package admin_test

import (
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// TestEveryChangeIsAudited makes each change, and looks for its event with who did
// it, by which client, from where, in which request.
func TestEveryChangeIsAudited(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	user, client := "", "/admin/v1/clients/reports"
	id := func() string { return strings.TrimPrefix(user, "/admin/v1/users/") }
	for _, tt := range []struct {
		name   string
		do     func() *answer
		action string
	}{
		{"an account is made", func() *answer {
			a := r.call(root, "POST", "/admin/v1/users", `{"username":"dora","password":"another horse"}`).want(201)
			user = a.Header().Get("Location")
			return a
		}, account.AccountCreated},
		{"an account is changed", func() *answer {
			return r.call(root, "PATCH", user, `{"full_name":"Dora"}`, "If-Match", "*").want(200)
		}, account.AccountChanged},
		{"an account is disabled", func() *answer {
			return r.call(root, "PATCH", user, `{"disabled":true}`, "If-Match", "*").want(200)
		}, account.AccountDisabled},
		{"an account is enabled", func() *answer {
			return r.call(root, "PATCH", user, `{"disabled":false}`, "If-Match", "*").want(200)
		}, account.AccountEnabled},
		{"a password is set", func() *answer {
			return r.call(root, "PUT", user+"/password", `{"password":"third horse"}`, "If-Match", "*").want(204)
		}, account.AccountPasswordChanged},
		{"a session is revoked", func() *answer {
			return r.call(root, "DELETE", "/admin/v1/sessions/"+r.session(id()), "").want(204)
		}, account.SessionRevoked},
		{"all sessions are revoked", func() *answer {
			r.session(id())
			return r.call(root, "DELETE", user+"/sessions", "").want(200)
		}, account.SessionRevoked},
		{"an account is removed", func() *answer { return r.call(root, "DELETE", user, "", "If-Match", "*").want(204) }, account.AccountRemoved},
		{"a client is made", func() *answer {
			return r.call(root, "POST", "/admin/v1/clients", `{"client_id":"reports","confidential":true}`).want(201)
		}, account.ClientCreated},
		{"a client is changed", func() *answer {
			return r.call(root, "PATCH", client, `{"client_name":"Reports"}`, "If-Match", "*").want(200)
		}, account.ClientChanged},
		{"a secret is rotated", func() *answer { return r.call(root, "POST", client+"/secret", "").want(200) }, account.ClientSecretRotated},
		{"a client is disabled", func() *answer {
			return r.call(root, "PATCH", client, `{"disabled":true}`, "If-Match", "*").want(200)
		}, account.ClientDisabled},
		{"a client is removed", func() *answer { return r.call(root, "DELETE", client, "", "If-Match", "*").want(204) }, account.ClientRemoved},
		{"a key is rotated", func() *answer { return r.call(root, "POST", "/admin/v1/keys", `{"now":true}`).want(201) }, account.KeyRotated},
		{"one's own password is changed", func() *answer {
			return r.call(root, "POST", "/users/me/password", `{"old_password":"`+rootPassword+`","new_password":"fourth horse"}`).want(204)
		}, account.AccountPasswordChanged},
		{"one's own old password is wrong", func() *answer {
			return r.call(root, "POST", "/users/me/password", `{"old_password":"guessed horse","new_password":"x"}`).want(403)
		}, account.LoginFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.do()
			var found *account.Event
			events, err := r.events.List(t.Context(), account.EventQuery{Actions: []string{tt.action}})
			if err != nil {
				t.Fatal(err)
			}
			for i := range events {
				if events[i].RequestID == a.Header().Get("X-Request-Id") {
					found = &events[i]
				}
			}
			if found == nil {
				t.Fatalf("no %s for the request; there are %+v", tt.action, events)
			}
			who, kind := found.ActorID, account.ActorAccount
			if tt.action == account.LoginFailed {
				// Whoever could not prove to be root is nobody; root is whom they tried.
				who, kind = found.AccountID, account.ActorAnonymous
			}
			if found.ActorKind != kind || who != r.root.ID || found.ClientID == "" || found.ClientIP != "192.0.2.7" {
				t.Errorf("the event is %+v", *found)
			}
		})
	}
	everything := r.call(root, "GET", "/admin/v1/events?limit=500", "").want(200).Body.String()
	for _, secret := range []string{"horse", "argon2", "sha256$", "sds_"} {
		if strings.Contains(everything, secret) {
			t.Errorf("%q is in the audit log", secret)
		}
	}
}

// TestRefusedChangesAreNot: what was refused has changed nothing, so nothing tells of
// it.
func TestRefusedChangesAreNot(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	user, client := r.addAccount(root, "dora"), r.addClient(root, "reports")
	count := func() int {
		events, err := r.events.List(t.Context(), account.EventQuery{Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	before := count()
	r.call(root, "PATCH", user, `{"disabled":true}`, "If-Match", `"x"`).want(412)
	r.call(root, "PATCH", client, `{"disabled":true}`, "If-Match", `"x"`).want(412)
	r.call(root, "DELETE", user, "", "If-Match", `"x"`).want(412)
	r.call(root, "DELETE", client, "", "If-Match", `"x"`).want(412)
	r.call(root, "PATCH", user, `{"username":"root"}`, "If-Match", "*").want(409)
	r.call(root, "POST", "/admin/v1/clients", `{"client_id":"reports"}`).want(409)
	r.call(root, "DELETE", "/admin/v1/keys/nothing", "").want(404)
	r.call(root, "DELETE", "/admin/v1/sessions/nothing", "").want(404)
	if after := count(); after != before {
		t.Errorf("%d events became %d", before, after)
	}
}

// TestNoSecretIsAnswered looks through all that can be read, and through errors.
func TestNoSecretIsAnswered(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	user := r.addAccount(root, "dora")
	made := r.call(root, "POST", "/admin/v1/clients", `{"client_id":"reports","confidential":true}`).want(201)
	var once struct {
		Secret string `json:"client_secret"`
	}
	made.into(&once)
	client := made.Header().Get("Location")
	stored, err := r.clients.Find(t.Context(), "reports")
	if err != nil || len(stored.Secrets) != 1 || once.Secret == "" {
		t.Fatalf("the client is %+v, %v", stored, err)
	}
	dora, err := r.accounts.Find(t.Context(), "dora")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := r.database.Keys(t.Context())
	if err != nil || len(keys) == 0 {
		t.Fatal(keys, err)
	}
	secrets := []string{once.Secret, stored.Secrets[0].Hash, dora.PasswordHash, "another horse", string(keys[0].Secret)}
	r.session(dora.ID)
	for _, a := range []*answer{
		r.call(root, "GET", "/admin/v1/users", ""),
		r.call(root, "GET", user, ""),
		r.call(root, "PATCH", user, `{"full_name":"Dora"}`, "If-Match", "*"),
		r.call(root, "GET", user+"/sessions", ""),
		r.call(root, "GET", "/admin/v1/clients", ""),
		r.call(root, "GET", client, ""),
		r.call(root, "PATCH", client, `{"client_name":"Reports"}`, "If-Match", "*"),
		r.call(root, "GET", "/admin/v1/keys", ""),
		r.call(root, "GET", "/admin/v1/policy", ""),
		r.call(root, "GET", "/admin/v1/events", ""),
		r.call(root, "GET", "/users/me", ""),
	} {
		a.want(200)
		if a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %q", a.what, a.Header().Get("Cache-Control"))
		}
		for _, secret := range secrets {
			if secret != "" && strings.Contains(a.Body.String(), secret) {
				t.Errorf("%s answers a secret: %s", a.what, a.Body)
			}
		}
	}
	a := r.call(root, "POST", "/admin/v1/users", `{"username":"dora","password":"a secret horse"}`).want(409)
	b := r.call(root, "POST", "/admin/v1/users", `{"username":"eve","hashed_password":"a secret hash"}`).want(400)
	if strings.Contains(a.Body.String()+b.Body.String()+r.log.String(), "a secret h") {
		t.Errorf("a refusal or the log tells a secret: %s %s %s", a.Body, b.Body, r.log.String())
	}
}
