package oauth_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/oauth"
)

func TestLogin(t *testing.T) {
	h := open(t, account.AuthenticatorOptions{}, nil)
	tests := []struct {
		name, username, password string
		more                     []string
		status                   int
		code                     string // of a refusal
		scope                    string // granted
	}{
		{"all scopes of the roles", "carol", "secretcarol", nil, 200, "", "items:read items:write"},
		{"by e-mail address", "carol@example.com", "secretcarol", nil, 200, "", "items:read items:write"},
		{"in another case", "CAROL", "secretcarol", nil, 200, "", "items:read items:write"},
		{"one scope", "carol", "secretcarol", []string{"scope", "items:read"}, 200, "", "items:read"},
		{"a scope of nobody's beside it", "carol", "secretcarol", []string{"scope", "items:read nobody:has"}, 200, "", "items:read"},
		{"only a scope of nobody's", "carol", "secretcarol", []string{"scope", "nobody:has"}, 400, "invalid_scope", ""},
		{"scopes are case-sensitive", "carol", "secretcarol", []string{"scope", "Items:read"}, 400, "invalid_scope", ""},
		{"a malformed scope", "carol", "secretcarol", []string{"scope", "items:read  items:write"}, 400, "invalid_scope", ""},
		{"an account without roles", "norole", "secretnorole", nil, 200, "", ""},
		{"a wrong password", "carol", "secretCarol", nil, 400, "invalid_grant", ""},
		{"an unknown client", "carol", "secretcarol", []string{"client_id", "nobody"}, 400, "invalid_client", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := h.login(tt.username, tt.password, tt.more...)
			got := h.members(w)
			if w.Code != tt.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if tt.code != "" {
				if got["error"] != tt.code {
					t.Errorf("%s, want %s", w.Body, tt.code)
				}
				return
			}
			if got["scope"] != tt.scope || got["token_type"] != "Bearer" || got["expires_in"] != 1800.0 {
				t.Errorf("%s", w.Body)
			}
			verified, err := h.verifier.Verify(t.Context(), got["access_token"].(string))
			if err != nil {
				t.Fatal(err)
			}
			who, err := h.accounts.Find(t.Context(), tt.username)
			if err != nil || verified.Subject != who.ID || !verified.Expiry.Equal(h.clock.now().Add(30*time.Minute)) {
				t.Errorf("the token is about %s until %s; %v", verified.Subject, verified.Expiry, err)
			}
			if claims := verified.Claims.Values; claims["client_id"] != oauth.FirstPartyClient || claims["preferred_username"] != who.Username {
				t.Errorf("claims %v", claims)
			}
		})
	}
	if log := h.log.String(); strings.Contains(log, "secretc") || strings.Contains(log, "eyJ") {
		t.Errorf("a secret was logged: %s", log)
	}
	if n := strings.Count(h.log.String(), "RFC 9700"); n != 1 {
		t.Errorf("the password grant was warned of %d times", n)
	}
}

// "Unknown user, wrong password, disabled, locked: the same status, the same
// body, the same time" (attacks.md, Login).
func TestUnknownWrongDisabledAndLockedAreAlike(t *testing.T) {
	h := open(t, account.AuthenticatorOptions{}, nil)
	lock := func() {
		for range 6 {
			h.login("carol", "wrong"+time.Duration(len(h.clock.waits)).String())
		}
	}
	tests := []struct {
		name, username, password string
		before                   func()
	}{
		{"unknown user", "mallory", "secretcarol", nil},
		{"not even a name", "a\x00b", "secretcarol", nil},
		{"wrong password", "carol", "secret", nil},
		{"over-long password", "carol", strings.Repeat("x", 5000), nil},
		{"disabled, right password", "alice", "secretalice", nil},
		{"disabled, wrong password", "alice", "secret", nil},
		{"locked, right password", "carol", "secretcarol", lock},
		{"locked, by e-mail address in capitals", "CAROL@EXAMPLE.COM", "secretcarol", nil},
	}
	var want *httptest.ResponseRecorder
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.before != nil {
				tt.before()
			}
			waited := len(h.clock.waits)
			w := h.login(tt.username, tt.password)
			if want == nil {
				want = w
			}
			if w.Code != 400 || h.members(w)["error"] != "invalid_grant" || w.Body.String() != want.Body.String() || !reflect.DeepEqual(w.Header(), want.Header()) {
				t.Errorf("%d %v %s, want %v %s", w.Code, w.Header(), w.Body, want.Header(), want.Body)
			}
			if waits := h.clock.waits[waited:]; !slices.Equal(waits, []time.Duration{floor}) {
				t.Errorf("waited %v, want one floor", waits)
			}
		})
	}
	h.clock.advance(time.Hour)
	if w := h.login("carol", "secretcarol"); w.Code != 200 {
		t.Errorf("after the delay: %d %s", w.Code, w.Body)
	}
}

