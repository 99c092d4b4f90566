package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/demo"
	"github.com/stagedoor/stagedoor/server/token"
)

// ask posts a form as the confidential demo client and returns the answer.
func (s *Server) ask(t *testing.T, path string, form url.Values) map[string]any {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(demo.ServiceClient, demo.ClientSecret)
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	answer := map[string]any{"status": w.Code}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
	}
	return answer
}

// What another process does to clients, sessions and tokens holds here at the next
// look at the store.
func TestWhatOthersRevokeEndsHere(t *testing.T) {
	client := url.Values{"grant_type": {"client_credentials"}}
	login := url.Values{"grant_type": {"password"}, "username": {"carol"}, "password": {"secretcarol"}}
	for name, test := range map[string]struct {
		form url.Values
		by   func(ctx context.Context, other *Server, issued map[string]any) error
	}{
		"a client is disabled": {client, func(ctx context.Context, other *Server, _ map[string]any) error {
			_, err := other.clients.Update(ctx, demo.ServiceClient, func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		}},
		"a client is removed": {client, func(ctx context.Context, other *Server, _ map[string]any) error {
			return other.clients.Remove(ctx, demo.ServiceClient)
		}},
		"the client of a login is disabled": {login, func(ctx context.Context, other *Server, _ map[string]any) error {
			_, err := other.clients.Update(ctx, demo.ServiceClient, func(c *account.Client) error { c.Disabled = true; return nil })
			return err
		}},
		"a login is revoked": {login, func(ctx context.Context, other *Server, issued map[string]any) error {
			_, claims, err := token.Inspect(issued["access_token"].(string))
			if err != nil {
				return err
			}
			return other.sessions.Revoke(ctx, claims["sid"].(string), "by hand")
		}},
		"a token is revoked": {client, func(ctx context.Context, other *Server, issued map[string]any) error {
			_, claims, err := token.Inspect(issued["access_token"].(string))
			if err != nil {
				return err
			}
			return other.revocations.RevokeToken(ctx, claims["jti"].(string), time.Now().Add(time.Hour))
		}},
		"the account's password is changed": {login, func(ctx context.Context, other *Server, _ map[string]any) error {
			return other.accounts.SetPassword(ctx, "carol", "anothersecret")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := unpolled(t)
			p := s.newPoll()
			if err := p.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			issued := s.ask(t, "/token", test.form)
			raw, _ := issued["access_token"].(string)
			s.wantStatus(t, "/items/", "Bearer "+raw, http.StatusOK)

			other := &Server{cfg: s.cfg, logger: slog.New(slog.DiscardHandler), listener: s.listener}
			if err := other.openStore(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := test.by(t.Context(), other, issued)
			if err := errors.Join(err, other.store.Close()); err != nil {
				t.Fatal(err)
			}
			if err := p.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.wantStatus(t, "/items/", "Bearer "+raw, http.StatusUnauthorized)
		})
	}
}

// While the store can't be asked, nobody knows what was revoked: then nothing
// passes, and the answer is not that the token is bad.
func TestAStoreThatFailsHidesNoRevocation(t *testing.T) {
	s := unpolled(t)
	p := s.newPoll()
	issued := s.ask(t, "/token", url.Values{"grant_type": {"client_credentials"}})
	raw, _ := issued["access_token"].(string)
	s.wantStatus(t, "/items/", "Bearer "+raw, http.StatusOK)
	p.changes = &stalled{changed: func(context.Context) (bool, error) { return false, errors.New("no answer") }}
	if err := p.look(t.Context()); err == nil {
		t.Fatal("look succeeded")
	}
	s.wantStatus(t, "/items/", "Bearer "+raw, http.StatusOK) // the store answers, if asked
	other := &Server{cfg: s.cfg, logger: s.logger, listener: s.listener}
	if err := other.openStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := other.clients.Remove(t.Context(), demo.ServiceClient)
	if err := errors.Join(err, other.store.Close()); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/items/", "Bearer "+raw, http.StatusUnauthorized)
}

func TestAClientWithThePublishedSecretIsRefused(t *testing.T) {
	s := unpolled(t)
	if err := s.refuseDemoSecret(t.Context()); err == nil || !strings.Contains(err.Error(), "demo-service") {
		t.Errorf("the demo client: %v", err)
	}
	if _, err := s.clients.CreateWithSecret(t.Context(), account.Client{ID: "a-copy", Confidential: true, AuthMethod: account.AuthSecret}, demo.ClientSecret); err != nil {
		t.Fatal(err)
	}
	if _, err := s.clients.RotateSecret(t.Context(), demo.ServiceClient, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.refuseDemoSecret(t.Context()); err == nil || !strings.Contains(err.Error(), "a-copy") {
		t.Errorf("a copy of it: %v", err)
	}
	if _, err := s.clients.Update(t.Context(), "a-copy", func(c *account.Client) error { c.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.refuseDemoSecret(t.Context()); err != nil {
		t.Errorf("disabled: %v", err)
	}
}

func TestChoresGoOnAfterAFailure(t *testing.T) {
	var done []string
	log := &strings.Builder{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	run(t.Context(), logger, []chore{
		{"one", func(context.Context) error { done = append(done, "one"); return errors.New("disk full") }},
		{"two", func(context.Context) error { done = append(done, "two"); return nil }},
	})
	if len(done) != 2 || !strings.Contains(log.String(), "disk full") || strings.Contains(log.String(), "two") {
		t.Errorf("%v, %s", done, log)
	}
	s := unpolled(t)
	often, seldom := s.chores()
	for _, c := range append(often, seldom...) {
		if err := c.do(t.Context()); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestAuditEventsAreKeptAsLongAsIsSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		retention time.Duration
		kept      bool
	}{"for a while": {90 * 24 * time.Hour, false}, "longer": {9000 * 24 * time.Hour, true}, "for ever": {0, true}} {
		t.Run(name, func(t *testing.T) {
			s := unpolledWith(t, func(cfg *Config) { cfg.AuditRetention = tc.retention })
			old := account.Event{ID: "01J00000000000000000000000", At: time.Now().Add(-100 * 24 * time.Hour), Action: account.LoginFailed, Outcome: account.Failure}
			if err := s.store.InsertEvents(t.Context(), []account.Event{old}); err != nil {
				t.Fatal(err)
			}
			often, seldom := s.chores()
			run(t.Context(), slog.New(slog.DiscardHandler), often, seldom)
			events, err := s.events.List(t.Context(), account.EventQuery{Until: old.At.Add(time.Second)})
			if err != nil || (len(events) == 1) != tc.kept {
				t.Errorf("%v, %v; want it kept: %v", events, err, tc.kept)
			}
		})
	}
}
