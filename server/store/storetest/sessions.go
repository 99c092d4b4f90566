package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// login is a session of the first person's with everything set.
func login(n int) account.Session {
	begun := noon.Add(time.Duration(n) * time.Minute)
	return account.Session{
		ID: fmt.Sprintf("01J1111111111111111111%04d", n), AccountID: person(1).ID, ClientID: "a",
		Scope: []string{"a:b", "c"}, Audience: []string{"https://api.example.com"}, AMR: []string{"pwd"},
		CreatedAt: begun, LastUsedAt: begun, ExpiresAt: begun.Add(30 * time.Hour), IdleExpiresAt: begun.Add(20 * time.Hour), AccessExpiresAt: begun.Add(15 * time.Minute),
		ClientIP: "192.0.2.1", UserAgent: "curl/8 \"ü\"",
	}
}

// refresh is the k-th refresh token of a login.
func refresh(n, k int) *account.RefreshToken {
	hash := sha256.Sum256(fmt.Appendf(nil, "token %d %d", n, k))
	return &account.RefreshToken{Hash: hash[:], SessionID: login(n).ID, CreatedAt: noon}
}

// rotate exchanges the k-th refresh token of a login for another.
func rotate(t *testing.T, store Store, n, k, next int, events ...account.Event) error {
	t.Helper()
	return store.RotateRefreshToken(t.Context(), refresh(n, k).Hash, func(token *account.RefreshToken, session *account.Session, effects *account.Effects) (*account.RefreshToken, error) {
		if !token.UsedAt.IsZero() {
			return nil, account.ErrRefreshReused
		}
		token.UsedAt, token.Successor = noon.Add(time.Hour), []byte("sealed")
		session.LastUsedAt, session.IdleExpiresAt = noon.Add(time.Hour), noon.Add(21*time.Hour)
		session.AccessExpiresAt = noon.Add(75 * time.Minute)
		effects.Events = events
		return refresh(n, next), nil
	})
}

// agree has a login begin whatever has become of its account and client.
func agree(*account.Account, *account.Client) error { return nil }

// begun makes a store in which the first person has logged in.
func begun(t *testing.T, open Open, logins int) Store {
	t.Helper()
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	for n := 1; n <= logins; n++ {
		must(t, store.BeginSession(t.Context(), login(n), refresh(n, 1), agree, account.Effects{}))
	}
	return store
}

func sessionsAreKeptWhole(t *testing.T, open Open) {
	store := begun(t, open, 1)
	must(t, store.BeginSession(t.Context(), login(2), nil, agree, account.Effects{}))
	token, session, err := store.RefreshToken(t.Context(), refresh(1, 1).Hash)
	must(t, err)
	if want := login(1); !reflect.DeepEqual(session, want) {
		t.Errorf("got  %#v\nwant %#v", session, want)
	}
	if want := *refresh(1, 1); !reflect.DeepEqual(token, want) {
		t.Errorf("got  %#v\nwant %#v", token, want)
	}
	if got, err := store.Session(t.Context(), login(2).ID); err != nil || !reflect.DeepEqual(got, login(2)) {
		t.Errorf("got  %#v, %v", got, err)
	}
	if _, err := store.Session(t.Context(), "unknown"); !errors.Is(err, account.ErrSessionNotFound) {
		t.Errorf("an unknown session: %v", err)
	}
	if _, _, err := store.RefreshToken(t.Context(), refresh(2, 1).Hash); !errors.Is(err, account.ErrSessionNotFound) {
		t.Errorf("an unknown token: %v", err)
	}
	orphan := login(3)
	orphan.AccountID = person(9).ID
	if err := store.BeginSession(t.Context(), orphan, refresh(3, 1), agree, account.Effects{}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a session of nobody: %v", err)
	}
}

