package account_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func TestRefreshTokensAreRotated(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, first := n.begin(carol.ID)
	if !strings.HasPrefix(first, "sdr_") || len(first) < 4+43 {
		t.Errorf("the token is %q", first)
	}
	r.clock.advance(time.Hour)
	second := n.mustRefresh(first)
	if second == first {
		t.Fatal("the successor is the token itself")
	}
	got, err := n.sessions.Find(t.Context(), session.ID)
	r.must(err)
	now := r.clock.Now()
	if !got.LastUsedAt.Equal(now) || !got.IdleExpiresAt.Equal(now.Add(idle)) || !got.ExpiresAt.Equal(session.CreatedAt.Add(absolute)) || !got.AccessExpiresAt.Equal(now.Add(access)) {
		t.Errorf("after the refresh: %+v", got)
	}
	if slices.Compare(got.Scope, []string{"a"}) != 0 || got.AccountID != carol.ID || got.ClientIP != "192.0.2.1" {
		t.Errorf("what the login was is lost: %+v", got)
	}
	n.mustRefresh(second)
	if got := n.actions(account.EventQuery{Actions: []string{account.TokenIssued, account.TokenRefreshed}}); !slices.Equal(got, []string{"token.refreshed", "token.refreshed", "token.issued"}) {
		t.Errorf("the log tells of %v", got)
	}
	for table, rows := range r.dump(t) {
		for _, token := range []string{first, second} {
			if strings.Contains(rows, token) || strings.Contains(rows, token[4:]) {
				t.Errorf("table %s holds a refresh token in clear", table)
			}
		}
	}
}

func TestARetryWithinTheGraceGetsTheSameSuccessor(t *testing.T) {
	r := newRig(t)
	n, other, carol := r.node(), r.node(), r.carol()
	session, first := n.begin(carol.ID)
	second := n.mustRefresh(first)
	r.clock.advance(grace - time.Microsecond)
	presented, err := other.sessions.Present(t.Context(), first)
	r.must(err)
	if !presented.Retry {
		t.Error("it is not told that this is a retry")
	}
	if again, err := presented.Rotate(t.Context(), other.rotation()); err != nil || again != second {
		t.Errorf("the retry, in another process, got another successor (%v)", err)
	}
	// The access token that a retry gets is revoked with the session, however late it
	// was made.
	if got, err := n.sessions.Find(t.Context(), session.ID); err != nil || !got.AccessExpiresAt.Equal(r.clock.Now().Add(access)) {
		t.Errorf("the session does not know when its last access token expires: %+v, %v", got, err)
	}
	n.mustRefresh(second)
	if again := n.mustRefresh(first); again != second {
		t.Error("a retry got another successor once that was used itself")
	}
}

func TestReuseAfterTheGraceRevokesTheFamily(t *testing.T) {
	cases := []struct {
		name   string
		change func(*account.SessionOptions)
		late   time.Duration
		erase  bool
	}{
		{"at the end of the grace", nil, grace, false},
		{"after the successor was erased", nil, grace + time.Second, true},
		{"at once, without a grace", func(o *account.SessionOptions) { o.Grace = -1 }, 0, false},
		{"after a grace of one's own", func(o *account.SessionOptions) { o.Grace = time.Minute }, time.Minute, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			var change []func(*account.SessionOptions)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			n, carol := r.node(change...), r.carol()
			other := r.node(change...)
			session, first := n.begin(carol.ID)
			spared, _ := n.begin(carol.ID)
			second := n.mustRefresh(first)
			r.clock.advance(tc.late)
			if tc.erase {
				r.must(n.sessions.Erase(t.Context()))
			}
			if _, err := n.sessions.Present(t.Context(), first); !errors.Is(err, account.ErrRefreshReused) {
				t.Errorf("presenting it again: %v", err)
			}
			if _, err := n.refresh(t.Context(), second); !errors.Is(err, account.ErrRefreshInvalid) {
				t.Errorf("the successor is still good: %v", err)
			}
			if _, err := n.sessions.Present(t.Context(), first); !errors.Is(err, account.ErrRefreshInvalid) {
				t.Errorf("a third time: %v", err)
			}
			n.revoked(true, "jti", session.ID, "at once")
			n.revoked(false, "jti", spared.ID, "another session of the account")
			other.revoked(false, "jti", session.ID, "before the other process has looked")
			r.must(other.revocations.Reload(t.Context()))
			other.revoked(true, "jti", session.ID, "when the other process has looked")
			events, err := n.events.List(t.Context(), account.EventQuery{Actions: []string{account.TokenRefreshReused}})
			if err != nil || len(events) != 1 || events[0].TargetID != session.ID || events[0].AccountID != carol.ID || events[0].Outcome != account.Failure {
				t.Errorf("the log tells of %v, %v", events, err)
			}
		})
	}
}

