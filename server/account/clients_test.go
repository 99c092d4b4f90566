package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

const publicKey = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`

func TestClientRules(t *testing.T) {
	change := func(f func(*account.Client)) func(*account.Client) { return f }
	cases := []struct {
		name   string
		change func(*account.Client)
		field  string // "" for a client that is good
	}{
		{"confidential", change(func(*account.Client) {}), ""},
		{"public", change(func(c *account.Client) { c.Confidential, c.Grants = false, []string{"password", "refresh_token"} }), ""},
		{"public keys", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[`+publicKey+`}]}`)
		}), ""},
		{"no id", change(func(c *account.Client) { c.ID = "" }), "client_id"},
		{"an id of 128 characters", change(func(c *account.Client) { c.ID = strings.Repeat("a", 128) }), ""},
		{"an id of 129 characters", change(func(c *account.Client) { c.ID = strings.Repeat("a", 129) }), "client_id"},
		{"an id with a colon", change(func(c *account.Client) { c.ID = "a:b" }), "client_id"},
		{"an id with a space", change(func(c *account.Client) { c.ID = "a b" }), "client_id"},
		{"an id with a slash", change(func(c *account.Client) { c.ID = "a/b" }), "client_id"},
		{"an id with a quote", change(func(c *account.Client) { c.ID = `a"b` }), "client_id"},
		{"an id outside ASCII", change(func(c *account.Client) { c.ID = "ä" }), "client_id"},
		{"the name of this directory", change(func(c *account.Client) { c.ID = "." }), "client_id"},
		{"an id with a semicolon", change(func(c *account.Client) { c.ID = "a;b" }), "client_id"},
		{"an id that looks encoded", change(func(c *account.Client) { c.ID = "a%2Fb" }), "client_id"},
		{"the name of the directory above", change(func(c *account.Client) { c.ID = ".." }), "client_id"},
		{"a name that begins with dots", change(func(c *account.Client) { c.ID = "..a" }), ""},
		{"the id of an account", change(func(c *account.Client) { c.ID = "01J00000000000000000000000" }), "client_id"},
		{"the id of an account in small letters", change(func(c *account.Client) { c.ID = "01j00000000000000000000000" }), "client_id"},
		{"the built-in client's id", change(func(c *account.Client) { c.ID = "stagedoor" }), "client_id"},
		{"a public client that acts for itself", change(func(c *account.Client) { c.Confidential = false }), "grant_types"},
		{"an unknown grant", change(func(c *account.Client) { c.Grants = []string{"implicit"} }), "grant_types"},
		{"a confidential client that proves nothing", change(func(c *account.Client) { c.AuthMethod = "none" }), "token_endpoint_auth_method"},
		{"a public client with a secret", change(func(c *account.Client) { c.Confidential, c.AuthMethod, c.Grants = false, "client_secret_basic", nil }), "token_endpoint_auth_method"},
		{"an unknown method", change(func(c *account.Client) { c.AuthMethod = "tls_client_auth" }), "token_endpoint_auth_method"},
		{"keys without their method", change(func(c *account.Client) { c.JWKS = json.RawMessage(`{"keys":[` + publicKey + `}]}`) }), "jwks"},
		{"no keys", change(func(c *account.Client) { c.AuthMethod = "private_key_jwt" }), "jwks"},
		{"an empty set of keys", change(func(c *account.Client) { c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[]}`) }), "jwks"},
		{"a private key", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[`+publicKey+`,"d":"AAAA"}]}`)
		}), "jwks"},
		{"a symmetric key", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
		}), "jwks"},
		{"a key set with another case", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage(`{"Keys":[`+publicKey+`}]}`)
		}), "jwks"},
		{"a key set that is a list", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage(`[`+publicKey+`}]`)
		}), "jwks"},
		{"no key set, as null", change(func(c *account.Client) { c.JWKS = json.RawMessage("null") }), ""},
		{"null for the keys that it needs", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage("null")
		}), "jwks"},
		{"a key set in a form of its own", change(func(c *account.Client) {
			c.AuthMethod, c.JWKS = "private_key_jwt", json.RawMessage("{\"x\": \"<\",\n \"keys\" : [ "+publicKey+`, "note": "a<b&c"}]}`)
		}), ""},
		{"every scope", change(func(c *account.Client) { c.Scopes = []string{"*"} }), ""},
		{"a scope with a space", change(func(c *account.Client) { c.Scopes = []string{"a b"} }), "scopes"},
		{"a scope with a quote", change(func(c *account.Client) { c.Scopes = []string{`a"`} }), "scopes"},
		{"a role with a comma", change(func(c *account.Client) { c.Roles = []string{"a,b"} }), "roles"},
		{"an audience with a space", change(func(c *account.Client) { c.Audiences = []string{"a b"} }), "audiences"},
		{"https", change(func(c *account.Client) { c.RedirectURIs = []string{"https://app.example.com/cb?x=y"} }), ""},
		{"loopback", change(func(c *account.Client) {
			c.RedirectURIs = []string{"http://127.0.0.1/cb", "http://[::1]:8080/", "http://localhost/"}
		}), ""},
		{"a private-use scheme", change(func(c *account.Client) { c.RedirectURIs = []string{"com.example.app:/cb"} }), ""},
		{"http elsewhere", change(func(c *account.Client) { c.RedirectURIs = []string{"http://example.com/"} }), "redirect_uris"},
		{"http at a name that begins like loopback", change(func(c *account.Client) { c.RedirectURIs = []string{"http://127.0.0.1.example.com/"} }), "redirect_uris"},
		{"a fragment", change(func(c *account.Client) { c.RedirectURIs = []string{"https://example.com/#"} }), "redirect_uris"},
		{"a space", change(func(c *account.Client) { c.RedirectURIs = []string{"https://example.com/a b"} }), "redirect_uris"},
		{"a backslash", change(func(c *account.Client) { c.RedirectURIs = []string{`https://example.com\@evil.example/`} }), "redirect_uris"},
		{"letters outside ASCII", change(func(c *account.Client) { c.RedirectURIs = []string{"https://exämple.com/"} }), "redirect_uris"},
		{"a port without a host", change(func(c *account.Client) { c.RedirectURIs = []string{"https://:443/"} }), "redirect_uris"},
		{"a path only", change(func(c *account.Client) { c.RedirectURIs = []string{"/cb"} }), "redirect_uris"},
		{"javascript", change(func(c *account.Client) { c.RedirectURIs = []string{"javascript:alert(1)"} }), "redirect_uris"},
		{"a username in it", change(func(c *account.Client) { c.RedirectURIs = []string{"https://a@example.com/"} }), "redirect_uris"},
	}
	r := newRig(t)
	n := r.node()
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			client := account.Client{ID: fmt.Sprint("client-", i), Name: "A client", Confidential: true, Grants: []string{"client_credentials"}}
			tc.change(&client)
			created, _, err := n.clients.Create(t.Context(), client)
			if tc.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got, err := n.clients.Find(t.Context(), client.ID); err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", created) {
					t.Errorf("found %+v (%v)\nwant  %+v", got, err, created)
				}
				return
			}
			var broken *account.InvalidError
			if !errors.As(err, &broken) || broken.Field != tc.field {
				t.Errorf("got %v, want a fault of %s", err, tc.field)
			}
			if _, err := n.clients.Find(t.Context(), client.ID); client.ID != account.FirstPartyClient && !errors.Is(err, account.ErrClientNotFound) {
				t.Errorf("it was added all the same (%v)", err)
			}
		})
	}
}