func loginsAreCheckedInTheirTransaction(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	must(t, store.InsertClient(t.Context(), program("a"), account.Effects{}))
	failure := errors.New("no")
	err := store.BeginSession(t.Context(), login(1), refresh(1, 1), func(a *account.Account, c *account.Client) error {
		if !reflect.DeepEqual(*a, person(1)) || c == nil || !reflect.DeepEqual(*c, program("a")) {
			t.Errorf("asked about %#v and %#v", a, c)
		}
		return failure
	}, account.Effects{Events: []account.Event{event(1)}})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want the error of check", err)
	}
	if _, err := store.Session(t.Context(), login(1).ID); !errors.Is(err, account.ErrSessionNotFound) {
		t.Errorf("it was stored all the same (%v)", err)
	}
	wantEvents(t, store)
	must(t, store.RemoveClient(t.Context(), "a", account.Effects{}))
	must(t, store.BeginSession(t.Context(), login(1), refresh(1, 1), func(_ *account.Account, c *account.Client) error {
		if c != nil {
			t.Errorf("a client that is gone is %#v", c)
		}
		return nil
	}, account.Effects{Events: []account.Event{event(1)}}))
	wantEvents(t, store, event(1))
	if err := store.BeginSession(t.Context(), login(1), refresh(1, 2), agree, account.Effects{}); err == nil {
		t.Error("two sessions of one id")
	}
}

// tokensSurvive re-opens a database with all that this package's suites write.
func tokensSurvive(t *testing.T, open Open) {
	store := open(t)
	must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
	must(t, store.InsertClient(t.Context(), program("a"), account.Effects{Events: []account.Event{event(1)}}))
	must(t, store.BeginSession(t.Context(), login(1), refresh(1, 1), agree, account.Effects{}))
	must(t, rotate(t, store, 1, 1, 2, event(2)))
	_, err := store.RevokeSessions(t.Context(), account.SessionRevocation{ClientID: "a", Reason: "reason", At: noon}, []account.Event{event(3)})
	must(t, err)
	must(t, store.Revoke(t.Context(), revocation("jti", time.Hour), nil))
	must(t, store.UseAssertion(t.Context(), "a", "jti", noon.Add(time.Hour), noon))
	before := everything(t, store)
	must(t, store.Close())

	store = opened(t, open)
	if after := everything(t, store); !reflect.DeepEqual(after, before) {
		t.Errorf("got  %v\nwant %v", after, before)
	}
	if next, session, err := store.RefreshToken(t.Context(), refresh(1, 2).Hash); err != nil || !next.UsedAt.IsZero() || session.RevokedReason != "reason" {
		t.Errorf("the successor: %+v of %+v, %v", next, session, err)
	}
	if err := store.UseAssertion(t.Context(), "a", "jti", noon.Add(time.Hour), noon); !errors.Is(err, account.ErrAssertionUsed) {
		t.Errorf("the assertion: %v", err)
	}
	if revoked, err := store.Revoked(t.Context(), "", login(1).ID); err != nil || !revoked {
		t.Errorf("the session at the gate: %v, %v", revoked, err)
	}
}

func sessionsAreListed(t *testing.T, open Open) {
	store := begun(t, open, 3)
	_, err := store.RevokeSessions(t.Context(), account.SessionRevocation{SessionID: login(2).ID, At: noon}, nil)
	must(t, err)
	cases := []struct {
		name  string
		query account.SessionQuery
		want  []int
	}{
		{"all, the youngest first", account.SessionQuery{}, []int{3, 2, 1}},
		{"of an account", account.SessionQuery{AccountID: person(1).ID}, []int{3, 2, 1}},
		{"of another account", account.SessionQuery{AccountID: person(2).ID}, nil},
		{"of another client", account.SessionQuery{ClientID: "b"}, nil},
		{"live ones", account.SessionQuery{AccountID: person(1).ID, LiveAt: noon.Add(time.Hour)}, []int{3, 1}},
		{"live ones when one has lain idle", account.SessionQuery{LiveAt: login(1).IdleExpiresAt}, []int{3}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := store.Sessions(t.Context(), tc.query)
			must(t, err)
			var ids, want []string
			for _, session := range got {
				ids = append(ids, session.ID)
			}
			for _, n := range tc.want {
				want = append(want, login(n).ID)
			}
			if !reflect.DeepEqual(ids, want) {
				t.Errorf("got %v, want %v", ids, want)
			}
		})
	}
}

