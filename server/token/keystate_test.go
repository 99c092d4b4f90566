package token

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// lab is a store with a ring and a verifier on one clock.
type lab struct {
	store    *memoryStore
	clock    *clock
	keys     *Keyring
	verifier *Verifier
}

func newLab(t testing.TB, change func(*KeyringOptions)) *lab {
	t.Helper()
	l := &lab{store: &memoryStore{}, clock: newClock()}
	l.keys = l.open(t, change)
	l.verifier = NewVerifier(l.keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: l.clock.Now})
	return l
}

// open opens one more ring on the store, as another process would.
func (l *lab) open(t testing.TB, change func(*KeyringOptions)) *Keyring {
	t.Helper()
	options := KeyringOptions{Now: l.clock.Now}
	if change != nil {
		change(&options)
	}
	keys, err := OpenKeyring(t.Context(), l.store, options)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (l *lab) pass(d time.Duration) { l.clock.Set(l.clock.Now().Add(d)) }

func (l *lab) rotate(t *testing.T, atOnce bool) string {
	t.Helper()
	next, err := l.keys.Rotate(t.Context(), atOnce)
	if err != nil {
		t.Fatal(err)
	}
	return next.ID
}

// states are the states of the keys, by id.
func (l *lab) states(t *testing.T) map[string]KeyState {
	t.Helper()
	listed, err := l.keys.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]KeyState{}
	for _, key := range listed {
		states[key.ID] = key.State
		if len(key.Secret) > 0 {
			t.Errorf("the list has the secret of %s", key.ID)
		}
	}
	return states
}

func (l *lab) signing() string { kid, _ := l.keys.Signing(); return kid }

func (l *lab) publishes(kid string) bool { return strings.Contains(string(l.keys.JWKS()), kid) }

func (l *lab) wantGood(t *testing.T, raw string) {
	t.Helper()
	if _, err := l.verifier.Verify(t.Context(), raw); err != nil {
		t.Errorf("a good token is refused: %v", err)
	}
}

func (l *lab) wantRefused(t *testing.T, raw string) {
	t.Helper()
	_, err := l.verifier.Verify(t.Context(), raw)
	wantRefusal(t, err, authz.TokenUnknownKey)
}

func TestRotation(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			l := newLab(t, func(o *KeyringOptions) { o.Algorithm, o.MaxLifetime = algorithm, time.Hour })
			old := l.signing()
			first := mint(t, l.keys, nil)
			next := l.rotate(t, false)
			if l.signing() != old || l.states(t)[next] != KeyNext || l.publishes(next) != (algorithm != HS256) {
				t.Errorf("the next key: %v", l.states(t))
			}
			// RFC 7517's readers keep a set for up to 300 s.
			l.pass(publishAhead - time.Nanosecond)
			if l.signing() != old || publishAhead < 300*time.Second+2*time.Second {
				t.Error("the next key signs too early")
			}
			last := mint(t, l.keys, nil) // good for 30 minutes
			l.pass(time.Nanosecond)
			if l.signing() != next || l.states(t)[old] != KeyFormer {
				t.Errorf("after the time of publishing: %v", l.states(t))
			}
			l.wantGood(t, first)
			l.wantGood(t, last)
			l.wantGood(t, mint(t, l.keys, nil))
			if l.publishes(old) != (algorithm != HS256) {
				t.Error("the former key is not published")
			}

			l.pass(time.Hour - time.Second)
			l.wantRefusedAs(t, last, authz.TokenExpired)
			if l.states(t)[old] != KeyFormer {
				t.Error("the former key is gone before the last token that it can have signed")
			}
			l.pass(keySlack + time.Second)
			if l.states(t)[old] != KeyExpired || l.publishes(old) {
				t.Errorf("the former key is still there: %v", l.states(t))
			}
			l.clock.Set(testNow.Add(time.Minute)) // the token's own time
			l.pass(publishAhead + time.Hour + keySlack)
			if err := l.keys.Tend(t.Context()); err != nil {
				t.Fatal(err)
			}
			if key := l.store.keys[old]; len(key.Secret) != 0 {
				t.Error("the secret of an expired key was not erased")
			}
		})
	}
}

