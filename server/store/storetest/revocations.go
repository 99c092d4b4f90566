package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func revocation(id string, lives time.Duration) account.Revocation {
	return account.Revocation{Kind: account.RevokedToken, ID: id, ExpiresAt: noon.Add(lives)}
}

func revocationsAreKept(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.Revoke(t.Context(), revocation("a", time.Hour), []account.Event{event(1)}))
	must(t, store.Revoke(t.Context(), revocation("b", 2*time.Hour), nil))
	must(t, store.Revoke(t.Context(), revocation("a", 3*time.Hour), []account.Event{event(2)})) // it stays as it was
	wantEvents(t, store, event(2), event(1))

	rows, err := store.Revocations(t.Context(), 0, noon)
	must(t, err)
	if len(rows) != 2 || rows[0].ID != "a" || rows[1].ID != "b" || rows[0].Seq >= rows[1].Seq || rows[0].Kind != account.RevokedToken || !rows[0].ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%v", rows)
	}
	if later, err := store.Revocations(t.Context(), rows[0].Seq, noon); err != nil || len(later) != 1 || later[0].ID != "b" {
		t.Errorf("after the first: %v, %v", later, err)
	}
	if living, err := store.Revocations(t.Context(), 0, noon.Add(time.Hour)); err != nil || len(living) != 1 || living[0].ID != "b" {
		t.Errorf("when the first has expired: %v, %v", living, err)
	}
	for _, tc := range []struct {
		token, session string
		want           bool
	}{{"a", "", true}, {"a", "x", true}, {"", "a", false}, {"x", "a", false}, {"", "", false}, {"x", "", false}} {
		if got, err := store.Revoked(t.Context(), tc.token, tc.session); err != nil || got != tc.want {
			t.Errorf("token %q, session %q: %v, %v", tc.token, tc.session, got, err)
		}
	}
	must(t, store.PurgeRevocations(t.Context(), noon.Add(time.Hour+time.Microsecond)))
	if left, err := store.Revocations(t.Context(), 0, time.Time{}); err != nil || len(left) != 1 || left[0].ID != "b" {
		t.Errorf("after purging: %v, %v", left, err)
	}
	// A number is never used again, or whoever has read up to it would miss the next.
	must(t, store.PurgeRevocations(t.Context(), noon.Add(10*time.Hour)))
	must(t, store.Revoke(t.Context(), revocation("c", time.Hour), nil))
	if next, err := store.Revocations(t.Context(), rows[1].Seq, noon); err != nil || len(next) != 1 {
		t.Errorf("after all were purged: %v, %v", next, err)
	}
}

// revocationsAreNeverMissed has readers that go by the number alone while two
// processes write.
func revocationsAreNeverMissed(t *testing.T, open Open) {
	const each = 25
	reading := opened(t, open)
	var writing sync.WaitGroup
	for w := range 2 {
		store := opened(t, open)
		writing.Go(func() {
			for n := range each {
				if err := store.Revoke(t.Context(), revocation(fmt.Sprint(w, "-", n), time.Hour), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	seen, last, over := map[string]bool{}, int64(0), false
	for !over {
		select {
		case <-done:
			over = true // and one more look
		default:
		}
		rows, err := reading.Revocations(t.Context(), last, noon)
		must(t, err)
		for _, row := range rows {
			seen[row.ID], last = true, row.Seq
		}
	}
	if len(seen) != 2*each {
		t.Errorf("saw %d of %d", len(seen), 2*each)
	}
}
