package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// writeIssuers writes a file of issuers, with the files that it may name.
func writeIssuers(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"issuers.yaml": text, "good.secret": strings.Repeat("s", 64) + "\n", "short.secret": "short",
		"pem.secret": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "issuers.yaml")
}

func TestTrustedIssuersFileRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		text, want string
	}{
		"empty":                   {"", "names no issuers"},
		"no issuers":              {"issuers: []\n", "names no issuers"},
		"not YAML":                {"issuers: [\n", ": "},
		"a list":                  {"- issuer: x\n", ":1: "},
		"two documents":           {"issuers:\n- {issuer: 'https://a.example', audience: a}\n---\nissuers: []\n", "more than one document"},
		"an unknown key":          {"issuers:\n- issuer: https://a.example\n  audience: a\n  jkws: https://a.example/k\n", `:4: unknown key "jkws"`},
		"an unknown key, deeper":  {"issuers:\n- issuer: https://a.example\n  audience: a\n  roles:\n    clam: x\n", `:5: unknown key "clam"`},
		"a key twice":             {"issuers:\n- issuer: https://a.example\n  audience: a\n  audience: b\n", ":4: "},
		"no audience":             {"issuers:\n- issuer: https://a.example\n  audience: a\n- issuer: https://b.example\n", ":4: audience is missing"},
		"keys in clear":           {"issuers:\n- issuer: https://a.example\n  audience: a\n  jwks: http://a.example/k\n", ":4: jwks "},
		"HS256 with public keys":  {"issuers:\n- issuer: https://a.example\n  audience: a\n  algorithms: [RS256, HS256]\n", ":4: algorithms "},
		"roles without a map":     {"issuers:\n- issuer: https://a.example\n  audience: a\n  roles:\n    claim: roles\n", ":4: roles.map is missing"},
		"a word for unmapped":     {"issuers:\n- issuer: https://a.example\n  audience: a\n  roles:\n    claim: roles\n    unmapped: all\n", `:6: roles.unmapped "all"`},
		"our own issuer":          {"issuers:\n- audience: a\n  issuer: https://auth.example.com\n", ":3: issuer \"https://auth.example.com\" is this server's own"},
		"twice":                   {"issuers:\n- {issuer: 'https://a.example', audience: a}\n- {issuer: 'https://a.example', audience: b}\n", ":3: issuer "},
		"a secret that is short":  {"issuers:\n- issuer: a\n  legacy: true\n  hs256-secret-file: short.secret\n", ":4: hs256-secret-file holds 5 bytes"},
		"a secret that is PEM":    {"issuers:\n- issuer: a\n  legacy: true\n  hs256-secret-file: pem.secret\n", ":4: hs256-secret-file is a PEM"},
		"a secret that is not":    {"issuers:\n- issuer: a\n  legacy: true\n  hs256-secret-file: missing.secret\n", ":4: hs256-secret-file "},
		"legacy without a secret": {"issuers:\n- issuer: a\n  legacy: true\n", ":3: legacy needs"},
		"two secrets":             {"issuers:\n- {issuer: a, legacy: true, hs256-secret-file: good.secret}\n- {issuer: b, legacy: true, hs256-secret-file: good.secret}\n", ":3: hs256-secret-file "},
		"a required object":       {"issuers:\n- issuer: https://a.example\n  audience: a\n  require: {hd: {a: b}}\n", ":4: require hd: "},
		"a required empty list":   {"issuers:\n- issuer: https://a.example\n  audience: a\n  require: {hd: []}\n", ":4: require hd: is an empty list"},
		"an audience of numbers":  {"issuers:\n- issuer: https://a.example\n  audience: {a: b}\n", ":3: needs a text"},
		"a leeway of a day":       {"issuers:\n- issuer: https://a.example\n  audience: a\n  leeway: 24h\n", ":4: leeway "},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeIssuers(t, test.text)
			cfg := Config{TrustedIssuersFile: file}
			_, err := cfg.trustedIssuers("https://auth.example.com", nil)
			var wrong *ConfigError
			if !errors.As(err, &wrong) || wrong.Option != "trusted-issuers" {
				t.Fatalf("got %v, want a ConfigError", err)
			}
			if got := wrong.Err.Error(); !strings.Contains(got, file) || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q and the file's name", got, test.want)
			}
			if strings.Contains(err.Error(), "sss") {
				t.Errorf("it quotes a secret: %v", err)
			}
		})
	}
	cfg := Config{TrustedIssuersFile: "missing.yaml"}
	if _, err := cfg.trustedIssuers("", nil); err == nil {
		t.Error("a file that is not there passes")
	}
}

// Every example of the documentation is a file that is accepted.
func TestTrustedIssuersExamples(t *testing.T) {
	for _, document := range []string{"trusted-issuers.md", "migrating-from-fastapi.md"} {
		text, err := os.ReadFile(filepath.Join("..", "docs", document))
		if err != nil {
			t.Fatal(err)
		}
		examples := regexp.MustCompile("(?ms)^(?:# issuers.yaml\n)?(issuers:\n.*?)^(?:```|END)$").FindAllStringSubmatch(string(text), -1)
		if len(examples) == 0 {
			t.Fatalf("%s: no example was found", document)
		}
		for _, example := range examples {
			// Only a pod has these; they are read at the start.
			text := regexp.MustCompile(`(?m)^ +ca-file: .*\n`).ReplaceAllString(example[1], "")
			file := writeIssuers(t, strings.ReplaceAll(text, "fastapi.secret", "good.secret"))
			cfg := Config{TrustedIssuersFile: file}
			trusted, err := cfg.trustedIssuers("https://auth.example.com", nil)
			if err != nil {
				t.Errorf("%s: %v\n%s", document, err, text)
				continue
			}
			trusted.Close()
		}
	}
}

