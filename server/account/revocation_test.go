package account_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func TestARevokedTokenIsSeenAtOnceAndElsewhereAfterReload(t *testing.T) {
	r := newRig(t)
	n, other := r.node(), r.node()
	expiry := r.clock.Now().Add(access)
	event := account.Event{Action: account.TokenRevoked, TargetKind: "token", TargetID: "jti"}
	r.must(n.revocations.RevokeToken(t.Context(), "jti", expiry, event))
	n.revoked(true, "jti", "", "at once")
	n.revoked(true, "jti", "session", "whatever its session")
	n.revoked(false, "other", "jti", "a session of that name")
	other.revoked(false, "jti", "", "before the other has looked")
	r.must(other.revocations.Reload(t.Context()))
	other.revoked(true, "jti", "", "when it has looked")
	r.must(n.revocations.RevokeToken(t.Context(), "jti", expiry, event)) // again
	r.node().revoked(true, "jti", "", "in a process that starts")
	if got := n.actions(account.EventQuery{Actions: []string{account.TokenRevoked}}); len(got) != 2 {
		t.Errorf("the log tells of %v", got)
	}

	// It is kept as long as a verifier's leeway might let the token pass.
	r.clock.advance(access + account.RevocationMargin - time.Second)
	r.must(n.revocations.Purge(t.Context()))
	r.must(n.revocations.Reload(t.Context()))
	n.revoked(true, "jti", "", "while a leeway may cover it")
	r.node().revoked(true, "jti", "", "in a process that starts then")
	r.clock.advance(time.Minute)
	r.must(n.revocations.Reload(t.Context()))
	r.must(n.revocations.Purge(t.Context()))
	n.revoked(false, "jti", "", "when it can't be valid any more")
	// The clock may have been ahead: the store forgets later.
	if rows := r.dump(t)["revocations"]; rows == "" {
		t.Error("the store has forgotten already")
	}
	r.clock.advance(24 * time.Hour)
	r.must(n.revocations.Purge(t.Context()))
	if rows := r.dump(t)["revocations"]; rows != "" || n.revocations.Count() != 0 {
		t.Errorf("left over: %q, and %d in memory", rows, n.revocations.Count())
	}
}

func TestInDoubtTheStoreIsAsked(t *testing.T) {
	r := newRig(t)
	n, other := r.node(), r.node()
	r.must(other.revocations.RevokeToken(t.Context(), "jti", r.clock.Now().Add(access)))
	n.revoked(false, "jti", "", "without a doubt")
	n.revocations.Doubt()
	n.revoked(true, "jti", "", "in doubt")
	n.revoked(false, "another", "", "in doubt")
	r.must(n.store.Close())
	if err := n.revocations.Reload(t.Context()); err == nil {
		t.Error("a reload from a closed store succeeded")
	}
	if _, err := n.revocations.Revoked(t.Context(), "jti", ""); err == nil {
		t.Error("in doubt, and the store does not answer: no error")
	}
}

func TestAFailedReloadIsADoubt(t *testing.T) {
	r := newRig(t)
	n := r.node()
	r.must(n.revocations.RevokeToken(t.Context(), "known", r.clock.Now().Add(access)))
	r.must(n.store.Close())
	if err := n.revocations.Reload(t.Context()); err == nil {
		t.Fatal("a reload from a closed store succeeded")
	}
	if _, err := n.revocations.Revoked(t.Context(), "jti", ""); err == nil {
		t.Error("an unread revocation may be there, and no error says so")
	}
	n.revoked(true, "known", "", "what is known needs no store")
}

func TestAskingAllocatesNothing(t *testing.T) {
	r := newRig(t)
	n, carol := r.node(), r.carol()
	session, _ := n.begin(carol.ID)
	r.must(n.sessions.Revoke(t.Context(), session.ID, "test"))
	for i := range 100 {
		r.must(n.revocations.RevokeToken(t.Context(), fmt.Sprint("jti", i), r.clock.Now().Add(access)))
	}
	for _, tc := range []struct {
		name, token, session string
	}{{"neither", "x", "y"}, {"the token", "jti7", "y"}, {"the session", "x", session.ID}} {
		if allocations := testing.AllocsPerRun(1000, func() { _, _ = n.revocations.Revoked(t.Context(), tc.token, tc.session) }); allocations != 0 {
			t.Errorf("%s: %v allocations", tc.name, allocations)
		}
	}
}