func TestClientSecrets(t *testing.T) {
	r := newRig(t)
	n, other := r.node(), r.node()
	created, first, err := n.clients.Create(t.Context(), account.Client{ID: "service", Confidential: true, Grants: []string{"client_credentials"}})
	r.must(err)
	if !strings.HasPrefix(first, "sds_") || len(first) != 4+43 {
		t.Errorf("the secret is %q", first)
	}
	if rows := fmt.Sprint(r.dump(t)); strings.Contains(rows, first) || strings.Contains(rows, first[4:]) {
		t.Error("the store holds a secret in clear")
	}
	if text, err := json.Marshal(created); err != nil || strings.Contains(string(text), "sha256") {
		t.Errorf("shown as %s, %v", text, err)
	}
	check := func(n *node, secret string, want bool, when string) {
		t.Helper()
		client, err := n.clients.Find(t.Context(), "service")
		r.must(err)
		if got := n.clients.CheckSecret(&client, secret); got != want {
			t.Errorf("%s: %v", when, got)
		}
	}
	check(n, first, true, "the first")
	check(n, first+"x", false, "a longer one")
	check(n, "", false, "none")
	if n.clients.CheckSecret(nil, first) || n.clients.CheckSecret(nil, "") {
		t.Error("an unknown client was believed")
	}
	bare := account.FirstParty()
	if n.clients.CheckSecret(&bare, "") {
		t.Error("a public client was believed")
	}

	second, err := n.clients.RotateSecret(t.Context(), "service", time.Hour)
	r.must(err)
	check(n, second, true, "the second, at once")
	check(n, first, true, "the first, in the overlap")
	r.must(other.clients.Reload(t.Context()))
	check(other, second, true, "the second, elsewhere after a reload")
	r.clock.advance(time.Hour)
	check(n, first, false, "the first, after the overlap")
	check(other, first, false, "the first, after the overlap, elsewhere")
	third, err := n.clients.RotateSecret(t.Context(), "service", 0)
	r.must(err)
	check(n, second, false, "the second, without an overlap")
	check(n, third, true, "the third")

	var broken *account.InvalidError
	if _, err := n.clients.CreateWithSecret(t.Context(), account.Client{ID: "weak", Confidential: true}, strings.Repeat("x", 31)); !errors.As(err, &broken) {
		t.Errorf("a short secret: %v", err)
	}
	for _, secret := range []string{"", "short"} {
		if added, err := n.clients.EnsureClient(t.Context(), account.Client{ID: "weak", Confidential: true}, secret); !errors.As(err, &broken) || added {
			t.Errorf("ensured with the secret %q: %v, %v", secret, added, err)
		}
	}
	if _, err := n.clients.CreateWithSecret(t.Context(), account.Client{ID: "public"}, strings.Repeat("x", 32)); !errors.As(err, &broken) || broken.Field != "client_secret" {
		t.Errorf("a secret for a client that has none: %v", err)
	}
	if _, err := n.clients.CreateWithSecret(t.Context(), account.Client{ID: "given", Confidential: true}, strings.Repeat("x", 32)); err != nil {
		t.Errorf("a given secret: %v", err)
	}
}

