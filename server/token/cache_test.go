package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// cached is a verifier with a clock of its own, and a token that it remembers.
type cached struct {
	*Verifier
	store *memoryStore
	keys  *Keyring
	clock *clock
	raw   string
	first *Verified
}

func newCached(t *testing.T, algorithm string, change func(*VerifierOptions)) *cached {
	t.Helper()
	c := &cached{store: &memoryStore{}, clock: newClock()}
	c.keys = openKeyring(t, c.store, algorithm)
	options := VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: c.clock.Now}
	if change != nil {
		change(&options)
	}
	c.Verifier = NewVerifier(c.keys, options)
	c.raw = mint(t, c.keys, nil)
	c.first = c.good(t, c.raw)
	return c
}

func (c *cached) good(t *testing.T, raw string) *Verified {
	t.Helper()
	verified, err := c.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return verified
}

func (c *cached) refused(t *testing.T, raw string, want authz.TokenError) {
	t.Helper()
	_, err := c.Verify(t.Context(), raw)
	wantRefusal(t, err, want)
}

// keyOf makes a key in an empty store.
func (s *memoryStore) keyOf(t *testing.T, algorithm string) Key {
	t.Helper()
	return s.keys[openKeyring(t, s, algorithm).signing().id]
}

func TestCacheCanBeOff(t *testing.T) {
	c := newCached(t, EdDSA, func(o *VerifierOptions) { o.CacheBytes = -1 })
	if c.good(t, c.raw) == c.first || c.CacheStats() != (cache.Stats{}) {
		t.Errorf("remembers: %+v", c.CacheStats())
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCached(t, HS256, func(o *VerifierOptions) { o.CacheBytes = 100_000 })
	for range 200 {
		c.good(t, mint(t, c.keys, nil))
		c.good(t, mint(t, c.keys, map[string]any{"x": strings.Repeat("y", 1000)}))
	}
	if got := c.CacheStats(); got.Bytes > 100_000 || got.Entries < 10 || got.Evictions == 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestAKnownTokenCostsNoAllocation(t *testing.T) {
	for _, algorithm := range Algorithms() {
		c := newCached(t, algorithm, nil)
		n := testing.AllocsPerRun(100, func() {
			if _, err := c.Verify(t.Context(), c.raw); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", algorithm, n)
		}
	}
}

// What was signed and is refused for another reason is not kept either.
func TestRefusedTokensAreNotKept(t *testing.T) {
	c := newCached(t, EdDSA, nil)
	for _, changes := range []map[string]string{
		{"exp": "1795455061"}, {"nbf": "1795459999"}, {"aud": `"https://other.example"`}, {"iss": `"https://other.example"`}, {"jti": ""},
	} {
		raw := forge(t, EdDSA, c.keys.signing().private, goodHeader(c.keys.signing()), claimsWith(changes))
		c.clock.Set(testNow.Add(time.Minute))
		if _, err := c.Verify(t.Context(), raw); err == nil {
			t.Errorf("%v: passed", changes)
		}
	}
	if got := c.CacheStats(); got.Entries != 1 {
		t.Errorf("stats %+v", got)
	}
}

// Any number of bad tokens pushes out no good one.
func TestAFloodOfBadTokensEvictsNothing(t *testing.T) {
	c := newCached(t, EdDSA, func(o *VerifierOptions) { o.CacheBytes = 64 << 10 })
	before := c.CacheStats()
	unsigned := c.raw[:strings.LastIndex(c.raw, ".")+1]
	for i := range 2000 {
		if _, err := c.Verify(t.Context(), unsigned+encode(fmt.Sprintf("%064d", i))); err == nil {
			t.Fatal("accepted")
		}
	}
	after := c.CacheStats()
	if after.Entries != before.Entries || after.Evictions != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if c.good(t, c.raw) != c.first {
		t.Error("the good token was forgotten")
	}
}

func TestAttackOversizeIsNotLookedUp(t *testing.T) {
	c := newCached(t, EdDSA, nil)
	long := strings.Repeat("A", MaxSize+1)
	c.remember(long, &remembered{verified: c.first, key: c.keys.signing().verificationKey, rules: &rules{keys: c.keys}, lifetime: lifetime{}})
	before := c.CacheStats()
	c.refused(t, long, authz.TokenMalformed)
	if after := c.CacheStats(); after.Hits != before.Hits || after.Misses != before.Misses {
		t.Errorf("looked up: before %+v, after %+v", before, after)
	}
}

// Only the very bytes that were verified are recognised.
func TestAttackNearlyAKnownToken(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			c := newCached(t, algorithm, nil)
			hits := c.CacheStats().Hits
			const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
			for at := range len(c.raw) {
				others := []byte{letters[at%len(letters)]}
				for bit := range 8 {
					others = append(others, c.raw[at]^1<<bit)
				}
				for _, other := range others {
					if other == c.raw[at] {
						continue
					}
					changed := []byte(c.raw)
					changed[at] = other
					if _, err := c.Verify(t.Context(), string(changed)); err == nil {
						t.Fatalf("%q for byte %d does not count", other, at)
					}
				}
			}
			for _, changed := range neighbours(c.raw) {
				if _, err := c.Verify(t.Context(), changed); err == nil {
					t.Fatalf("%q passes for %q", changed, c.raw)
				}
			}
			if got := c.CacheStats(); got.Hits != hits || got.Entries != 1 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// A good token that shares all but the signature, or all but the header, says
// nothing about another.
func TestAttackSharesPartsWithAKnownToken(t *testing.T) {
	c := newCached(t, EdDSA, nil)
	other := openKeyring(t, &memoryStore{}, EdDSA)
	known := strings.Split(c.raw, ".")
	second := strings.Split(mint(t, c.keys, nil), ".")
	c.good(t, strings.Join(second, "."))
	foreign := strings.Split(forge(t, EdDSA, other.signing().private, goodHeader(c.keys.signing()), goodClaims), ".")
	for name, raw := range map[string]string{
		"signature of another known token": known[0] + "." + known[1] + "." + second[2],
		"claims of another known token":    known[0] + "." + second[1] + "." + known[2],
		"signature by another key":         known[0] + "." + known[1] + "." + foreign[2],
		"no signature":                     known[0] + "." + known[1] + ".",
	} {
		t.Run(name, func(t *testing.T) { c.refused(t, raw, authz.TokenBadSignature) })
	}
	for name, header := range map[string]string{
		"alg none":  `{"alg":"none","typ":"at+jwt","kid":"` + c.keys.signing().id + `"}`,
		"with crit": `{"alg":"EdDSA","typ":"at+jwt","crit":["exp"],"kid":"` + c.keys.signing().id + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c.refused(t, encode(header)+"."+known[1]+"."+known[2], authz.TokenUnsupported)
		})
	}
	t.Run("an id token of the same claims", func(t *testing.T) {
		header := `{"alg":"EdDSA","typ":"JWT","kid":"` + c.keys.signing().id + `"}`
		raw := forge(t, EdDSA, c.keys.signing().private, header, string(decodeString(t, known[1])))
		c.refused(t, raw, authz.TokenWrongType)
	})
}

func TestAttackKnownTokenThatHasExpired(t *testing.T) {
	c := newCached(t, EdDSA, nil) // the token is good for 30 minutes
	c.good(t, c.raw)
	if s := c.CacheStats(); s.Entries != 1 || s.Hits != 1 {
		t.Fatalf("%+v", s)
	}
	expiry := testNow.Truncate(time.Second).Add(30 * time.Minute)
	c.clock.Set(expiry.Add(-time.Nanosecond))
	c.good(t, c.raw)
	c.clock.Set(expiry)
	c.refused(t, c.raw, authz.TokenExpired)
	if s := c.CacheStats(); s.Entries != 0 {
		t.Errorf("an expired token is kept: %+v", s)
	}
	// A clock that was set back: as good as it was, but verified again.
	c.clock.Set(testNow)
	if c.good(t, c.raw) == c.first {
		t.Error("a token was remembered beyond its expiry")
	}
}

func TestAttackKnownTokenWhenTheClockIsSetBack(t *testing.T) {
	for name, changes := range map[string]map[string]string{
		"iat": {"nbf": "1795450000"}, "nbf": {"iat": "1795450000"}, "no nbf": {"nbf": ""}, "both": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCached(t, EdDSA, func(o *VerifierOptions) { o.Leeway = time.Second })
			raw := forge(t, EdDSA, c.keys.signing().private, goodHeader(c.keys.signing()), claimsWith(changes))
			c.good(t, raw)
			start := time.Unix(1795455060, 0).Add(-time.Second)
			c.clock.Set(start.Add(-1))
			c.refused(t, raw, authz.TokenNotYetValid)
			c.clock.Set(start)
			c.good(t, raw)
		})
	}
}