// At the gate a legacy token speaks for an external subject, also where its sub is
// the id of one of our accounts.
func TestALegacyTokenAtTheGate(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef0123456789abcdef"
	dir := t.TempDir()
	for name, content := range map[string]string{
		"s": secret, "issuers.yaml": "issuers:\n- issuer: old\n  legacy: true\n  hs256-secret-file: s\n  roles: {claim: roles, map: {boss: client}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := unpolledWith(t, func(cfg *Config) { cfg.TrustedIssuersFile = filepath.Join(dir, "issuers.yaml") })
	carol, err := s.accounts.Find(t.Context(), "carol")
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(claims jwt.MapClaims) string {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
		raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + raw
	}
	s.wantStatus(t, "/users/me", bearer(jwt.MapClaims{"sub": "johndoe"}), http.StatusOK)
	// Neither the account's roles nor those that the token claims under our names.
	s.wantStatus(t, "/client-only", bearer(jwt.MapClaims{"sub": carol.ID}), http.StatusForbidden)
	s.wantStatus(t, "/client-only", bearer(jwt.MapClaims{"sub": carol.ID, "roles": []string{"client"}}), http.StatusForbidden)
	s.wantStatus(t, "/client-only", bearer(jwt.MapClaims{"sub": carol.ID, "roles": []string{"boss"}}), http.StatusOK)
	s.wantStatus(t, "/users/me", bearer(jwt.MapClaims{"sub": carol.ID, "iss": s.issuer}), http.StatusUnauthorized)
	raw := strings.TrimPrefix(bearer(jwt.MapClaims{"sub": carol.ID}), "Bearer ")
	cfg := s.cfg
	if err := VerifyToken(t.Context(), cfg, raw); err != nil {
		t.Errorf("VerifyToken: %v", err)
	}
	cfg.TrustedIssuersFile = ""
	if err := VerifyToken(t.Context(), cfg, raw); !errors.Is(err, authz.TokenInvalidClaims) {
		t.Errorf("VerifyToken without the file: %v", err)
	}
}

// What an external subject does is told from what an account or client of ours does,
// whatever it is called: in the audit log, and to those who ask who it is.
func TestAnExternalSubjectIsNamedWithItsIssuer(t *testing.T) {
	file := writeIssuers(t, "issuers:\n- issuer: old\n  legacy: true\n  hs256-secret-file: good.secret\n  roles: {always: admin}\n  scopes: {always: 'users:write'}\n")
	s := unpolledWith(t, func(cfg *Config) { cfg.TrustedIssuersFile = file })
	carol, err := s.accounts.Find(t.Context(), "carol")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": carol.ID, "client_id": "demo-service", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(strings.Repeat("s", 64)))
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string, want int) string {
		t.Helper()
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+raw)
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(recorder, request)
		if recorder.Code != want {
			t.Fatalf("%s %s: status %d, want %d: %s", method, path, recorder.Code, want, recorder.Body)
		}
		return recorder.Body.String()
	}
	if me := call("GET", "/users/me", "", 200); !strings.Contains(me, `"kind":"external","issuer":"old","id":"`+carol.ID+`"`) {
		t.Errorf("/users/me: %s", me)
	}
	call("POST", "/admin/v1/users", `{"username":"eve","password":"correct horse"}`, 201)
	call("POST", "/access/v1/evaluation", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"page","id":"p"}}`, 403)
	events, err := s.events.List(t.Context(), account.EventQuery{Actions: []string{account.AccountCreated}, Limit: 1})
	if err != nil || len(events) != 1 {
		t.Fatalf("events %v, %v", events, err)
	}
	if e := events[0]; e.ActorKind != account.ActorExternal || e.ActorID != "old "+carol.ID || e.ClientID != "" {
		t.Errorf("the actor is %s %q by client %q", e.ActorKind, e.ActorID, e.ClientID)
	}
}

// What one process retires, another refuses at its next look at the store; what the
// server does itself, at once.
func TestKeyChangesReachARunningServer(t *testing.T) {
	s := unpolledWith(t, func(cfg *Config) { cfg.SecretKey = strings.Repeat("k", 32) })
	p := s.newPoll()
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	carol := s.bearer(t, "carol")
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	keys, err := OpenKeys(context.Background(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	before, err := keys.List(t.Context())
	if err != nil || len(before) != 1 || !before[0].Sealed {
		t.Fatalf("keys %+v, %v", before, err)
	}
	if _, err := keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := keys.Retire(t.Context(), before[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusUnauthorized)
	s.wantStatus(t, "/client-only", s.bearer(t, "carol"), http.StatusOK)

	now, _ := s.keyring.Signing()
	if _, err := s.keyring.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := s.keyring.Retire(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", s.bearer(t, "carol"), http.StatusOK)
	listed, err := keys.List(t.Context())
	if err != nil || !slices.ContainsFunc(listed, func(k token.KeyStatus) bool { return k.ID == now && k.State == "retired" }) {
		t.Errorf("keys %+v, %v", listed, err)
	}
}