func TestRefreshTokensThatOpenNothing(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	cases := []struct {
		name string
		make func() string
	}{
		{"empty", func() string { return "" }},
		{"unknown", func() string { return "sdr_" + strings.Repeat("A", 43) }},
		{"a megabyte", func() string { return "sdr_" + strings.Repeat("A", 1<<20) }},
		{"SQL", func() string { return "sdr_' OR '1'='1" }},
		{"of another spelling", func() string { _, token := n.begin(carol.ID); return token[:len(token)-1] + "=" }},
		{"without its prefix", func() string { _, token := n.begin(carol.ID); return token[4:] }},
		{"of a session that is revoked", func() string {
			session, token := n.begin(carol.ID)
			r.must(n.sessions.Revoke(t.Context(), session.ID, "test"))
			return token
		}},
		{"of a session that lay idle", func() string {
			_, token := n.begin(carol.ID)
			r.clock.advance(idle)
			return token
		}},
		{"of a session that is over, however it was used", func() string {
			_, token := n.begin(carol.ID, func(s *account.NewSession) { s.Absolute = 2 * time.Hour })
			r.clock.advance(time.Hour)
			token = n.mustRefresh(token)
			r.clock.advance(time.Hour)
			return token
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			token := tc.make()
			before := r.dump(t)
			if _, err := n.sessions.Present(t.Context(), token); !errors.Is(err, account.ErrRefreshInvalid) {
				t.Errorf("got %v, want ErrRefreshInvalid", err)
			}
			if session, err := n.sessions.Peek(t.Context(), token); err != nil || session != nil {
				t.Errorf("peeking: %v, %v", session, err)
			}
			if after := r.dump(t); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Error("it has changed something")
			}
		})
	}
}

// TestWhatHappensBetweenPresentingAndRotating: the policy is asked in between.
func TestWhatHappensBetweenPresentingAndRotating(t *testing.T) {
	cases := []struct {
		name string
		do   func(n *node, session account.Session, token string) error
		want error
	}{
		{"revoked", func(n *node, s account.Session, _ string) error {
			return n.sessions.Revoke(n.r.t.Context(), s.ID, "test")
		}, account.ErrRefreshInvalid},
		{"the password was changed", func(n *node, s account.Session, _ string) error {
			return n.directory.SetPassword(n.r.t.Context(), s.AccountID, "another password")
		}, account.ErrRefreshInvalid},
		{"the account was removed", func(n *node, s account.Session, _ string) error {
			return n.directory.Remove(n.r.t.Context(), s.AccountID)
		}, account.ErrRefreshInvalid},
		{"idle", func(n *node, _ account.Session, _ string) error { n.r.clock.advance(idle); return nil }, account.ErrRefreshInvalid},
		{"rotated long ago", func(n *node, _ account.Session, token string) error {
			_, err := n.refresh(n.r.t.Context(), token)
			n.r.clock.advance(grace)
			return err
		}, account.ErrRefreshReused},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n, other, carol := r.node(), r.node(), r.carol()
			session, token := n.begin(carol.ID)
			presented, err := n.sessions.Present(t.Context(), token)
			r.must(err)
			r.must(tc.do(other, session, token))
			if next, err := presented.Rotate(t.Context(), n.rotation()); !errors.Is(err, tc.want) || next != "" {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if errors.Is(tc.want, account.ErrRefreshReused) {
				n.revoked(true, "", session.ID, "a reuse that was noticed late")
			}
		})
	}
}