func TestAttackKnownTokenOfARemovedKey(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			c := newCached(t, algorithm, nil)
			removed := c.store.keys[c.keys.signing().id]
			delete(c.store.keys, removed.ID)
			if err := c.keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.refused(t, c.raw, authz.TokenUnknownKey)
			if got := c.CacheStats(); got.Entries != 0 {
				t.Errorf("the token is still there: %+v", got)
			}
			// Back again, it has to be verified again.
			c.store.put(removed)
			if err := c.keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.good(t, c.raw) == c.first {
				t.Error("a token was remembered beyond its key")
			}
		})
	}
}

// A kid may name another key tomorrow.
func TestAttackKnownTokenOfAReplacedKey(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			c := newCached(t, algorithm, nil)
			kid := c.keys.signing().id
			replacement := (&memoryStore{}).keyOf(t, algorithm)
			replacement.ID = kid
			c.store.put(replacement)
			if err := c.keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.refused(t, c.raw, authz.TokenBadSignature)
		})
	}
	t.Run("by one for another algorithm", func(t *testing.T) {
		c := newCached(t, EdDSA, nil)
		replacement := (&memoryStore{}).keyOf(t, HS256)
		replacement.ID = c.keys.signing().id
		c.store.put(replacement)
		if err := c.keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.refused(t, c.raw, authz.TokenUnknownKey)
	})
}

