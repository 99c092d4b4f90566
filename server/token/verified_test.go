package token

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestARememberedTokenExpires(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	clock := newClock()
	v := NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: clock.Now})
	raw := mint(t, keys, nil) // good for 30 minutes
	good := func() {
		t.Helper()
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	good()
	good()
	if s := v.CacheStats(); s.Entries != 1 || s.Hits != 1 {
		t.Fatalf("%+v", s)
	}
	clock.Set(testNow.Truncate(time.Second).Add(30*time.Minute - time.Nanosecond))
	good()
	clock.Set(testNow.Truncate(time.Second).Add(30 * time.Minute))
	_, err := v.Verify(t.Context(), raw)
	wantRefusal(t, err, authz.TokenExpired)
	if s := v.CacheStats(); s.Entries != 0 {
		t.Errorf("an expired token is kept: %+v", s)
	}
	// A clock that was set back.
	clock.Set(testNow)
	good()
	clock.Set(testNow.Add(-time.Hour))
	_, err = v.Verify(t.Context(), raw)
	wantRefusal(t, err, authz.TokenNotYetValid)
}

func TestARememberedTokenGoesWithItsKey(t *testing.T) {
	store := &memoryStore{}
	keys := openKeyring(t, store, EdDSA)
	v := newTestVerifier(keys)
	raw := mint(t, keys, nil)
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	hits := func() uint64 { return v.CacheStats().Hits }

	before := hits()
	if err := keys.Reload(t.Context()); err != nil { // nothing has changed
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), raw); err != nil || hits() != before+1 {
		t.Errorf("after a reload without a change: %v, %d hits", err, hits()-before)
	}

	t.Run("another key of its id", func(t *testing.T) {
		kid, _ := keys.Signing()
		other, err := generate(EdDSA, testNow, keys.rand)
		if err != nil {
			t.Fatal(err)
		}
		other.ID = kid
		saved := store.keys[kid]
		store.keys[kid] = other
		defer func() { store.keys[kid] = saved }()
		if err := keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), raw)
		wantRefusal(t, err, authz.TokenBadSignature)
	})
	t.Run("no key of its id", func(t *testing.T) {
		store.keys = nil // a new one is made
		if err := keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := v.Verify(t.Context(), raw)
		wantRefusal(t, err, authz.TokenUnknownKey)
	})
}

func TestARevokedTokenIsRefusedWarmAndCold(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	revoked := map[string]bool{}
	v := NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: newClock().Now,
		Revoked: func(v *Verified) bool { return revoked[v.ID] }})
	raw := mint(t, keys, nil)
	verified, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	revoked[verified.ID] = true
	for _, state := range []string{"warm", "cold"} {
		if _, err := v.Verify(t.Context(), raw); err == nil {
			t.Fatalf("%s: accepted", state)
		} else {
			wantRefusal(t, err, authz.TokenRevoked)
		}
	}
	if s := v.CacheStats(); s.Entries != 0 {
		t.Errorf("a revoked token is kept: %+v", s)
	}
}

// Bad tokens are never kept, so any number of them pushes out no good one.
func TestAFloodOfBadTokensEvictsNothing(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	v := NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: newClock().Now, CacheBytes: 64 << 10})
	raw := mint(t, keys, nil)
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	before := v.CacheStats()
	unsigned, _, _ := strings.Cut(raw[strings.Index(raw, ".")+1:], ".")
	header, _, _ := strings.Cut(raw, ".")
	for i := range 2000 {
		if _, err := v.Verify(t.Context(), header+"."+unsigned+"."+encode(fmt.Sprintf("%064d", i))); err == nil {
			t.Fatal("accepted")
		}
	}
	after := v.CacheStats()
	if after.Entries != before.Entries || after.Evictions != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if _, err := v.Verify(t.Context(), raw); err != nil || v.CacheStats().Hits != after.Hits+1 {
		t.Errorf("the good token: %v, %+v", err, v.CacheStats())
	}
}

// Only the very bytes that were verified are recognised.
func TestOnlyTheSameBytesAreRecognised(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	v := newTestVerifier(keys)
	raw := mint(t, keys, nil)
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
	for i := range raw {
		for _, c := range []byte{alphabet[i%len(alphabet)], raw[i] ^ 0x20, raw[i] ^ 1} {
			if c == raw[i] {
				continue
			}
			if _, err := v.Verify(t.Context(), raw[:i]+string(rune(c))+raw[i+1:]); err == nil {
				t.Fatalf("accepted with byte %d changed", i)
			}
		}
	}
	for _, changed := range []string{raw + "=", raw + "\n", " " + raw, raw[:len(raw)-1], raw + "A", strings.ToUpper(raw), strings.ToLower(raw)} {
		if _, err := v.Verify(t.Context(), changed); err == nil {
			t.Errorf("accepted: %q", changed)
		}
	}
}

func TestARememberedTokenCostsNoAllocation(t *testing.T) {
	for _, algorithm := range Algorithms() {
		keys := openKeyring(t, &memoryStore{}, algorithm)
		v := newTestVerifier(keys)
		raw := mint(t, keys, nil)
		n := testing.AllocsPerRun(100, func() {
			if _, err := v.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", algorithm, n)
		}
	}
}

func TestVerifyingAndReloadingAtOnce(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, EdDSA)
	v := newTestVerifier(keys)
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = mint(t, keys, map[string]any{"n": i})
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				for i, raw := range tokens {
					verified, err := v.Verify(t.Context(), raw)
					if err != nil || fmt.Sprint(verified.Claims.Values["n"]) != fmt.Sprint(i) {
						t.Errorf("token %d: %+v, %v", i, verified, err)
						return
					}
				}
			}
		})
	}
	for range 20 {
		if err := keys.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}