func TestOnlyTheLatestSecretsOverlap(t *testing.T) {
	r := newRig(t)
	n := r.node()
	_, secret, err := n.clients.Create(t.Context(), account.Client{ID: "service", Confidential: true})
	r.must(err)
	secrets := []string{secret}
	for range 7 {
		secret, err := n.clients.RotateSecret(t.Context(), "service", time.Hour)
		r.must(err)
		secrets = append(secrets, secret)
		r.clock.advance(time.Minute)
	}
	client, err := n.clients.Find(t.Context(), "service")
	r.must(err)
	for i, secret := range secrets {
		if got, want := n.clients.CheckSecret(&client, secret), i >= 3; got != want {
			t.Errorf("secret %d of %d is good: %v", i, len(secrets), got)
		}
	}
	client.AuthMethod = account.AuthPrivateKeyJWT
	if n.clients.CheckSecret(&client, secrets[7]) {
		t.Error("a client that authenticates by keys was believed for a secret")
	}
}

func TestAKeySetIsStoredAsItWasChecked(t *testing.T) {
	r := newRig(t)
	n := r.node()
	created, _, err := n.clients.Create(t.Context(), account.Client{ID: "service", Confidential: true, AuthMethod: "private_key_jwt",
		JWKS: json.RawMessage(`{"keys":[` + publicKey + `,"d":"PRIVATE"}],"keys":[` + publicKey + `}],"KEYS":[{"kty":"oct","k":"PRIVATE"}]}`)})
	r.must(err)
	if strings.Contains(string(created.JWKS), "PRIVATE") || strings.Contains(r.dump(t)["clients"], "PRIVATE") {
		t.Errorf("what was not looked at is stored: %s", created.JWKS)
	}
	stored, err := n.store.Client(t.Context(), "service")
	if err != nil || string(stored.JWKS) != string(created.JWKS) {
		t.Errorf("the store gives back %s, %v", stored.JWKS, err)
	}
	// A change of something else does not change its form again.
	updated, err := n.clients.Update(t.Context(), "service", func(c *account.Client) error { c.Name = "x"; return nil })
	if err != nil || string(updated.JWKS) != string(created.JWKS) {
		t.Errorf("after a change %s, %v", updated.JWKS, err)
	}
}

