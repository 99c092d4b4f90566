package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/oauth"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

const (
	issuer   = "https://issuer.example"
	audience = "https://api.example"
	floor    = 400 * time.Millisecond
)

// clock stands still until it is set. Waiting until a time sets it.
type clock struct {
	mu    sync.Mutex
	time  time.Time
	waits []time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

func (c *clock) wait(_ context.Context, until time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = append(c.waits, until.Sub(c.time))
	return nil
}

// house is the token service with every real part behind a gate.
type house struct {
	t        *testing.T
	handler  http.Handler
	clock    *clock
	database *store.Store
	accounts *account.Directory
	clients  *account.Clients
	sessions *account.Sessions
	keyring  *token.Keyring
	verifier *token.Verifier
	log      *bytes.Buffer
	outcomes sync.Map // what Observe was told
	// lookedUp, where it is set, is told each login before it is looked up.
	lookedUp func(identity string)
	issuer   string
	closed   bool // the store
}

// breakStore has every use of the store fail.
func (h *house) breakStore() {
	h.closed = true
	if err := h.database.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// AccountByIdentity lets a test hold a login up.
type heldStore struct {
	*store.Store
	house *house
}

func (s heldStore) AccountByIdentity(ctx context.Context, identity string) (account.Account, error) {
	if s.house.lookedUp != nil {
		s.house.lookedUp(identity)
	}
	return s.Store.AccountByIdentity(ctx, identity)
}

// load loads the shipped policies. Their own tests have time even under the race
// detector.
func load(data fs.FS) (*policy.Engine, error) {
	return policy.New(context.Background(), policy.FS(policies.FS, data), policy.Options{
		Deadline: time.Minute, TestDeadline: 5 * time.Minute,
	})
}

// shipped is the shipped policy; loading it takes long, and nothing changes it.
var shipped = sync.OnceValues(func() (*policy.Engine, error) { return load(data.FS) })

// open builds a house; documents replace the shipped data's files.
func open(t *testing.T, opts account.AuthenticatorOptions, documents map[string]string) *house {
	t.Helper()
	return openAt(t, issuer, opts, documents)
}

// openAt is open for another issuer.
func openAt(t *testing.T, issuer string, opts account.AuthenticatorOptions, documents map[string]string) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t, issuer: issuer, clock: &clock{time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, log: &bytes.Buffer{}}
	database, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "stagedoor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(); err != nil && !h.closed {
			t.Error(err)
		}
	})
	h.database = database
	engine, err := shipped()
	if documents != nil {
		engine, err = load(with(t, documents))
	}
	if err != nil {
		t.Fatal(err)
	}
	revocations, err := account.OpenRevocations(ctx, database, account.RevocationOptions{Now: h.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	h.accounts = account.New(database, account.Options{Now: h.clock.now, Revocations: revocations})
	h.sessions = account.NewSessions(database, account.SessionOptions{Revocations: revocations, Now: h.clock.now})
	if h.clients, err = account.OpenClients(ctx, database, account.ClientOptions{Revocations: revocations, Now: h.clock.now}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct {
		account  account.Account
		password string
	}{
		{account.Account{Username: "Carol", Email: "carol@example.com", Roles: []string{"client"}}, "secretcarol"},
		{account.Account{Username: "alice", Roles: []string{"client"}, Disabled: true}, "secretalice"},
		{account.Account{Username: "norole"}, "secretnorole"},
	} {
		if _, err := h.accounts.Create(ctx, a.account, a.password); err != nil {
			t.Fatal(err)
		}
	}
	opts.Floor, opts.Now, opts.Wait = floor, h.clock.now, h.clock.wait
	keyring, err := token.OpenKeyring(ctx, database, token.KeyringOptions{Now: h.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	h.keyring = keyring
	revoked := func(ctx context.Context, v *token.Verified) (bool, error) {
		return revocations.Revoked(ctx, v.ID, v.SessionID)
	}
	h.verifier = token.NewVerifier(keyring, token.VerifierOptions{Issuer: h.issuer, Audience: audience, Revoked: revoked, Now: h.clock.now})
	who := account.Who{Accounts: h.accounts, Clients: h.clients}
	service := oauth.New(oauth.Options{
		Policy: engine, Authenticator: account.NewAuthenticator(heldStore{database, h}, h.accounts.Hasher(), opts),
		Keyring: keyring, Clients: h.clients, Subjects: who, Sessions: h.sessions, Revocations: revocations, Events: account.NewEvents(database, account.EventOptions{Now: h.clock.now}),
		Tokens:     token.NewVerifier(keyring, token.VerifierOptions{Issuer: h.issuer, AnyAudience: true, CacheBytes: -1, Revoked: revoked, Now: h.clock.now}),
		Assertions: token.AssertionVerifier{},
		Issuer:     h.issuer, Audience: audience, Now: h.clock.now,
		Logger:  slog.New(slog.NewTextHandler(h.log, nil)),
		Observe: func(grantType, outcome string) { h.outcomes.Store(grantType+" "+outcome, true) },
	})
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	service.Register(router)
	door, err := gate.New(gate.Options{
		Policy: engine, Tokens: h.verifier, Subjects: who, Issuer: h.issuer, Realm: "stagedoor",
		Refusals: service.Refusals(), Now: h.clock.now, NewID: func() string { return "id" },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.handler = service.AtIssuer(door.Wrap(router))
	return h
}

// with is the shipped data with some files replaced.
func with(t *testing.T, documents map[string]string) fs.FS {
	t.Helper()
	merged := fstest.MapFS{}
	entries, err := fs.ReadDir(data.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := fs.ReadFile(data.FS, entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		merged[entry.Name()] = &fstest.MapFile{Data: text}
	}
	for name, text := range documents {
		merged[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return merged
}

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// login posts username and password, and further parameters as name, value.
func (h *house) login(username, password string, more ...string) *httptest.ResponseRecorder {
	form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	r := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.do(r)
}

func (h *house) members(w *httptest.ResponseRecorder) map[string]any {
	h.t.Helper()
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		h.t.Fatalf("%v in %s", err, w.Body)
	}
	return got
}