func (l *lab) wantRefusedAs(t *testing.T, raw string, want authz.TokenError) {
	t.Helper()
	_, err := l.verifier.Verify(t.Context(), raw)
	wantRefusal(t, err, want)
}

// The last token of a key is good for all of its life, whatever the server was
// started with meanwhile.
func TestAKeyOutlivesItsLastToken(t *testing.T) {
	l := newLab(t, func(o *KeyringOptions) { o.MaxLifetime = time.Hour })
	l.rotate(t, false)
	l.open(t, func(o *KeyringOptions) { o.MaxLifetime = 48 * time.Hour }) // a restart with another option
	if err := l.keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.pass(publishAhead - time.Second)
	long := testRegistered()
	long.Lifetime = 48 * time.Hour
	raw, _, _, err := l.keys.Mint(long, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.pass(48*time.Hour - time.Second)
	l.wantGood(t, raw)
}

func TestRotationAtOnce(t *testing.T) {
	l := newLab(t, nil)
	old, raw := l.signing(), mint(t, l.keys, nil)
	next := l.rotate(t, true)
	if l.signing() != next || l.states(t)[old] != KeyFormer {
		t.Errorf("states %v", l.states(t))
	}
	l.wantGood(t, raw)
	t.Run("has a key that is published sign", func(t *testing.T) {
		published := l.rotate(t, false)
		if _, err := l.keys.Rotate(t.Context(), false); !errors.Is(err, ErrRotationPending) {
			t.Errorf("a second next key: %v", err)
		}
		if at := l.rotate(t, true); at != published || l.signing() != published {
			t.Errorf("%s signs, want the published %s", at, published)
		}
	})
}

func TestRetirement(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			l := newLab(t, func(o *KeyringOptions) { o.Algorithm = algorithm })
			other := l.open(t, func(o *KeyringOptions) { o.Algorithm = algorithm })
			elsewhere := NewVerifier(other, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: l.clock.Now})
			old, raw := l.signing(), mint(t, l.keys, nil)
			if err := l.keys.Retire(t.Context(), old); !errors.Is(err, ErrOnlySigningKey) {
				t.Fatalf("the only key is retired: %v", err)
			}
			l.wantGood(t, raw)
			if _, err := elsewhere.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
			l.rotate(t, true)
			if err := l.keys.Retire(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			l.wantRefused(t, raw) // also one that was remembered
			if l.publishes(old) || l.states(t)[old] != KeyExpired {
				t.Errorf("states %v", l.states(t))
			}
			if len(l.store.keys[old].Secret) != 0 {
				t.Error("the secret is still there")
			}
			if err := other.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := elsewhere.Verify(t.Context(), raw)
			wantRefusal(t, err, authz.TokenUnknownKey)
			for name, test := range map[string]struct {
				kid  string
				want error
			}{"again": {old, ErrKeyRetired}, "unknown": {"x", ErrKeyNotFound}} {
				if err := l.keys.Retire(t.Context(), test.kid); !errors.Is(err, test.want) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	t.Run("of the last key", func(t *testing.T) {
		l := newLab(t, sealedWith(newSealer(t, "a")))
		old, raw := l.signing(), mint(t, l.keys, nil)
		lost := KeyAdmin{Store: l.store, Algorithm: EdDSA, Now: l.clock.Now} // without the secret
		if _, err := lost.Rotate(t.Context(), true); !errors.Is(err, ErrSealed) {
			t.Errorf("rotated: %v", err)
		}
		if err := lost.RetireLast(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if err := l.keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.wantRefused(t, raw)
		l.wantGood(t, mint(t, l.keys, nil))
	})
	t.Run("of the next key lets the present one go on", func(t *testing.T) {
		l := newLab(t, nil)
		old, next := l.signing(), l.rotate(t, false)
		if err := l.keys.Retire(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		l.pass(1000 * time.Hour)
		raw := mint(t, l.keys, nil)
		l.wantGood(t, raw)
		if l.signing() != old || l.states(t)[old] != KeySigning {
			t.Errorf("states %v", l.states(t))
		}
	})
	t.Run("of the signing key while the next one waits", func(t *testing.T) {
		l := newLab(t, nil)
		old := l.signing()
		l.rotate(t, false)
		if err := l.keys.Retire(t.Context(), old); !errors.Is(err, ErrOnlySigningKey) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAuditOfKeys(t *testing.T) {
	l := newLab(t, nil)
	old := l.signing()
	next := l.rotate(t, true)
	if err := l.keys.Retire(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	_ = l.keys.Retire(t.Context(), old) // refused: no event
	var got []string
	for _, event := range l.store.events {
		got = append(got, event.Action+" "+event.KeyID)
	}
	want := []string{KeyCreated + " " + old, KeyRotated + " " + next, KeyRetired + " " + old}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestTend(t *testing.T) {
	l := newLab(t, func(o *KeyringOptions) { o.RotateEvery = 24 * time.Hour })
	other := l.open(t, func(o *KeyringOptions) { o.RotateEvery = 24 * time.Hour })
	tend := func(keys *Keyring) {
		t.Helper()
		if err := keys.Tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := l.signing()
	l.pass(24*time.Hour - publishAhead - time.Second)
	tend(l.keys)
	if len(l.store.keys) != 1 {
		t.Fatal("rotated too early")
	}
	l.pass(time.Second)
	tend(l.keys)
	tend(other) // another process on the store
	if len(l.store.keys) != 2 {
		t.Fatalf("%d keys, want the signing and the next one", len(l.store.keys))
	}
	l.pass(publishAhead)
	if l.signing() == first {
		t.Error("the next key does not sign when it is time")
	}
	if a, _ := other.Signing(); a != l.signing() {
		t.Error("two processes sign with different keys")
	}
	t.Run("off", func(t *testing.T) {
		l := newLab(t, nil)
		l.pass(10000 * time.Hour)
		if err := l.keys.Tend(t.Context()); err != nil || len(l.store.keys) != 1 {
			t.Errorf("%v, %d keys", err, len(l.store.keys))
		}
	})
	t.Run("a failure is tried again later", func(t *testing.T) {
		l := newLab(t, func(o *KeyringOptions) { o.RotateEvery = time.Hour })
		l.pass(time.Hour)
		l.store.err = errors.New("disk full")
		if err := l.keys.Tend(t.Context()); !errors.Is(err, l.store.err) {
			t.Errorf("got %v", err)
		}
		if err := l.keys.Tend(t.Context()); err != nil {
			t.Errorf("tried again at once: %v", err)
		}
		l.store.err = nil
		l.pass(tendRetry)
		if err := l.keys.Tend(t.Context()); err != nil || len(l.store.keys) != 2 {
			t.Errorf("%v, %d keys", err, len(l.store.keys))
		}
	})
}

// Of two processes that start at once, the one whose clock is behind does not make
// a second key.
func TestAClockThatIsBehindMakesNoSecondKey(t *testing.T) {
	l := newLab(t, nil)
	l.pass(-time.Minute)
	behind := l.open(t, nil)
	if kid, _ := behind.Signing(); kid != l.signing() || len(l.store.keys) != 1 {
		t.Errorf("%d keys", len(l.store.keys))
	}
}

// A store of the version before has no times but when a key was made.
func TestKeysOfAnOlderVersion(t *testing.T) {
	l := newLab(t, nil)
	kid, raw := l.signing(), mint(t, l.keys, nil)
	key := l.store.keys[kid]
	key.MaxLifetime = 0
	l.store.put(key)
	l.keys = l.open(t, nil)
	l.wantGood(t, raw)
	if got := l.store.keys[kid].MaxLifetime; got != defaultMaxLifetime {
		t.Errorf("its tokens live for %s", got)
	}
}

// A token that another process has signed with a key of a moment ago is good here
// at once; a storm of made-up kids asks the store once in a while.
func TestAKeyThatAnotherProcessHasJustMade(t *testing.T) {
	l := newLab(t, nil)
	other := l.open(t, nil)
	if _, err := other.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	l.wantGood(t, mint(t, other, nil))
	before := l.store.reads.Load()
	for range 100 {
		l.wantRefused(t, forge(t, EdDSA, l.keys.signing().private, `{"alg":"EdDSA","typ":"at+jwt","kid":"made-up"}`, goodClaims))
	}
	if got := l.store.reads.Load() - before; got != 0 {
		t.Errorf("the store was read %d times within the interval", got)
	}
	l.pass(lookInterval)
	l.wantRefused(t, forge(t, EdDSA, l.keys.signing().private, `{"alg":"EdDSA","typ":"at+jwt","kid":"made-up"}`, goodClaims))
	l.wantRefused(t, forge(t, EdDSA, l.keys.signing().private, `{"alg":"EdDSA","typ":"at+jwt","kid":"`+strings.Repeat("x", 100)+`"}`, goodClaims))
	if got := l.store.reads.Load() - before; got != 1 {
		t.Errorf("the store was read %d times, want once", got)
	}
}

// Minting, verifying, rotating and retiring all at once, on two rings of one store.
func TestConcurrentRotationAndRetirement(t *testing.T) {
	l := newLab(t, nil)
	rings := []*Keyring{l.keys, l.open(t, nil)}
	var verifiers []*Verifier
	for _, keys := range rings {
		verifiers = append(verifiers, NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: l.clock.Now}))
	}
	var retired sync.Map // kid, once its retirement has returned on every ring
	var stop atomic.Bool
	var minted atomic.Int64
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			type old struct{ raw, kid string }
			var kept []old
			for n := 0; !stop.Load(); n++ {
				raw, _, _, err := l.keys.Mint(testRegistered(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				minted.Add(1)
				verified, err := verifiers[0].Verify(t.Context(), raw)
				if err == nil {
					kept = append(kept, old{raw, verified.KeyID})
				}
				header, _, inspectErr := Inspect(raw)
				if inspectErr != nil {
					t.Error(inspectErr)
					return
				}
				// A token that was refused must be one whose key is being retired.
				if _, gone := l.store.retiring(header["kid"].(string)); err != nil && !gone {
					t.Errorf("a valid token was refused: %v", err)
				}
				if len(kept) > 0 {
					o := kept[(n*7+worker)%len(kept)]
					_, gone := retired.Load(o.kid)
					for _, verifier := range verifiers {
						if _, err := verifier.Verify(t.Context(), o.raw); err == nil && gone {
							t.Error("a retired key was accepted")
						}
					}
				}
			}
		})
	}
	for range 60 {
		before := l.signing()
		l.rotate(t, true)
		if err := rings[1].Reload(t.Context()); err != nil {
			t.Error(err)
		}
		target := minted.Load() + 8
		for minted.Load() < target && !t.Failed() { // work goes on with the new key
			if err := rings[1].Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
		l.store.willRetire(before)
		if err := l.keys.Retire(t.Context(), before); err != nil {
			t.Error(err)
		}
		if err := rings[1].Reload(t.Context()); err != nil {
			t.Error(err)
		}
		retired.Store(before, true)
	}
	stop.Store(true)
	wait.Wait()
	// Graceful rotations alone refuse nothing.
	raw := mint(t, l.keys, nil)
	l.rotate(t, false)
	l.pass(publishAhead)
	l.wantGood(t, raw)
}

// willRetire and retiring say which keys a test has begun to retire.
func (s *memoryStore) willRetire(kid string)           { s.doomed.Store(kid, true) }
func (s *memoryStore) retiring(kid string) (any, bool) { return s.doomed.Load(kid) }
