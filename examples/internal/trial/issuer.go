package trial

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
)

const (
	password = "correct horse battery staple"
	client   = "examples"
)

// Issuer is a running Stagedoor server with accounts: its tokens say the tenant of
// whoever has one, as examples/issuer adds to the policy.
type Issuer struct{ URL string }

// StartIssuer runs a server for as long as the test, with these accounts.
func StartIssuer(t *testing.T, accounts ...account.Account) *Issuer {
	t.Helper()
	dir := t.TempDir()
	if _, err := server.Scaffold(dir); err != nil {
		t.Fatal(err)
	}
	// Beside what is there: os.CopyFS never writes over a file.
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "issuer"))); err != nil {
		t.Fatal(err)
	}
	cfg := server.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.State = filepath.Join(dir, "state")
	cfg.Policies, cfg.Data = filepath.Join(dir, "policies"), filepath.Join(dir, "data")
	cfg.PolicyTimeout = time.Minute // tests of other things don't depend on the machine's speed
	register(t, cfg.State, accounts)

	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &Issuer{s.URL()}
}

// register puts the accounts, and the program that they log in with, into the state.
func register(t *testing.T, state string, accounts []account.Account) {
	t.Helper()
	opened, err := server.OpenState(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	directory := account.New(opened, account.Options{})
	for _, a := range accounts {
		if _, err := directory.Create(t.Context(), a, password); err != nil {
			t.Fatal(err)
		}
	}
	clients, err := account.OpenClients(t.Context(), opened, account.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := clients.Create(t.Context(), account.Client{
		ID: client, AuthMethod: account.AuthNone, Grants: []string{account.GrantPassword},
		Scopes: []string{account.AllScopes}, Audiences: []string{"documents", "reports"},
	}); err != nil {
		t.Fatal(err)
	}
}

// Token logs an account in, and returns its token for an audience: with all scopes
// that the account carries or, where one is named, with that one.
func (i *Issuer) Token(t *testing.T, name, audience, scope string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"password"}, "client_id": {client}, "username": {name}, "password": {password},
		"audience": {audience}, "scope": {scope},
	}
	response, err := http.PostForm(i.URL+"/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(text, &issued); err != nil || issued.AccessToken == "" {
		t.Fatalf("no token for %s: %s %s", name, response.Status, text)
	}
	return issued.AccessToken
}
