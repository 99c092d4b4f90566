package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// putKeys adds keys.
func putKeys(t *testing.T, store Store, keys ...token.Key) error {
	t.Helper()
	return store.ChangeKeys(t.Context(), func([]token.Key) (token.KeyChange, error) {
		return token.KeyChange{Put: keys}, nil
	})
}

// Of processes that all add a key where there is none, one does.
func keyChangesAreAtomic(t *testing.T, open Open) {
	first, second := opened(t, open), opened(t, open)
	var wait sync.WaitGroup
	for i := range 8 {
		store := first
		if i%2 == 1 {
			store = second
		}
		wait.Go(func() {
			err := store.ChangeKeys(t.Context(), func(keys []token.Key) (token.KeyChange, error) {
				if len(keys) > 0 {
					return token.KeyChange{}, nil
				}
				return token.KeyChange{Put: []token.Key{{ID: string(rune('a' + i)), Algorithm: "EdDSA", Secret: []byte{byte(i)}, CreatedAt: noon}}}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	keys, err := second.Keys(t.Context())
	must(t, err)
	if len(keys) != 1 || keys[0].ID != string(rune('a'+keys[0].Secret[0])) {
		t.Errorf("keys %v, want one", keys)
	}
}

func keysAreKeptWhole(t *testing.T, open Open) {
	store := opened(t, open)
	whole := token.Key{
		ID: "kid", Algorithm: "RS256", Secret: []byte{0, 1, 255, 0}, Sealed: true, CreatedAt: noon, ActivateAt: noon.Add(time.Minute),
		RetireAt: noon.Add(time.Hour), ExpiresAt: noon.Add(25 * time.Hour), MaxLifetime: 24 * time.Hour,
	}
	bare := token.Key{ID: "bare", Algorithm: "EdDSA", CreatedAt: noon.Add(-time.Hour)}
	must(t, putKeys(t, store, whole, bare))
	check := func(want ...token.Key) {
		t.Helper()
		keys, err := store.Keys(t.Context())
		if err != nil || !reflect.DeepEqual(keys, want) {
			t.Errorf("keys %+v, %v, want %+v", keys, err, want)
		}
	}
	check(bare, whole)
	whole.Secret, whole.Sealed, whole.ExpiresAt = nil, false, noon
	must(t, store.ChangeKeys(t.Context(), func(keys []token.Key) (token.KeyChange, error) {
		if !slices.ContainsFunc(keys, func(k token.Key) bool { return k.ID == "kid" && k.Sealed }) {
			t.Errorf("the change sees %v", keys)
		}
		return token.KeyChange{Put: []token.Key{whole}, Remove: []string{"bare", "unknown"}}, nil
	}))
	check(whole)
}

func failedKeyChangeChangesNothing(t *testing.T, open Open) {
	store := opened(t, open)
	want := token.Key{ID: "kid", Algorithm: "EdDSA", Secret: []byte("secret"), CreatedAt: noon}
	must(t, putKeys(t, store, want))
	refused := errors.New("refused")
	err := store.ChangeKeys(t.Context(), func([]token.Key) (token.KeyChange, error) {
		return token.KeyChange{Remove: []string{"kid"}}, refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got %v, want the error of the change", err)
	}
	if keys, err := store.Keys(t.Context()); err != nil || len(keys) != 1 || !reflect.DeepEqual(keys[0], want) {
		t.Errorf("afterwards %v, %v", keys, err)
	}
}

func keyChangesAreAudited(t *testing.T, open Open) {
	store := opened(t, open)
	ctx := account.WithActor(t.Context(), account.Actor{Kind: account.ActorOperator, ID: "root"})
	change := func(ctx context.Context, id string) error {
		return store.ChangeKeys(ctx, func([]token.Key) (token.KeyChange, error) {
			return token.KeyChange{
				Put:    []token.Key{{ID: id, Algorithm: "EdDSA", Secret: []byte("secret"), CreatedAt: noon}},
				Events: []token.KeyEvent{{ID: "event", At: noon, Action: token.KeyCreated, KeyID: id, Details: map[string]string{"algorithm": "EdDSA"}}},
			}, nil
		})
	}
	must(t, change(ctx, "kid"))
	want := []account.Event{{
		ID: "event", At: noon, Action: account.KeyCreated, Outcome: account.Success, ActorKind: account.ActorOperator, ActorID: "root",
		TargetKind: "key", TargetID: "kid", Details: map[string]string{"algorithm": "EdDSA"},
	}}
	if got, err := store.Events(t.Context(), account.EventQuery{Limit: 10}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("events %+v, %v, want %+v", got, err, want)
	}
	// An event that can't be written takes the change back: this id is taken.
	if err := change(ctx, "other"); err == nil {
		t.Error("a change without its event")
	}
	if keys, err := store.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("keys %v, %v", keys, err)
	}
}