func rotationIsOneTransaction(t *testing.T, open Open) {
	store := begun(t, open, 1)
	before := everything(t, store)
	failure := errors.New("no")
	err := store.RotateRefreshToken(t.Context(), refresh(1, 1).Hash, func(token *account.RefreshToken, session *account.Session, effects *account.Effects) (*account.RefreshToken, error) {
		token.UsedAt, session.LastUsedAt, effects.Events = noon.Add(time.Hour), noon.Add(time.Hour), []account.Event{event(1)}
		return refresh(1, 2), failure
	})
	if after := everything(t, store); !errors.Is(err, failure) || !reflect.DeepEqual(after, before) {
		t.Errorf("%v, and %v\nwas %v", err, after, before)
	}
	must(t, rotate(t, store, 1, 1, 2, event(1)))
	used, session, err := store.RefreshToken(t.Context(), refresh(1, 1).Hash)
	must(t, err)
	if !used.UsedAt.Equal(noon.Add(time.Hour)) || string(used.Successor) != "sealed" || !session.IdleExpiresAt.Equal(noon.Add(21*time.Hour)) ||
		!session.AccessExpiresAt.Equal(noon.Add(75*time.Minute)) {
		t.Errorf("%+v of %+v", used, session)
	}
	if next, _, err := store.RefreshToken(t.Context(), refresh(1, 2).Hash); err != nil || !next.UsedAt.IsZero() || next.SessionID != login(1).ID {
		t.Errorf("the successor: %+v, %v", next, err)
	}
	wantEvents(t, store, event(1))
	if err := rotate(t, store, 7, 7, 8); !errors.Is(err, account.ErrSessionNotFound) {
		t.Errorf("an unknown token: %v", err)
	}
}

func twoLiveTokensAreImpossible(t *testing.T, open Open) {
	store := begun(t, open, 1)
	err := store.RotateRefreshToken(t.Context(), refresh(1, 1).Hash, func(*account.RefreshToken, *account.Session, *account.Effects) (*account.RefreshToken, error) {
		return refresh(1, 2), nil // and the old one is not used up
	})
	if err == nil {
		t.Error("a session has two unused tokens")
	}
}

func rotationsAtOnceHaveOneSuccessor(t *testing.T, open Open) {
	first, second := begun(t, open, 1), opened(t, open)
	var wait sync.WaitGroup
	errs := make(chan error, 40)
	for i := range 40 {
		store := first
		if i%2 == 1 {
			store = second
		}
		wait.Go(func() { errs <- rotate(t, store, 1, 1, 100+i) })
	}
	wait.Wait()
	close(errs)
	good := 0
	for err := range errs {
		switch {
		case err == nil:
			good++
		case !errors.Is(err, account.ErrRefreshReused):
			t.Error(err)
		}
	}
	live := 0
	for i := range 40 {
		if _, _, err := first.RefreshToken(t.Context(), refresh(1, 100+i).Hash); err == nil {
			live++
		}
	}
	if good != 1 || live != 1 {
		t.Errorf("%d rotations succeeded and left %d successors, want 1 of each", good, live)
	}
}