// "Excess answered 503 with Retry-After" (attacks.md, Login).
func TestExcessLoginsAreAnswered503(t *testing.T) {
	h := open(t, account.AuthenticatorOptions{Concurrency: 1, Queue: -1}, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	h.lookedUp = func(identity string) {
		if identity == "norole" {
			close(entered)
			<-leave
		}
	}
	var first *httptest.ResponseRecorder
	var group sync.WaitGroup
	group.Go(func() { first = h.login("norole", "secretnorole") })
	<-entered
	w := h.login("carol", "secretcarol")
	if w.Code != 503 || h.members(w)["error"] != "temporarily_unavailable" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	close(leave)
	group.Wait()
	if first.Code != 200 {
		t.Errorf("the one before: %d %s", first.Code, first.Body)
	}
}

func TestAClosedGrantTypeIsNoOracle(t *testing.T) {
	h := open(t, account.AuthenticatorOptions{}, map[string]string{
		"tokens.yaml": "tokens: {grants: {password: false}, lifetime: {access_token: 60}}",
	})
	h.lookedUp = func(string) { t.Error("an account was looked up") }
	var bodies []string
	for _, password := range []string{"secretcarol", "wrong"} {
		w := h.login("carol", password)
		if w.Code != 400 || h.members(w)["error"] != "unsupported_grant_type" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		bodies = append(bodies, w.Body.String())
	}
	if bodies[0] != bodies[1] {
		t.Errorf("%s for the right password, %s for a wrong one", bodies[0], bodies[1])
	}
}

func TestThePolicySaysHowLong(t *testing.T) {
	for name, tt := range map[string]struct {
		seconds string
		want    float64
	}{
		"a minute":              {"60", 60},
		"more than the maximum": {"1000000", 24 * 60 * 60},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, account.AuthenticatorOptions{}, map[string]string{
				"tokens.yaml": "tokens: {grants: {password: true}, lifetime: {access_token: " + tt.seconds + "}}",
			})
			if got := h.members(h.login("carol", "secretcarol"))["expires_in"]; got != tt.want {
				t.Errorf("expires_in %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTheEndpointsBehindTheGate(t *testing.T) {
	h := open(t, account.AuthenticatorOptions{}, nil)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH"} {
		t.Run(method+" /token", func(t *testing.T) {
			w := h.do(httptest.NewRequest(method, "/token?username=carol&password=secretcarol", nil))
			if w.Code != 405 || w.Header().Get("Allow") != "POST" || w.Header().Get("WWW-Authenticate") != "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if w.Header().Get("Content-Type") != "application/json;charset=UTF-8" || h.members(w)["error"] != "invalid_request" {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
		})
	}
	t.Run("Swagger UI", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=password&username=carol&password=secretcarol&scope=items%3Aread%20items%3Awrite"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Basic Og==")
		r.Header.Set("X-Requested-With", "XMLHttpRequest")
		if w := h.do(r); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("a stale token beside the form", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/token", strings.NewReader("username=carol&password=secretcarol"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer x.y.z")
		if w := h.do(r); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("the key set", func(t *testing.T) {
		w := h.do(httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || w.Code != 200 || len(set.Keys) != 1 {
			t.Fatalf("%d %s %v", w.Code, w.Body, err)
		}
		if w.Header().Get("Content-Type") != "application/jwk-set+json" || w.Header().Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("headers %v", w.Header())
		}
		for _, member := range []string{"d", "p", "q", "k"} {
			if _, private := set.Keys[0][member]; private {
				t.Errorf("the key has the members %v", slices.Sorted(maps.Keys(set.Keys[0])))
			}
		}
	})
}
