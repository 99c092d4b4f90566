package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// autodetect sends a request as golang.org/x/oauth2 does that does not know how to
// authenticate: by HTTP Basic and, after any error, again with parameters.
func (h *house) autodetect(id, secret, body string) *httptest.ResponseRecorder {
	w := h.post("/token", body, basicAuth(id, secret)...)
	if w.Code != http.StatusOK {
		more := []string{"client_id", id}
		if secret != "" {
			more = append(more, "client_secret", secret)
		}
		w = h.post("/token", body+"&"+pairs(more...))
	}
	return w
}

func TestWhatRealClientsExpect(t *testing.T) {
	login := func(password string) string {
		return pairs("grant_type", "password", "username", "carol", "password", password)
	}
	t.Run("x/oauth2: a public client without a secret sends Basic with its id alone", func(t *testing.T) {
		h := withClients(t)
		if w := h.post("/token", login("secretcarol"), basicAuth("app", "")...); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("x/oauth2: a failed login that is sent again counts once", func(t *testing.T) {
		h := withClients(t)
		// Five failures start a delay; each of these is sent twice.
		for _, password := range []string{"a", "b", "c", "d"} {
			h.refused(t, h.autodetect("app", "", login(password)), 400, "invalid_grant")
		}
		if w := h.autodetect("app", "", login("secretcarol")); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("x/oauth2: a refresh that is sent again gets the same successor", func(t *testing.T) {
		h := withClients(t)
		_, refresh := h.carol()
		_, next := h.tokens(refreshing(refresh))
		w := h.autodetect("app", "", pairs("grant_type", "refresh_token", "refresh_token", refresh))
		if got := h.members(w); w.Code != 200 || got["refresh_token"] != next {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		h.tokens(refreshing(next))
	})
	t.Run("x/oauth2: expires_in is a 32-bit number", func(t *testing.T) {
		h := withClients(t)
		var answer struct {
			ExpiresIn int32 `json:"expires_in"`
		}
		if err := json.Unmarshal(h.post("/token", carolsLogin).Body.Bytes(), &answer); err != nil || answer.ExpiresIn != 1800 {
			t.Errorf("%d, %v", answer.ExpiresIn, err)
		}
	})
	t.Run("oauth4webapi: WWW-Authenticate with 401 only", func(t *testing.T) {
		h := withClients(t)
		for _, w := range []*httptest.ResponseRecorder{
			h.post("/token", login("wrong")), h.post("/token", "grant_type=client_credentials&client_id=nobody"),
			h.post("/token", ""), h.post("/revoke", ""), h.do(httptest.NewRequest("GET", "/token", nil)),
		} {
			if w.Code == 401 || w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		}
	})
	t.Run("Swagger UI: an empty pair of HTTP Basic is no client", func(t *testing.T) {
		h := withClients(t)
		if w := h.post("/token", login("secretcarol"), "Authorization", "Basic Og=="); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := h.post("/token", "grant_type=client_credentials&client_id=service&client_secret="+serviceSecret, "Authorization", "Basic Og=="); w.Code != 200 {
			t.Errorf("beside the body's: %d %s", w.Code, w.Body)
		}
	})
}

func TestAttacksOnLoginAndRefresh(t *testing.T) {
	t.Run("unknown, wrong and disabled accounts are alike, by every client", func(t *testing.T) {
		h := withClients(t)
		for _, client := range [][]string{nil, basicAuth("app", ""), basicAuth("service", serviceSecret)} {
			var first string
			for _, who := range [][2]string{{"nobody", "x"}, {"carol", "wrong"}, {"alice", "secretalice"}} {
				waits := len(h.clock.waits)
				w := h.post("/token", pairs("grant_type", "password", "username", who[0], "password", who[1]), client...)
				h.refused(t, w, 400, "invalid_grant")
				if first == "" {
					first = w.Body.String()
				}
				if w.Body.String() != first || len(h.clock.waits) != waits+1 || h.clock.waits[waits] != floor {
					t.Errorf("%s: %s after %v", who[0], w.Body, h.clock.waits[waits:])
				}
			}
		}
	})
	t.Run("no password is tried by a client that may not log in", func(t *testing.T) {
		h := withClients(t)
		if _, err := h.clients.Update(t.Context(), "kiosk", func(c *account.Client) error { c.Grants = nil; return nil }); err != nil {
			t.Fatal(err)
		}
		h.lookedUp = func(string) { t.Error("an account was looked up") }
		for _, password := range []string{"secretcarol", "wrong"} {
			h.refused(t, h.post("/token", pairs("grant_type", "password", "username", "carol", "password", password, "client_id", "kiosk")), 400, "unauthorized_client")
		}
	})
	changes := map[string]struct {
		change func(h *house) error
		code   string // empty: the refresh succeeds, with this scope
		scope  string
	}{
		"the account is disabled": {func(h *house) error {
			_, err := h.accounts.Update(h.t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil })
			return err
		}, "invalid_grant", ""},
		"the account is removed": {func(h *house) error { return h.accounts.Remove(h.t.Context(), "carol") }, "invalid_grant", ""},
		"the password is changed": {func(h *house) error {
			return h.accounts.SetPassword(h.t.Context(), "carol", "anotherpassword")
		}, "invalid_grant", ""},
		"the role is taken away": {func(h *house) error {
			_, err := h.accounts.Update(h.t.Context(), "carol", func(a *account.Account) error { a.Roles = nil; return nil })
			return err
		}, "", ""},
		"a scope is taken from the client": {func(h *house) error {
			_, err := h.clients.Update(h.t.Context(), "app", func(c *account.Client) error { c.Scopes = []string{"items:read"}; return nil })
			return err
		}, "", "items:read"},
		"the grant type is taken from the client": {func(h *house) error {
			_, err := h.clients.Update(h.t.Context(), "app", func(c *account.Client) error { c.Grants = []string{"password"}; return nil })
			return err
		}, "unauthorized_client", ""},
		"the client is disabled": {func(h *house) error {
			_, err := h.clients.Update(h.t.Context(), "app", func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		}, "invalid_client", ""},
		"the client is removed": {func(h *house) error { return h.clients.Remove(h.t.Context(), "app") }, "invalid_client", ""},
	}
	for name, tt := range changes {
		t.Run("a refresh after "+name, func(t *testing.T) {
			h := withClients(t)
			access, refresh := h.carol()
			if err := tt.change(h); err != nil {
				t.Fatal(err)
			}
			w := h.post("/token", refreshing(refresh))
			if tt.code == "" {
				if got := h.members(w); w.Code != 200 || got["scope"] != tt.scope {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			h.refused(t, w, 400, tt.code)
			if tt.code != "unauthorized_client" {
				if code := h.use(access); code != http.StatusUnauthorized && code != http.StatusForbidden {
					t.Errorf("the access token: %d", code)
				}
			}
		})
	}
	t.Run("a client's own token after it was disabled, or removed", func(t *testing.T) {
		h := withClients(t)
		access, _ := h.tokens("grant_type=client_credentials", basicAuth("service", serviceSecret)...)
		if _, err := h.clients.Update(t.Context(), "service", func(c *account.Client) error { c.Disabled = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if code := h.use(access); code != http.StatusForbidden && code != http.StatusUnauthorized {
			t.Errorf("disabled: %d", code)
		}
		if err := h.clients.Remove(t.Context(), "service"); err != nil {
			t.Fatal(err)
		}
		if code := h.use(access); code != http.StatusUnauthorized {
			t.Errorf("removed: %d", code)
		}
	})
	t.Run("a scope taken from a client is gone from its token", func(t *testing.T) {
		h := withClients(t)
		access, _ := h.tokens("grant_type=client_credentials", basicAuth("service", serviceSecret)...)
		if _, err := h.clients.Update(t.Context(), "service", func(c *account.Client) error { c.Scopes = []string{"items:write"}; return nil }); err != nil {
			t.Fatal(err)
		}
		if code := h.use(access); code != http.StatusForbidden {
			t.Errorf("%d", code)
		}
	})
	t.Run("100 refreshes of one token at once", func(t *testing.T) {
		h := withClients(t)
		_, refresh := h.carol()
		answers := make([]*httptest.ResponseRecorder, 100)
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() { answers[i] = h.post("/token", refreshing(refresh)) })
		}
		group.Wait()
		var successors []any
		for _, w := range answers {
			if w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			successors = append(successors, h.members(w)["refresh_token"])
		}
		for _, successor := range successors {
			if successor == nil || successor != successors[0] {
				t.Fatal("two successors")
			}
		}
		h.tokens(refreshing(successors[0].(string)))
	})
	t.Run("a storage failure is an error, never a success", func(t *testing.T) {
		h := withClients(t)
		access, refresh := h.carol()
		service, _ := h.tokens("grant_type=client_credentials", basicAuth("service", serviceSecret)...)
		h.breakStore()
		for name, w := range map[string]*httptest.ResponseRecorder{
			"login":                    h.post("/token", carolsLogin),
			"refresh":                  h.post("/token", refreshing(refresh)),
			"client_credentials":       h.post("/token", "grant_type=client_credentials", basicAuth("service", serviceSecret)...),
			"assertion":                h.post("/token", asserting(h.assertion(nil))),
			"a client's wrong secret":  h.post("/token", "grant_type=client_credentials", basicAuth("service", "wrong")...),
			"revoke an access token":   h.post("/revoke", revoking(access)),
			"revoke a client's token":  h.post("/revoke", pairs("token", service), basicAuth("service", serviceSecret)...),
			"revoke a refresh token":   h.post("/revoke", revoking(refresh)),
			"introspect refresh token": h.post("/introspect", pairs("token", refresh), basicAuth("service", serviceSecret)...),
		} {
			if w.Code != 500 && w.Code != 503 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			if got := h.members(w); got["error"] == nil || got["access_token"] != nil {
				t.Errorf("%s: %s", name, w.Body)
			}
		}
	})
}

// TestAuditEvents holds which events a day's work leaves behind, and that no secret
// is in one.
func TestAuditEvents(t *testing.T) {
	h := withClients(t)
	access, refresh := h.carol()
	_, next := h.tokens(refreshing(refresh))
	h.post("/token", pairs("grant_type", "password", "username", "carol", "password", "wrongwrong", "client_id", "app"))
	h.post("/token", pairs("grant_type", "password", "username", "my-password-typed-here", "password", "x", "client_id", "app"))
	h.tokens("grant_type=client_credentials", basicAuth("service", serviceSecret)...)
	h.post("/revoke", revoking(access))
	h.clock.advance(time.Minute)
	h.post("/token", refreshing(refresh)) // reuse
	for range 3 {                         // of which the log needs to know once
		h.post("/token", "grant_type=client_credentials", basicAuth("service", "wrong-secret")...)
		h.post("/introspect", "token=x", basicAuth("my-secret-typed-here", "x")...)
		h.post("/token", "grant_type=client_credentials", basicAuth("off", serviceSecret)...)
	}
	events, err := h.database.Events(t.Context(), account.EventQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{access, refresh, next, "secretcarol", "wrongwrong", "my-password-typed-here", serviceSecret, "wrong-secret", "my-secret-typed-here"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("an event holds %q", secret)
		}
	}
	who, err := h.accounts.Find(t.Context(), "carol")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		switch area, _, _ := strings.Cut(e.Action, "."); area {
		case "account", "key":
			continue
		case "client":
			if e.Action != account.ClientAuthFailed {
				continue
			}
		}
		about := map[string]string{who.ID: "carol", "": "-"}[e.AccountID]
		got = append(got, strings.Join([]string{e.Action, e.Outcome, e.ActorKind, e.ClientID, about, e.ClientIP, e.RequestID}, " "))
	}
	want := []string{
		"login.succeeded success account app carol 192.0.2.1 id",
		"token.issued success account app carol 192.0.2.1 id",
		"token.refreshed success account app carol 192.0.2.1 id",
		"login.failed failure anonymous app carol 192.0.2.1 id",
		"login.failed failure anonymous app - 192.0.2.1 id",
		"token.issued success client service - 192.0.2.1 id",
		"token.revoked success anonymous app carol 192.0.2.1 id",
		"token.refresh_reused failure anonymous app carol 192.0.2.1 id",
		"client.authentication_failed failure anonymous service - 192.0.2.1 id",
		"client.authentication_failed failure anonymous  - 192.0.2.1 id",
		"client.authentication_failed failure anonymous off - 192.0.2.1 id",
	}
	// Several bear the same time here.
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("events\ngot  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// TestAuditOfRefusals holds that the log tells of tokens which somebody who proved
// who they are did not get, and of each once a minute.
func TestAuditOfRefusals(t *testing.T) {
	h := withClients(t)
	_, refresh := h.carol()
	service := basicAuth("service", serviceSecret)
	for range 3 {
		h.refused(t, h.post("/token", carolsLogin+"&scope=none"), 400, "invalid_scope")
		h.refused(t, h.post("/token", "grant_type=client_credentials&resource=https://evil.example", service...), 400, "invalid_target")
	}
	if _, err := h.accounts.Update(t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
	}
	list := func() (got []string) {
		events, err := h.database.Events(t.Context(), account.EventQuery{Actions: []string{account.TokenRefused}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			got = append(got, strings.Join([]string{e.Outcome, e.Reason, e.ActorKind, e.ClientID, e.Details["grant_type"]}, " "))
		}
		slices.Sort(got)
		return got
	}
	want := []string{
		"failure account_disabled account app refresh_token",
		"failure invalid_scope account app password",
		"failure invalid_target client service client_credentials",
	}
	if got := list(); !slices.Equal(got, want) {
		t.Errorf("events\ngot  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	h.clock.advance(time.Minute)
	h.refused(t, h.post("/token", refreshing(refresh)), 400, "invalid_grant")
	if got := list(); len(got) != len(want)+1 {
		t.Errorf("a minute later: %q", got)
	}
}
