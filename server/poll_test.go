package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// unpolled is a server that answers requests and whose poll is the test's.
func unpolled(t *testing.T) *Server {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.State = filepath.Join(t.TempDir(), "state")
	cfg.Demo = true
	cfg.PolicyTimeout = time.Minute
	s, err := New(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// bearer mints a token for a demo account.
func (s *Server) bearer(t *testing.T, username string) string {
	t.Helper()
	a, err := s.accounts.Find(t.Context(), username)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, _, err := s.keyring.Mint(token.Registered{
		Issuer: s.issuer, Audience: []string{s.issuer}, Subject: a.ID, ClientID: "first-party", Lifetime: time.Hour,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + raw
}

func (s *Server) status(t *testing.T, path, authorization string) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w.Code
}

func (s *Server) wantStatus(t *testing.T, path, authorization string, want int) {
	t.Helper()
	if got := s.status(t, path, authorization); got != want {
		t.Errorf("GET %s answers %d, want %d", path, got, want)
	}
}

// With the store closed, whoever asks it gets an error.
func TestAWarmRequestAsksNothingOfTheStore(t *testing.T) {
	s := unpolled(t)
	carol, alice := s.bearer(t, "carol"), s.bearer(t, "alice")
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.wantStatus(t, "/client-only", carol, http.StatusOK)
	}
	s.wantStatus(t, "/client-only", alice, http.StatusServiceUnavailable) // not seen before
}

// While the store can't say whether an account has changed, nobody is let in by
// what is remembered of it.
func TestAPollThatFailsForgetsSubjects(t *testing.T) {
	s := unpolled(t)
	carol := s.bearer(t, "carol")
	seen := &watched{accountChanges: -1}
	if err := s.look(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.look(ended, seen); err == nil {
		t.Fatal("a poll with an ended context succeeds")
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK) // from the store
	if err := s.look(t.Context(), seen); err != nil || seen.stale {
		t.Fatalf("the poll after it: %v, %+v", err, seen)
	}

	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := s.look(t.Context(), seen); err == nil {
		t.Fatal("a closed store can be asked")
	}
	s.wantStatus(t, "/client-only", carol, http.StatusServiceUnavailable)
}

// A change by another process is seen after the next poll; one that is none of
// accounts leaves them in memory.
func TestThePollForgetsWhatOthersChanged(t *testing.T) {
	s := unpolled(t)
	carol := s.bearer(t, "carol")
	seen := &watched{accountChanges: -1}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := s.look(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	a, err := s.accounts.Find(t.Context(), "carol")
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.accounts.Subject(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}

	if err := s.store.RecordFailure(t.Context(), []string{"a mark"}, time.Now(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	if after, err := s.accounts.Subject(t.Context(), a.ID); err != nil || after != before {
		t.Errorf("a failed login emptied the memory of subjects (%v)", err)
	}

	other := account.New(s.store, account.Options{}) // as another process has
	if _, err := other.Update(t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	if got := s.status(t, "/client-only", carol); got == http.StatusOK {
		t.Error("a disabled account is let in after a poll")
	}
}
