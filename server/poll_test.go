package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// unpolled is a server that answers requests and whose poll is the test's.
func unpolled(t *testing.T) *Server {
	t.Helper()
	return unpolledWith(t, func(*Config) {})
}

func unpolledWith(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.State = filepath.Join(t.TempDir(), "state")
	cfg.Demo = true
	cfg.PolicyTimeout = time.Minute
	change(&cfg)
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
		Issuer: s.issuer, Audience: []string{s.issuer}, Subject: a.ID, ClientID: account.FirstPartyClient, Lifetime: time.Hour,
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
	p := s.newPoll()
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.look(ended); err == nil {
		t.Fatal("a poll with an ended context succeeds")
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK) // from the store
	if err := p.look(t.Context()); err != nil || p.stale {
		t.Fatalf("the poll after it: %v, stale %t", err, p.stale)
	}

	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := p.look(t.Context()); err == nil {
		t.Fatal("a closed store can be asked")
	}
	s.wantStatus(t, "/client-only", carol, http.StatusServiceUnavailable)
}

// A change by another process is seen after the next poll; one that is none of
// accounts leaves them in memory.
func TestThePollForgetsWhatOthersChanged(t *testing.T) {
	s := unpolled(t)
	carol := s.bearer(t, "carol")
	p := s.newPoll()
	s.wantStatus(t, "/client-only", carol, http.StatusOK)
	if err := p.look(t.Context()); err != nil {
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
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := s.accounts.Subject(t.Context(), a.ID); err != nil || after != before {
		t.Errorf("a failed login emptied the memory of subjects (%v)", err)
	}

	other := account.New(s.store, account.Options{}) // as another process has
	if _, err := other.Update(t.Context(), "carol", func(a *account.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.status(t, "/client-only", carol); got == http.StatusOK {
		t.Error("a disabled account is let in after a poll")
	}
}

// stalled is a store that stops answering.
type stalled struct {
	// changed and counted answer; nil: no change.
	changed func(context.Context) (bool, error)
	counted func(context.Context) (int64, error)
}

func (s *stalled) Changed(ctx context.Context) (bool, error) {
	if s.changed == nil {
		return false, nil
	}
	return s.changed(ctx)
}

func (s *stalled) AccountChanges(ctx context.Context) (int64, error) {
	if s.counted == nil {
		return 0, nil
	}
	return s.counted(ctx)
}

// A store that does not answer is one that can't be asked: however many seconds it
// takes, and whether or not the call that waits for it heeds its deadline, subjects
// are remembered for no longer than one.
func TestAStoreThatStallsIsAsGoodAsNone(t *testing.T) {
	heeds := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, test := range map[string]struct {
		// stall returns a store that stalls until released, if it does not heed ctx.
		stall func(released <-chan struct{}) *stalled
	}{
		"asked for changes": {func(<-chan struct{}) *stalled {
			return &stalled{changed: func(ctx context.Context) (bool, error) { return false, heeds(ctx) }}
		}},
		"asked for their count": {func(<-chan struct{}) *stalled {
			return &stalled{
				changed: func(context.Context) (bool, error) { return true, nil },
				counted: func(ctx context.Context) (int64, error) { return 0, heeds(ctx) },
			}
		}},
		"asked for changes, heeding no deadline": {func(released <-chan struct{}) *stalled {
			return &stalled{changed: func(context.Context) (bool, error) { <-released; return false, nil }}
		}},
		"asked for their count, heeding no deadline": {func(released <-chan struct{}) *stalled {
			return &stalled{
				changed: func(context.Context) (bool, error) { return true, nil },
				counted: func(context.Context) (int64, error) { <-released; return 7, nil },
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				released := make(chan struct{})
				var forgotten atomic.Int64 // when it last was, in nanoseconds
				forget := func() { forgotten.Store(time.Now().UnixNano()) }
				log := &strings.Builder{}
				p := &poll{
					changes: test.stall(released), forget: forget, doubt: func() {}, reload: func(context.Context) error { return nil },
					logger: slog.New(slog.NewTextHandler(log, nil)), accountChanges: -1,
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- p.run(ctx) }()

				time.Sleep(time.Second) // of the bubble: no time passes
				for range 100 {
					synctest.Wait()
					if ago := time.Duration(time.Now().UnixNano() - forgotten.Load()); ago > time.Second {
						t.Fatalf("subjects were last forgotten %s ago", ago)
					}
					time.Sleep(97 * time.Millisecond)
				}

				close(released)
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(log.String(), "the store ") {
					t.Errorf("it is not logged: %s", log)
				}
			})
		})
	}
}

// What is doubted is read anew once the store answers, also where nothing has
// changed: until then every request asks the store.
func TestADoubtEndsWithoutAChange(t *testing.T) {
	var fails bool
	doubted := false
	p := &poll{
		changes: &stalled{changed: func(context.Context) (bool, error) {
			if fails {
				return false, errors.New("no answer")
			}
			return false, nil
		}},
		forget: func() {}, doubt: func() { doubted = true },
		reload: func(context.Context) error { doubted = false; return nil },
		logger: slog.New(slog.DiscardHandler), accountChanges: -1,
	}
	fails = true
	if err := p.look(t.Context()); err == nil || !doubted {
		t.Fatalf("%v, doubted: %t", err, doubted)
	}
	fails = false
	if err := p.look(t.Context()); err != nil || doubted {
		t.Errorf("%v, doubted: %t", err, doubted)
	}
}

// Once a stalled store answers again, subjects are remembered again.
func TestAfterAStallThePollGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		var asked, forgotten, doubted, reloaded atomic.Int64
		p := &poll{
			changes: &stalled{
				changed: func(context.Context) (bool, error) {
					if asked.Add(1) == 1 {
						<-released
						return true, errors.New("a late failure")
					}
					return false, nil
				},
			},
			forget: func() { forgotten.Add(1) },
			doubt:  func() { doubted.Add(1) },
			reload: func(context.Context) error { reloaded.Add(1); return nil },
			logger: slog.New(slog.DiscardHandler), accountChanges: -1,
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.run(ctx) }()

		time.Sleep(5*pollInterval + pollInterval/2)
		synctest.Wait()
		if asked.Load() != 1 || forgotten.Load() != 4 || doubted.Load() != 4 {
			t.Errorf("while it stalls: asked %d times, forgotten %d times, doubted %d times; want 1, 4 and 4", asked.Load(), forgotten.Load(), doubted.Load())
		}
		close(released)
		time.Sleep(pollInterval)
		synctest.Wait()
		if reloaded.Load() != 1 {
			t.Errorf("what had changed was read anew %d times, want once", reloaded.Load())
		}
		before := forgotten.Load()
		time.Sleep(10 * pollInterval)
		synctest.Wait()
		if asked.Load() != 12 || forgotten.Load() != before {
			t.Errorf("after it: asked %d times, want 12; forgotten %d times, want none", asked.Load(), forgotten.Load()-before)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