func TestTheBuiltInClient(t *testing.T) {
	n := newRig(t).node()
	client, err := n.clients.Find(t.Context(), account.FirstPartyClient)
	if err != nil || client.Confidential || !slices.Equal(client.Grants, []string{"password", "refresh_token"}) || !slices.Equal(client.Scopes, []string{"*"}) {
		t.Errorf("%+v, %v", client, err)
	}
	if live, err := n.clients.Live(t.Context(), account.FirstPartyClient, farFuture); err != nil || !live {
		t.Errorf("%v, %v", live, err)
	}
	if _, err := n.clients.Subject(t.Context(), account.FirstPartyClient); !errors.Is(err, account.ErrClientNotFound) {
		t.Errorf("it acts for itself: %v", err)
	}
	_, changed := n.clients.Update(t.Context(), account.FirstPartyClient, func(*account.Client) error { return nil })
	_, rotated := n.clients.RotateSecret(t.Context(), account.FirstPartyClient, 0)
	for what, err := range map[string]error{"changed": changed, "rotated": rotated, "removed": n.clients.Remove(t.Context(), account.FirstPartyClient)} {
		var broken *account.InvalidError
		if !errors.As(err, &broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhoASubjectIs(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	_, _, err := n.clients.Create(t.Context(), account.Client{ID: "service", Confidential: true, Scopes: []string{"*", "a"}, Roles: []string{"robot"}})
	r.must(err)
	who := account.Who{Accounts: n.directory, Clients: n.clients}
	subject, err := who.Subject(t.Context(), "service")
	if err != nil || subject.Kind != authz.KindClient || subject.ID != "service" || !slices.Equal(subject.Scopes, []string{"a"}) || !slices.Equal(subject.Roles, []string{"robot"}) {
		t.Errorf("%+v, %v", subject, err)
	}
	if subject, err := who.Subject(t.Context(), carol.ID); err != nil || subject.Kind != authz.KindAccount || subject.Username != "carol" || subject.Scopes != nil {
		t.Errorf("%+v, %v", subject, err)
	}
	for _, id := range []string{"", "carol", "stagedoor", "01J00000000000000000000000", "unknown"} {
		if subject, err := who.Subject(t.Context(), id); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%q is %+v, %v", id, subject, err)
		}
	}
}

func TestDisablingAndRemovingAClientEndsItsSessions(t *testing.T) {
	cases := []struct {
		name   string
		end    func(*node) error
		action string
	}{
		{"disabled", func(n *node) error {
			_, err := n.clients.Update(n.r.t.Context(), "app", func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		}, account.ClientDisabled},
		{"removed", func(n *node) error { return n.clients.Remove(n.r.t.Context(), "app") }, account.ClientRemoved},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n, other, carol := r.node(), r.node(), r.carol()
			_, _, err := n.clients.Create(t.Context(), account.Client{ID: "app", Grants: []string{"password", "refresh_token"}})
			r.must(err)
			session, token := n.begin(carol.ID, func(s *account.NewSession) { s.ClientID = "app" })
			spared, kept := n.begin(carol.ID)
			r.must(other.clients.Reload(t.Context()))
			r.must(tc.end(n))
			if live, err := n.clients.Live(t.Context(), "app", farFuture); err != nil || live {
				t.Errorf("at once: live %v, %v", live, err)
			}
			if live, err := other.clients.Live(t.Context(), "app", farFuture); err != nil || !live {
				t.Errorf("elsewhere, before it has looked: live %v, %v", live, err)
			}
			r.must(other.clients.Reload(t.Context()))
			r.must(other.revocations.Reload(t.Context()))
			if live, err := other.clients.Live(t.Context(), "app", farFuture); err != nil || live {
				t.Errorf("elsewhere: live %v, %v", live, err)
			}
			for _, n := range []*node{n, other} {
				n.revoked(true, "", session.ID, "its session")
				n.revoked(false, "", spared.ID, "another client's session")
			}
			if _, err := n.refresh(t.Context(), token); !errors.Is(err, account.ErrRefreshInvalid) {
				t.Errorf("its refresh token: %v", err)
			}
			n.mustRefresh(kept)
			if got := n.actions(account.EventQuery{Actions: []string{tc.action}}); len(got) != 1 {
				t.Errorf("the log tells of %v", got)
			}
		})
	}
}

func TestClientsInDoubt(t *testing.T) {
	r := newRig(t)
	n, other := r.node(), r.node()
	_, _, err := other.clients.Create(t.Context(), account.Client{ID: "app"})
	r.must(err)
	if _, err := n.clients.Find(t.Context(), "app"); !errors.Is(err, account.ErrClientNotFound) {
		t.Errorf("without a doubt: %v", err)
	}
	n.clients.Doubt()
	if _, err := n.clients.Find(t.Context(), "app"); err != nil {
		t.Errorf("in doubt: %v", err)
	}
	r.must(n.store.Close())
	for what, err := range map[string]error{
		"finding": func() error { _, err := n.clients.Find(t.Context(), "app"); return err }(),
		"live":    func() error { _, err := n.clients.Live(t.Context(), "app", farFuture); return err }(),
		"subject": func() error { _, err := n.clients.Subject(t.Context(), "app"); return err }(),
	} {
		if err == nil || errors.Is(err, account.ErrClientNotFound) {
			t.Errorf("%s, in doubt and without a store: %v", what, err)
		}
	}
}

func TestAnAssertionIsUsedOnce(t *testing.T) {
	r := newRig(t)
	n, other := r.node(), r.node()
	expiry := r.clock.Now().Add(time.Minute)
	r.must(n.clients.UseAssertion(t.Context(), "service", "jti", expiry))
	if err := other.clients.UseAssertion(t.Context(), "service", "jti", expiry); !errors.Is(err, account.ErrAssertionUsed) {
		t.Errorf("again, elsewhere: %v", err)
	}
	// A verifier's leeway may let it pass when it has expired.
	r.clock.advance(time.Minute + account.RevocationMargin)
	r.must(n.clients.UseAssertion(t.Context(), "other", "another", expiry))
	if err := n.clients.UseAssertion(t.Context(), "service", "jti", expiry); !errors.Is(err, account.ErrAssertionUsed) {
		t.Errorf("again, within a leeway: %v", err)
	}
	r.clock.advance(time.Minute)
	r.must(n.clients.UseAssertion(t.Context(), "service", "another", r.clock.Now().Add(time.Minute)))
	if rows := r.dump(t)["used_assertions"]; strings.Count(rows, "jti=") != 1 {
		t.Errorf("what has expired is still there: %s", rows)
	}
}

// farFuture is when a token was issued that no former life of a client matters to.
var farFuture = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// TestTokensOfAFormerLife: what was issued to a client before it was removed, or
// disabled, does not come back with it.
func TestTokensOfAFormerLife(t *testing.T) {
	r := newRig(t)
	n := r.node()
	add := func() {
		t.Helper()
		if _, _, err := n.clients.Create(t.Context(), account.Client{ID: "app"}); err != nil {
			t.Fatal(err)
		}
	}
	set := func(disabled bool) {
		t.Helper()
		if _, err := n.clients.Update(t.Context(), "app", func(c *account.Client) error { c.Disabled = disabled; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	live := func(issued time.Time, want bool, what string) {
		t.Helper()
		for _, n := range []*node{n, r.node()} {
			if live, err := n.clients.Live(t.Context(), "app", issued); err != nil || live != want {
				t.Errorf("%s: %v, %v, want %v", what, live, err, want)
			}
		}
	}
	second := func() time.Time { return r.clock.Now().Truncate(time.Second) } // as iat has it

	add()
	first := second()
	live(first, true, "issued at once")
	r.clock.advance(10 * time.Second)
	set(true)
	live(first, false, "while it is disabled")
	r.clock.advance(10 * time.Second)
	set(false)
	live(first, false, "enabled again, an old token")
	live(second(), true, "enabled again, a new token")
	again := second()
	r.clock.advance(10 * time.Second)
	if _, err := n.clients.Update(t.Context(), "app", func(c *account.Client) error { c.Name = "App"; return nil }); err != nil {
		t.Fatal(err)
	}
	live(again, true, "after another change")
	if err := n.clients.Remove(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(10 * time.Second)
	add()
	live(again, false, "added again, an old token")
	live(second(), true, "added again, a new token")
}
