package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/admin"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

const (
	issuer       = "https://issuer.example"
	rootPassword = "correct horse"
	everything   = "users:read users:write clients:read clients:write keys:read keys:write sessions:read sessions:write policy:read audit:read"
)

// shipped is the shipped policy; loading it takes long, and nothing changes it.
var shipped = sync.OnceValues(func() (*policy.Engine, error) {
	return policy.New(context.Background(), policy.FS(policies.FS, data.FS), policy.Options{Deadline: time.Minute, TestDeadline: 5 * time.Minute})
})

// rig is the interface with every real part behind a gate; only tokens are taken at
// their word.
type rig struct {
	t           testing.TB
	handler     http.Handler
	database    *store.Store
	accounts    *account.Directory
	clients     *account.Clients
	sessions    *account.Sessions
	events      *account.Events
	revocations *account.Revocations
	root        account.Account
	closed      bool // the database
	log         bytes.Buffer

	mu     sync.Mutex
	tokens map[string]*token.Verified
	now    time.Time
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// Verify implements the gate's Tokens.
func (r *rig) Verify(_ context.Context, raw string) (*token.Verified, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if verified, known := r.tokens[raw]; known {
		return verified, nil
	}
	return nil, authz.TokenMalformed
}

// open builds a rig with one administrator, root.
func open(t testing.TB, keys token.KeyringOptions) *rig {
	t.Helper()
	ctx := t.Context()
	r := &rig{t: t, tokens: map[string]*token.Verified{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	engine, err := shipped()
	must(err)
	r.database, err = store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "stagedoor.db")})
	must(err)
	t.Cleanup(func() {
		if err := r.database.Close(); err != nil && !r.closed {
			t.Error(err)
		}
	})
	r.revocations, err = account.OpenRevocations(ctx, r.database, account.RevocationOptions{Now: r.clock})
	must(err)
	hasher := account.NewHasher(account.HasherOptions{Memory: 64, Time: 1})
	r.accounts = account.New(r.database, account.Options{Hasher: hasher, Now: r.clock, Revocations: r.revocations})
	r.sessions = account.NewSessions(r.database, account.SessionOptions{Revocations: r.revocations, Now: r.clock})
	r.clients, err = account.OpenClients(ctx, r.database, account.ClientOptions{Revocations: r.revocations, Now: r.clock})
	must(err)
	r.events = account.NewEvents(r.database, account.EventOptions{Now: r.clock})
	keys.Now = r.clock
	keyring, err := token.OpenKeyring(ctx, r.database, keys)
	must(err)
	authenticator := account.NewAuthenticator(r.database, hasher, account.AuthenticatorOptions{
		Floor: time.Millisecond, Now: r.clock, Wait: func(context.Context, time.Time) error { return nil },
	})
	gin.SetMode(gin.ReleaseMode)
	routes := gin.New()
	admin.New(admin.Options{
		Accounts: r.accounts, Authenticator: authenticator, Clients: r.clients, Sessions: r.sessions,
		Events: r.events, Keys: keyring, Policy: engine, Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
	}).Register(routes)
	door, err := gate.New(gate.Options{
		Policy: engine, Tokens: r, Subjects: account.Who{Accounts: r.accounts, Clients: r.clients}, Issuer: issuer, Realm: "stagedoor", Now: r.clock,
	})
	must(err)
	r.handler = door.WrapGin(routes)
	r.root, err = r.accounts.Create(ctx, account.Account{Username: "root", Roles: []string{"admin"}}, rootPassword)
	must(err)
	return r
}

// token makes one for an account, of a session where sid names one.
func (r *rig) token(accountID, scope, sid string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	raw := "token" + string(rune('A'+len(r.tokens)%26)) + time.Duration(len(r.tokens)).String()
	r.tokens[raw] = &token.Verified{
		Issuer: issuer, Subject: accountID, ID: raw, ClientID: account.FirstPartyClient, SessionID: sid,
		Claims: &authz.Claims{Values: map[string]any{"iss": issuer, "sub": accountID, "scope": scope, "sid": sid, "client_id": account.FirstPartyClient}},
	}
	return raw
}

// rooted is a token of root's for everything.
func (r *rig) rooted() string { return r.token(r.root.ID, everything, "") }

// session begins one of an account's.
func (r *rig) session(accountID string) string {
	r.t.Helper()
	id, err := r.sessions.NewID()
	if err != nil {
		r.t.Fatal(err)
	}
	_, _, err = r.sessions.Begin(r.t.Context(), account.NewSession{
		ID: id, AccountID: accountID, ClientID: account.FirstPartyClient, AccessExpiry: r.clock().Add(time.Hour),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t    testing.TB
	what string
}

// call sends a request; headers are pairs, of which one with an empty value is left
// out.
func (r *rig) call(token, method, target, body string, headers ...string) *answer {
	r.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request := httptest.NewRequest(method, target, reader)
	request.RemoteAddr = "192.0.2.7:4711"
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
			continue
		}
		request.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, request)
	return &answer{w, r.t, method + " " + target}
}

// want fails unless the answer has the status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.what, a.Code, status, a.Body)
	}
	return a
}

// into reads the answer's JSON.
func (a *answer) into(value any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), value); err != nil {
		a.t.Fatalf("%s: %v in %s", a.what, err, a.Body)
	}
}

// detail is the problem document's; it fails for an answer that is none.
func (a *answer) detail() string {
	a.t.Helper()
	if mediaType := a.Header().Get("Content-Type"); mediaType != "application/problem+json" {
		a.t.Errorf("%s: %d is a %q: %s", a.what, a.Code, mediaType, a.Body)
		return ""
	}
	var p struct {
		Status int
		Detail string
	}
	a.into(&p)
	if p.Status != a.Code {
		a.t.Errorf("%s: the problem says %d, the answer %d", a.what, p.Status, a.Code)
	}
	return p.Detail
}

// addAccount makes an account by the interface, and returns its path.
func (r *rig) addAccount(token, username string) string {
	r.t.Helper()
	return r.call(token, "POST", "/admin/v1/users", `{"username":"`+username+`","roles":["client"],"password":"another horse"}`).want(201).Header().Get("Location")
}

// addClient makes a confidential client by the interface, and returns its path.
func (r *rig) addClient(token, id string) string {
	r.t.Helper()
	return r.call(token, "POST", "/admin/v1/clients", `{"client_id":"`+id+`","confidential":true,"grant_types":["client_credentials"]}`).want(201).Header().Get("Location")
}
