package account_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
)

// lossyStore does what it is asked for and says that it has failed: as when the
// answer to a commit is lost.
type lossyStore struct {
	account.SessionStore
	account.RevocationStore
	lose bool
}

func (s *lossyStore) lost(err error) error {
	if s.lose && err == nil {
		return errStorage
	}
	return err
}

func (s *lossyStore) RotateRefreshToken(ctx context.Context, hash []byte, change func(*account.RefreshToken, *account.Session, *account.Effects) (*account.RefreshToken, error)) error {
	return s.lost(s.SessionStore.RotateRefreshToken(ctx, hash, change))
}

func (s *lossyStore) RevokeSessions(ctx context.Context, revocation account.SessionRevocation, events []account.Event) (int, error) {
	revoked, err := s.SessionStore.RevokeSessions(ctx, revocation, events)
	return revoked, s.lost(err)
}

func (s *lossyStore) Revoke(ctx context.Context, revocation account.Revocation, events []account.Event) error {
	return s.lost(s.RevocationStore.Revoke(ctx, revocation, events))
}

// lossy is the node's sessions and revocations over a store that loses answers.
func (n *node) lossy() (*account.Sessions, *account.Revocations) {
	n.r.t.Helper()
	store := &lossyStore{n.store, n.store, true}
	revocations, err := account.OpenRevocations(n.r.t.Context(), store, account.RevocationOptions{Now: n.r.clock.Now})
	n.r.must(err)
	return account.NewSessions(store, account.SessionOptions{Revocations: revocations, Now: n.r.clock.Now}), revocations
}

func TestARotationWhoseAnswerIsLostCanBeRetried(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, first := n.begin(carol.ID)
	sessions, _ := n.lossy()
	presented, err := sessions.Present(t.Context(), first)
	r.must(err)
	if next, err := presented.Rotate(t.Context(), n.rotation()); !errors.Is(err, errStorage) || next != "" {
		t.Fatalf("%v, and a token is handed out: %v", err, next != "")
	}
	second := n.mustRefresh(first)
	if again := n.mustRefresh(first); again != second {
		t.Error("two successors")
	}
	n.mustRefresh(second)
	n.revoked(false, "", session.ID, "afterwards")
}

func TestARevocationWhoseAnswerIsLostHolds(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	revoked, _ := n.begin(carol.ID)
	reused, first := n.begin(carol.ID)
	n.mustRefresh(first)
	r.clock.advance(grace)
	sessions, revocations := n.lossy()
	for _, tc := range []struct {
		name           string
		revoke         func() error
		token, session string
	}{
		{"a token", func() error { return revocations.RevokeToken(t.Context(), "jti", r.clock.Now().Add(access)) }, "jti", ""},
		{"a session", func() error { return sessions.Revoke(t.Context(), revoked.ID, "test") }, "", revoked.ID},
		{"a reuse", func() error { _, err := sessions.Present(t.Context(), first); return err }, "", reused.ID},
	} {
		if err := tc.revoke(); !errors.Is(err, errStorage) || errors.Is(err, account.ErrRefreshReused) {
			t.Errorf("%s: %v, want the store's error", tc.name, err)
		}
		if found, err := revocations.Revoked(t.Context(), tc.token, tc.session); err != nil || !found {
			t.Errorf("%s: revoked %v, %v", tc.name, found, err)
		}
	}
}

// TestRevokingRacesWithRefreshing: once a revocation is answered no refresh of the
// session succeeds, in whatever process.
func TestRevokingRacesWithRefreshing(t *testing.T) {
	r := newRig(t)
	n, other, carol := r.node(), r.node(), r.carol()
	for range 10 {
		session, token := n.begin(carol.ID)
		started, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for k := 0; ; k++ {
				next, err := other.refresh(t.Context(), token)
				if k == 2 {
					close(started)
				}
				if err != nil {
					ended <- err
					return
				}
				token = next
			}
		}()
		<-started
		r.must(n.sessions.Revoke(t.Context(), session.ID, "test"))
		answered := r.dump(t)["refresh_tokens"]
		if err := <-ended; !errors.Is(err, account.ErrRefreshInvalid) {
			t.Errorf("the refresh ends with %v", err)
		}
		if r.dump(t)["refresh_tokens"] != answered {
			t.Error("a token was rotated after the revocation was answered")
		}
		n.revoked(true, "", session.ID, "afterwards")
	}
}
