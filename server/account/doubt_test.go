package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

var errStorage = errors.New("disk on fire")

// flakyStore is a store of revocations and clients whose answers a test can spoil.
type flakyStore struct {
	account.RevocationStore
	account.ClientStore

	during                   func() // while a list is read
	failLists, failQuestions bool
}

func (s *flakyStore) Revocations(ctx context.Context, after int64, expireAfter time.Time) ([]account.Revocation, error) {
	if s.failLists {
		return nil, errStorage
	}
	rows, err := s.RevocationStore.Revocations(ctx, after, expireAfter)
	s.meanwhile()
	return rows, err
}

func (s *flakyStore) Clients(ctx context.Context) ([]account.Client, error) {
	if s.failLists {
		return nil, errStorage
	}
	clients, err := s.ClientStore.Clients(ctx)
	s.meanwhile()
	return clients, err
}

func (s *flakyStore) ClientChanges(ctx context.Context) (int64, error) {
	if s.failLists {
		return 0, errStorage
	}
	count, err := s.ClientStore.ClientChanges(ctx)
	s.meanwhile()
	return count, err
}

func (s *flakyStore) Revoked(ctx context.Context, tokenID, sessionID string) (bool, error) {
	if s.failQuestions {
		return false, errStorage
	}
	return s.RevocationStore.Revoked(ctx, tokenID, sessionID)
}

func (s *flakyStore) Client(ctx context.Context, id string) (account.Client, error) {
	if s.failQuestions {
		return account.Client{}, errStorage
	}
	return s.ClientStore.Client(ctx, id)
}

func (s *flakyStore) meanwhile() {
	if during := s.during; during != nil {
		s.during = nil
		during()
	}
}

// flaky is a node's revocations and clients over a flaky store.
func (n *node) flaky() (*flakyStore, *account.Revocations, *account.Clients) {
	n.r.t.Helper()
	store := &flakyStore{RevocationStore: n.store, ClientStore: n.store}
	revocations, err := account.OpenRevocations(n.r.t.Context(), store, account.RevocationOptions{Now: n.r.clock.Now})
	n.r.must(err)
	clients, err := account.OpenClients(n.r.t.Context(), store, account.ClientOptions{Revocations: revocations, Now: n.r.clock.Now})
	n.r.must(err)
	return store, revocations, clients
}

func TestADoubtThatComesDuringAReloadOutlastsIt(t *testing.T) {
	r := newRig(t)
	n, other := r.node(), r.node()
	store, revocations, clients := n.flaky()
	for _, news := range []string{"", "something to read"} {
		if news != "" {
			r.must(other.revocations.RevokeToken(t.Context(), news, r.clock.Now().Add(access)))
		}
		missed := "missed with " + news
		store.during = func() {
			r.must(other.revocations.RevokeToken(t.Context(), missed, r.clock.Now().Add(access)))
			revocations.Doubt()
		}
		r.must(revocations.Reload(t.Context()))
		if revoked, err := revocations.Revoked(t.Context(), missed, ""); err != nil || !revoked {
			t.Errorf("a revocation that a reload has missed which read %q: %v, %v", news, revoked, err)
		}
		r.must(revocations.Reload(t.Context()))
	}
	store.failQuestions = true
	if revoked, err := revocations.Revoked(t.Context(), "another", ""); err != nil || revoked {
		t.Errorf("the next reload did not settle it: %v, %v", revoked, err)
	}

	store.failQuestions = false
	store.during = func() {
		other.app()
		clients.Doubt()
	}
	r.must(clients.Reload(t.Context()))
	if _, err := clients.Find(t.Context(), "app"); err != nil {
		t.Errorf("a client that the reload has missed: %v", err)
	}
	r.must(clients.Reload(t.Context()))
	store.failQuestions = true
	if _, err := clients.Find(t.Context(), "app"); err != nil {
		t.Errorf("the next reload did not settle it: %v", err)
	}
}