func TestAHundredRefreshesAtOnceHaveOneSuccessor(t *testing.T) {
	r := newRig(t)
	nodes, carol := []*node{r.node(), r.node()}, r.carol()
	session, token := nodes[0].begin(carol.ID)
	answers := make([]string, 100)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			var err error
			if answers[i], err = nodes[i%2].refresh(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i, answer := range answers {
		if answer == "" || answer != answers[0] {
			t.Fatalf("answer %d is another successor", i)
		}
	}
	if tokens := strings.Count(r.dump(t)["refresh_tokens"], "session_id="); tokens != 2 {
		t.Errorf("%d tokens are stored, want the one presented and its successor", tokens)
	}
	if _, err := nodes[1].refresh(t.Context(), answers[0]); err != nil {
		t.Errorf("the successor: %v", err)
	}
	nodes[0].revoked(false, "", session.ID, "afterwards")
}

func TestASessionWithoutRefreshEndsWithItsAccessToken(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, token := n.begin(carol.ID, func(s *account.NewSession) { s.WithRefresh = false })
	if token != "" || !session.ExpiresAt.Equal(r.clock.Now().Add(access)) {
		t.Errorf("%q, %+v", token, session)
	}
	r.clock.advance(access)
	if live, err := n.sessions.List(t.Context(), carol.ID); err != nil || len(live) != 0 {
		t.Errorf("%v, %v", live, err)
	}
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	dora := r.create(account.Account{Username: "dora"}, "secretdora")
	var ids []string
	for i := range 3 {
		session, _ := n.begin(carol.ID, func(s *account.NewSession) {
			s.UserAgent = fmt.Sprint("agent\n\x1b[31m ", i, strings.Repeat("ü", 300))
		})
		ids = append(ids, session.ID)
		r.clock.advance(time.Minute)
	}
	hers, _ := n.begin(dora.ID)
	list, err := n.sessions.List(t.Context(), carol.ID)
	r.must(err)
	if len(list) != 3 || list[0].ID != ids[2] || list[2].ID != ids[0] {
		t.Errorf("%v", list)
	}
	if agent := list[2].UserAgent; len(agent) > 200 || strings.ContainsAny(agent, "\n\x1b") || !strings.HasPrefix(agent, "agent") {
		t.Errorf("the user agent is %q", agent)
	}
	ctx := account.WithActor(t.Context(), account.Actor{Kind: account.ActorOperator, ID: "ops", ClientIP: "192.0.2.7", RequestID: "req"})
	if revoked, err := n.sessions.RevokeAccount(ctx, carol.ID, ids[1], "test"); err != nil || revoked != 2 {
		t.Errorf("%d, %v", revoked, err)
	}
	for i, id := range ids {
		n.revoked(i != 1, "", id, "after all but one were revoked")
	}
	n.revoked(false, "", hers.ID, "another account's")
	events, err := n.events.List(t.Context(), account.EventQuery{Actions: []string{account.SessionRevoked}})
	if err != nil || len(events) != 1 || events[0].ActorKind != account.ActorOperator || events[0].ActorID != "ops" || events[0].RequestID != "req" || events[0].AccountID != carol.ID {
		t.Errorf("%+v, %v", events, err)
	}
	for what, id := range map[string]string{"again": ids[0], "an unknown one": "unknown"} {
		if err := n.sessions.Revoke(t.Context(), id, "test"); !errors.Is(err, account.ErrSessionNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSessionsArePurgedADayAfterTheirEnd(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, _ := n.begin(carol.ID)
	r.clock.advance(idle + 24*time.Hour)
	r.must(n.sessions.Purge(t.Context()))
	if _, err := n.sessions.Find(t.Context(), session.ID); err != nil {
		t.Errorf("purged too early: %v", err)
	}
	r.clock.advance(time.Second)
	r.must(n.sessions.Purge(t.Context()))
	if _, err := n.sessions.Find(t.Context(), session.ID); !errors.Is(err, account.ErrSessionNotFound) {
		t.Errorf("not purged: %v", err)
	}
}

func TestNobodyLogsInToAnAccountThatIsGone(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	r.must(n.directory.Remove(t.Context(), carol.ID))
	id, err := n.sessions.NewID()
	r.must(err)
	if _, _, err := n.sessions.Begin(t.Context(), account.NewSession{ID: id, AccountID: carol.ID, AccessExpiry: r.clock.Now().Add(access)}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