func TestAttackKnownTokenThatIsRevoked(t *testing.T) {
	revoked := map[string]bool{}
	c := newCached(t, EdDSA, func(o *VerifierOptions) {
		o.Revoked = func(_ context.Context, v *Verified) (bool, error) { return revoked[v.ID], nil }
	})
	revoked[c.first.ID] = true
	for range 2 { // remembered, and then not
		c.refused(t, c.raw, authz.TokenRevoked)
		if s := c.CacheStats(); s.Entries != 0 {
			t.Errorf("a revoked token is kept: %+v", s)
		}
	}
}

// Whether a token was revoked is asked each time, which costs no allocation; where
// nobody knows, that is no refusal, and the token stays known.
func TestRevocationIsAskedEachTime(t *testing.T) {
	unknown := errors.New("the store is down")
	asked, answer := 0, error(nil)
	c := newCached(t, EdDSA, func(o *VerifierOptions) {
		o.Revoked = func(_ context.Context, v *Verified) (bool, error) {
			asked++
			return false, answer
		}
	})
	before := asked
	if n := testing.AllocsPerRun(100, func() { c.good(t, c.raw) }); n != 0 || asked < before+100 {
		t.Errorf("%v allocations, asked %d times", n, asked-before)
	}
	answer = unknown
	var code authz.TokenError
	if _, err := c.Verify(t.Context(), c.raw); !errors.Is(err, unknown) || errors.As(err, &code) {
		t.Errorf("got %v, want the error and no refusal", err)
	}
	if _, err := c.Verify(t.Context(), mint(t, c.keys, nil)); !errors.Is(err, unknown) {
		t.Errorf("of a new token: %v", err)
	}
	answer = nil
	if c.good(t, c.raw) != c.first || c.CacheStats().Entries != 1 {
		t.Errorf("the token was forgotten, or one that nobody could judge remembered: %+v", c.CacheStats())
	}
}

