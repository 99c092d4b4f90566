// Package storetest is the suite that every store must pass, whatever database
// is behind it.
//
// A store's own test calls [Run] with a function that makes fresh databases.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// Store is everything that a store implements.
type Store interface {
	account.AuthenticatorStore
	account.ClientStore
	account.SessionStore
	account.RevocationStore
	token.KeyStore
	Setting(ctx context.Context, name string) (string, error)
	SetSetting(ctx context.Context, name, value string) error
	EnsureSetting(ctx context.Context, name, value string) (string, error)
	Changed(ctx context.Context) (bool, error)
	AccountChanges(ctx context.Context) (int64, error)
	Close() error
}

// Open opens one database; every call is one more handle to it, as another
// process would have. The suite closes each.
type Open func(t *testing.T) Store

// Run runs the suite. fresh makes an empty database.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	cases := []struct {
		name string
		test func(t *testing.T, open Open)
	}{
		{"accounts are kept whole", accountsAreKeptWhole},
		{"accounts are found by id and by identity", accountsAreFound},
		{"accounts are listed by page", accountsAreListedByPage},
		{"a batch with a conflict inserts nothing", conflictInsertsNothing},
		{"an update is one transaction", updateIsOneTransaction},
		{"an update moves the names", updateMovesNames},
		{"updates at once lose nothing", updatesAtOnceLoseNothing},
		{"removal frees the names", removalFreesNames},
		{"account changes are counted", accountChangesAreCounted},
		{"failures are counted and forgotten", failuresAreCounted},
		{"failures at once are all counted", failuresAtOnceAreCounted},
		{"success forgets one count and marks another", successForgets},
		{"purging leaves what is young", purgingLeavesTheYoung},
		{"changes of keys are atomic", keyChangesAreAtomic},
		{"clients are kept whole", clientsAreKeptWhole},
		{"clients are changed and removed", clientsAreChanged},
		{"client changes are counted", clientChangesAreCounted},
		{"assertions are used once", assertionsAreUsedOnce},
		{"sessions are kept whole", sessionsAreKeptWhole},
		{"logins are checked in their transaction", loginsAreCheckedInTheirTransaction},
		{"tokens survive re-opening", tokensSurvive},
		{"sessions are listed", sessionsAreListed},
		{"a rotation is one transaction", rotationIsOneTransaction},
		{"no session has two live tokens", twoLiveTokensAreImpossible},
		{"rotations at once have one successor", rotationsAtOnceHaveOneSuccessor},
		{"sessions are revoked, and the gate hears of it", revocationOfSessions},
		{"successors are erased after their time", successorsAreErased},
		{"sessions that have ended are purged", endedSessionsArePurged},
		{"revocations are kept until they expire", revocationsAreKept},
		{"revocations are never missed", revocationsAreNeverMissed},
		{"events are listed by query", eventsAreListed},
		{"old events are purged", eventsArePurged},
		{"no change without its event", eventsBelongToTheirChange},
		{"keys are kept whole", keysAreKeptWhole},
		{"a change of keys that fails changes nothing", failedKeyChangeChangesNothing},
		{"a change of keys is audited", keyChangesAreAudited},
		{"settings are kept", settingsAreKept},
		{"everything survives re-opening", everythingSurvives},
		{"changes are noticed", changesAreNoticed},
		{"a cancelled context changes nothing", cancelledChangesNothing},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, fresh(t)) })
	}
}

// opened opens a handle and closes it at the test's end.
func opened(t *testing.T, open Open) Store {
	t.Helper()
	store := open(t)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return store
}

// noon is a moment that a store keeps exactly.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
