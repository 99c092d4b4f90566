package storetest

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func marks(t *testing.T, store Store, keys ...string) map[string]account.LoginMark {
	t.Helper()
	found, err := store.LoginMarks(t.Context(), keys)
	must(t, err)
	return found
}

func failuresAreCounted(t *testing.T, open Open) {
	store := opened(t, open)
	day := 24 * time.Hour
	must(t, store.RecordFailure(t.Context(), []string{"a", "b"}, noon, noon.Add(-day)))
	must(t, store.RecordFailure(t.Context(), []string{"a"}, noon.Add(time.Second), noon.Add(-day)))
	want := map[string]account.LoginMark{"a": {Failures: 2, At: noon.Add(time.Second)}, "b": {Failures: 1, At: noon}}
	if got := marks(t, store, "a", "b", "c"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	later := noon.Add(2 * day)
	must(t, store.RecordFailure(t.Context(), []string{"a"}, later, later.Add(-day)))
	if got := marks(t, store, "a")["a"]; got != (account.LoginMark{Failures: 1, At: later}) {
		t.Errorf("after a day got %v, want to start again", got)
	}
	if got := marks(t, store); len(got) != 0 {
		t.Errorf("no keys gave %v", got)
	}
}

func failuresAtOnceAreCounted(t *testing.T, open Open) {
	first, second := opened(t, open), opened(t, open)
	var wait sync.WaitGroup
	for i := range 20 {
		store := first
		if i%2 == 1 {
			store = second
		}
		wait.Go(func() {
			if err := store.RecordFailure(t.Context(), []string{"a", "b"}, noon, noon.Add(-time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := marks(t, first, "a")["a"].Failures; got != 20 {
		t.Errorf("counted %d, want 20", got)
	}
}

func successForgets(t *testing.T, open Open) {
	store := opened(t, open)
	must(t, store.RecordFailure(t.Context(), []string{"pair", "wide"}, noon, noon.Add(-time.Hour)))
	must(t, store.RecordSuccess(t.Context(), "pair", "known", noon))
	must(t, store.RecordSuccess(t.Context(), "pair", "known", noon.Add(time.Minute)))
	want := map[string]account.LoginMark{"wide": {Failures: 1, At: noon}, "known": {At: noon.Add(time.Minute)}}
	if got := marks(t, store, "pair", "wide", "known"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func purgingLeavesTheYoung(t *testing.T, open Open) {
	store := opened(t, open)
	for i, key := range []string{"old", "young"} {
		at := noon.Add(time.Duration(i) * time.Hour)
		must(t, store.RecordFailure(t.Context(), []string{key + " failure"}, at, at.Add(-time.Hour)))
		must(t, store.RecordSuccess(t.Context(), "", key+" success", at))
	}
	keys := []string{"old failure", "young failure", "old success", "young success"}
	half := noon.Add(30 * time.Minute)
	must(t, store.PurgeLoginMarks(t.Context(), half, noon.Add(-time.Hour)))
	if got := marks(t, store, keys...); len(got) != 3 || got["old failure"].Failures != 0 {
		t.Errorf("after purging failures: %v", got)
	}
	must(t, store.PurgeLoginMarks(t.Context(), noon, half))
	if got := marks(t, store, keys...); len(got) != 2 || got["young failure"].Failures != 1 {
		t.Errorf("after purging successes: %v", got)
	}
}