// The store is read again whenever anything in it has changed, each failed login
// included.
func TestReloadKeepsWhatIsKnown(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			c := newCached(t, algorithm, nil)
			if err := c.keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			added := (&memoryStore{}).keyOf(t, algorithm)
			added.CreatedAt = added.CreatedAt.Add(time.Hour)
			c.store.put(added)
			if err := c.keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.good(t, c.raw) != c.first {
				t.Error("a key that stays was taken for another one")
			}
			if c.keys.signing().id != added.ID {
				t.Error("the younger key does not sign")
			}
			c.good(t, mint(t, c.keys, nil))
		})
	}
	t.Run("a configured secret", func(t *testing.T) {
		store := &memoryStore{}
		keys, err := OpenKeyring(t.Context(), store, KeyringOptions{Algorithm: HS256, HMACSecret: []byte(strings.Repeat("s", 32)), Now: newClock().Now})
		if err != nil {
			t.Fatal(err)
		}
		verifier := NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: newClock().Now})
		raw := mint(t, keys, nil)
		for range 2 {
			if _, err := verifier.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
			if err := keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := verifier.CacheStats(); got.Hits != 1 || got.Misses != 1 {
			t.Errorf("stats %+v", got)
		}
	})
}

// Of many tokens at once, each is known as itself, whatever is reloaded meanwhile.
func TestConcurrentVerifyOfManyTokens(t *testing.T) {
	c := newCached(t, EdDSA, nil)
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = mint(t, c.keys, map[string]any{"n": i})
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				for i, raw := range tokens {
					verified, err := c.Verify(t.Context(), raw)
					if err != nil || fmt.Sprint(verified.Claims.Values["n"]) != fmt.Sprint(i) {
						t.Errorf("token %d: %+v, %v", i, verified, err)
						return
					}
				}
			}
		})
	}
	for range 20 {
		if err := c.keys.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}

// Keys come and go while many verify: nobody is told that a token
// of a key that is gone is good once Reload has returned.
func TestConcurrentVerifyAndReload(t *testing.T) {
	c := newCached(t, EdDSA, nil)
	key := c.store.keys[c.keys.signing().id]
	// It only grows: even while the key comes or goes, then 1 (of 4) when it is gone
	// and 3 when it is there.
	var epoch atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				before := epoch.Load()
				_, err := c.Verify(ctx, c.raw)
				switch after := epoch.Load(); {
				case before == after && before%4 == 1 && err == nil:
					t.Error("a token of a removed key passed")
				case before == after && before%4 == 3 && err != nil:
					t.Errorf("a good token was refused: %v", err)
				}
			}
		})
	}
	replace := func(edit func()) {
		c.store.mu.Lock()
		edit()
		c.store.mu.Unlock()
		if err := c.keys.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// A second key, so that none is made when the first goes.
	other := (&memoryStore{}).keyOf(t, EdDSA)
	replace(func() { c.store.put(other) })
	for range 300 {
		replace(func() { delete(c.store.keys, key.ID) })
		epoch.Add(1)
		for range 20 {
			if _, err := c.Verify(t.Context(), c.raw); err == nil {
				t.Error("a token of a removed key passed")
			}
		}
		epoch.Add(1)
		replace(func() { c.store.put(key) })
		epoch.Add(1)
		for range 20 {
			c.good(t, c.raw)
		}
		epoch.Add(1)
	}
	cancel()
	readers.Wait()
}