func revocationOfSessions(t *testing.T, open Open) {
	all := []int{1, 2, 3, 4}
	cases := []struct {
		name string
		by   account.SessionRevocation
		want []int // which are revoked
	}{
		{"one", account.SessionRevocation{SessionID: login(2).ID}, []int{2}},
		{"an account's", account.SessionRevocation{AccountID: person(1).ID}, all},
		{"an account's but one", account.SessionRevocation{AccountID: person(1).ID, Except: login(3).ID}, []int{1, 2, 4}},
		{"a client's", account.SessionRevocation{ClientID: "b"}, []int{4}},
		{"one, but of another account", account.SessionRevocation{SessionID: login(2).ID, AccountID: person(2).ID}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			// The open function is of one database, so each case has its own accounts'
			// sessions purged first.
			store := opened(t, open)
			must(t, store.PurgeSessions(t.Context(), noon.Add(1000*time.Hour)))
			must(t, store.PurgeRevocations(t.Context(), noon.Add(1000*time.Hour)))
			if _, err := store.Account(t.Context(), person(1).ID); err != nil {
				must(t, store.InsertAccounts(t.Context(), []account.Account{person(1)}))
			}
			for _, n := range all {
				session := login(n)
				if n == 4 {
					session.ClientID = "b"
				}
				must(t, store.BeginSession(t.Context(), session, refresh(n, 1), agree, account.Effects{}))
			}
			tc.by.Reason, tc.by.At = "because", noon.Add(time.Minute)
			if n, err := store.RevokeSessions(t.Context(), tc.by, nil); err != nil || n != len(tc.want) {
				t.Errorf("%d, %v", n, err)
			}
			rows, err := store.Revocations(t.Context(), 0, noon)
			must(t, err)
			if len(rows) != len(tc.want) {
				t.Errorf("the gate hears of %v", rows)
			}
			revoked := 0
			for _, n := range tc.want {
				session, err := store.Session(t.Context(), login(n).ID)
				must(t, err)
				if !session.RevokedAt.Equal(noon.Add(time.Minute)) || session.RevokedReason != "because" {
					t.Errorf("session %d: %+v", n, session)
				}
				if found, err := store.Revoked(t.Context(), "", session.ID); err != nil || !found {
					t.Errorf("session %d at the gate: %v, %v", n, found, err)
				}
				for _, row := range rows {
					if row.ID == session.ID && row.Kind == account.RevokedSession && !row.ExpiresAt.Before(session.AccessExpiresAt) {
						revoked++
					}
				}
			}
			if revoked != len(tc.want) {
				t.Errorf("of %d rows only %d outlast the access tokens", len(rows), revoked)
			}
			// Again it changes nothing, and has no effect.
			tc.by.Reason = "another"
			if n, err := store.RevokeSessions(t.Context(), tc.by, []account.Event{event(1)}); err != nil || n != 0 {
				t.Errorf("again: %d, %v", n, err)
			}
			wantEvents(t, store)
		})
	}
	t.Run("nobody's", func(t *testing.T) {
		if _, err := opened(t, open).RevokeSessions(t.Context(), account.SessionRevocation{Except: "x"}, nil); err == nil {
			t.Error("a revocation that does not say whose was carried out")
		}
	})
}

func successorsAreErased(t *testing.T, open Open) {
	store := begun(t, open, 2)
	must(t, rotate(t, store, 1, 1, 2))
	must(t, store.EraseSuccessors(t.Context(), noon.Add(time.Hour)))
	if token, _, err := store.RefreshToken(t.Context(), refresh(1, 1).Hash); err != nil || token.Successor == nil {
		t.Errorf("erased too early: %+v, %v", token, err)
	}
	must(t, store.EraseSuccessors(t.Context(), noon.Add(time.Hour+time.Microsecond)))
	if token, _, err := store.RefreshToken(t.Context(), refresh(1, 1).Hash); err != nil || token.Successor != nil || token.UsedAt.IsZero() {
		t.Errorf("not erased: %+v, %v", token, err)
	}
	if _, _, err := store.RefreshToken(t.Context(), refresh(2, 1).Hash); err != nil {
		t.Errorf("another token: %v", err)
	}
}

func endedSessionsArePurged(t *testing.T, open Open) {
	store := begun(t, open, 2)
	_, err := store.RevokeSessions(t.Context(), account.SessionRevocation{SessionID: login(1).ID, At: noon.Add(time.Minute)}, nil)
	must(t, err)
	steps := []struct {
		name   string
		before time.Time
		left   int
	}{
		{"while access tokens may live", login(1).AccessExpiresAt, 2},
		{"a revoked one", login(1).AccessExpiresAt.Add(time.Microsecond), 1},
		{"a live one", login(2).IdleExpiresAt, 1},
		{"one that lay idle", login(2).IdleExpiresAt.Add(time.Microsecond), 0},
	}
	for _, step := range steps {
		must(t, store.PurgeSessions(t.Context(), step.before))
		sessions, err := store.Sessions(t.Context(), account.SessionQuery{})
		must(t, err)
		if len(sessions) != step.left {
			t.Errorf("%s: %d are left, want %d", step.name, len(sessions), step.left)
		}
	}
	if _, _, err := store.RefreshToken(t.Context(), refresh(1, 1).Hash); !errors.Is(err, account.ErrSessionNotFound) {
		t.Errorf("its token is left: %v", err)
	}
}