// TestWhatIsStoredHoldsThoughItCanNotBeReadBack: the change is stored, and then the
// store can't be read.
func TestWhatIsStoredHoldsThoughItCanNotBeReadBack(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	n.app()
	store, revocations, clients := n.flaky()
	sessions := account.NewSessions(n.store, account.SessionOptions{Revocations: revocations, Now: r.clock.Now})
	session, _ := n.begin(carol.ID)
	byApp, _ := n.begin(carol.ID, func(s *account.NewSession) { s.ClientID = "app" })
	store.failLists = true
	r.must(revocations.RevokeToken(t.Context(), "jti", r.clock.Now().Add(access)))
	r.must(sessions.Revoke(t.Context(), session.ID, "test"))
	_, err := clients.Update(t.Context(), "app", func(c *account.Client) error { c.Disabled = true; return nil })
	r.must(err)
	for what, ids := range map[string][2]string{"a token": {"jti", ""}, "a session": {"", session.ID}, "a client's session": {"", byApp.ID}} {
		if revoked, err := revocations.Revoked(t.Context(), ids[0], ids[1]); err != nil || !revoked {
			t.Errorf("%s: %v, %v", what, revoked, err)
		}
	}
	if live, err := clients.Live(t.Context(), "app", farFuture); err != nil || live {
		t.Errorf("the client: live %v, %v", live, err)
	}
	store.failQuestions = true
	if _, err := revocations.Revoked(t.Context(), "another", ""); !errors.Is(err, errStorage) {
		t.Errorf("whether another token is revoked: %v, want the store's error", err)
	}
	if live, err := clients.Live(t.Context(), "app", farFuture); !errors.Is(err, errStorage) || live {
		t.Errorf("whether the client is live: %v, %v, want the store's error", live, err)
	}
	store.failLists = false
	r.must(revocations.Reload(t.Context()))
	r.must(clients.Reload(t.Context()))
	if revoked, err := revocations.Revoked(t.Context(), "jti", ""); err != nil || !revoked {
		t.Errorf("when it can be read again: %v, %v", revoked, err)
	}
	if live, err := clients.Live(t.Context(), "app", farFuture); err != nil || live {
		t.Errorf("when it can be read again: live %v, %v", live, err)
	}
}

// TestARevocationIsNeverMissedOnceItIsAnswered has readers ask while reloads, doubts
// and revocations go on.
func TestARevocationIsNeverMissedOnceItIsAnswered(t *testing.T) {
	r := newRig(t)
	n := r.node()
	revocations := n.revocations
	var disturbing sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		disturbing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				revocations.Doubt()
				if err := revocations.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var asking sync.WaitGroup
	for w := range 4 {
		asking.Go(func() {
			for k := range 25 {
				id := fmt.Sprint(w, "-", k)
				if err := revocations.RevokeToken(t.Context(), id, r.clock.Now().Add(access)); err != nil {
					t.Error(err)
				}
				if revoked, err := revocations.Revoked(t.Context(), id, ""); err != nil || !revoked {
					t.Errorf("%s: %v, %v", id, revoked, err)
				}
			}
		})
	}
	asking.Wait()
	close(stop)
	disturbing.Wait()
}

func TestAClockThatWasAheadLosesNoRevocation(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, _ := n.begin(carol.ID)
	r.must(n.sessions.Revoke(t.Context(), session.ID, "test"))
	r.must(n.revocations.RevokeToken(t.Context(), "jti", r.clock.Now().Add(access)))
	const ahead = 20 * time.Hour
	r.clock.advance(ahead)
	r.must(n.revocations.RevokeToken(t.Context(), "later", r.clock.Now().Add(access))) // the others' numbers are passed
	r.must(n.revocations.Purge(t.Context()))
	r.must(n.sessions.Purge(t.Context()))
	if got := n.revocations.Count(); got != 1 {
		t.Errorf("%d are in memory, want the others forgotten", got)
	}
	r.clock.advance(-ahead)
	r.must(n.revocations.Reload(t.Context()))
	n.revoked(true, "jti", "", "when the clock is right again")
	n.revoked(true, "", session.ID, "when the clock is right again")
	n.revoked(true, "later", "", "what was revoked meanwhile")
}

func TestATokenWithoutAnIDIsNotRevoked(t *testing.T) {
	r := newRig(t)
	n := r.node()
	if err := n.revocations.RevokeToken(t.Context(), "", r.clock.Now().Add(access)); err == nil {
		t.Error("whatever token has no jti is revoked now")
	}
	n.revoked(false, "", "", "a token without a jti")
}

func TestSessionsNeedNoRevocationsInMemory(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, _ := n.begin(carol.ID)
	sessions := account.NewSessions(n.store, account.SessionOptions{Now: r.clock.Now})
	r.must(sessions.Revoke(t.Context(), session.ID, "test"))
	r.must(n.revocations.Reload(t.Context()))
	n.revoked(true, "", session.ID, "by one that has none in memory")
}

func TestMemoryForgetsWhatIsOver(t *testing.T) {
	r := newRig(t)
	n := r.node()
	for k := range 50 {
		r.must(n.revocations.RevokeToken(t.Context(), fmt.Sprint(k), r.clock.Now().Add(access)))
		r.clock.advance(access)
		r.must(n.revocations.Reload(t.Context()))
		if got := n.revocations.Count(); got > 2 {
			t.Fatalf("%d are in memory after %d", got, k)
		}
	}
}
