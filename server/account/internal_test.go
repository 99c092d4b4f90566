package account

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	cases := []struct {
		failures int
		want     time.Duration
	}{
		{0, 0}, {1, 0}, {5, 0}, {6, time.Second}, {7, 2 * time.Second}, {15, 512 * time.Second},
		{16, 15 * time.Minute}, {26, 15 * time.Minute}, {1 << 40, 15 * time.Minute},
	}
	for _, tc := range cases {
		if got := delay(tc.failures, pairFree, pairMax); got != tc.want {
			t.Errorf("after %d failures: %s, want %s", tc.failures, got, tc.want)
		}
	}
}

func TestFloorIsAboveTheSlowestAcceptedHash(t *testing.T) {
	cases := []struct {
		name          string
		maxBcryptCost int
		bcrypt8       time.Duration // what one bcrypt of cost 8 takes
		argon2        time.Duration // what 8 MiB times one pass takes
		want          time.Duration
	}{
		{"the default cost", 0, 15 * time.Millisecond, time.Millisecond, 360 * time.Millisecond},
		{"a raised cost", 14, 15 * time.Millisecond, time.Millisecond, 1440 * time.Millisecond},
		{"a cost below the probe's", 6, 400 * time.Millisecond, time.Millisecond, 300 * time.Millisecond},
		{"slow memory", 4, 15 * time.Millisecond, 10 * time.Millisecond, 480 * time.Millisecond},
		{"a fast machine", 10, time.Millisecond, time.Millisecond, 300 * time.Millisecond},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			// calibrate times bcrypt three times and then argon2 three times; the
			// least counts.
			takes := []time.Duration{tc.bcrypt8 * 3, tc.bcrypt8, tc.bcrypt8 * 2, tc.argon2, tc.argon2 * 9, tc.argon2 * 2}
			got := calibrate(NewHasher(HasherOptions{MaxBcryptCost: tc.maxBcryptCost}), func(work func()) time.Duration {
				if tc.maxBcryptCost == 0 {
					work() // once is enough to see that it runs
				}
				took := takes[0]
				takes = takes[1:]
				return took
			})
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestMarksSayNothingAboutWhoseTheyAre(t *testing.T) {
	keys := newLoginKeys("name:hunter2", netip.MustParseAddr("192.0.2.1"))
	for _, key := range []string{keys.pair, keys.address, keys.account, keys.known} {
		if len(key) != 32 || strings.Trim(key, "0123456789abcdef") != "" {
			t.Errorf("%q is no hash", key)
		}
	}
	if keys.pair == keys.known || keys.pair == keys.account || keys.address == keys.account {
		t.Error("two marks share a key")
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	r, err := newRepeats(strings.NewReader(strings.Repeat("k", 32)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	var last guess
	for n := range 3 * maxRepeats {
		last = guess{byte(n), byte(n >> 8)}
		r.again(last)
	}
	if len(r.seen) > maxRepeats || len(r.order) > maxRepeats {
		t.Errorf("remembers %d and %d, want at most %d", len(r.seen), len(r.order), maxRepeats)
	}
	now = now.Add(repeatWindow)
	if r.again(last) {
		t.Error("a guess was remembered for too long")
	}
	if !r.again(last) || r.again(last) {
		t.Error("a repeat counts as one, and only once")
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"carol", "Carol@Example.com", "ZOE\u0308", "ｃａｒｏｌ", "İ", "ς", "\u1e9e", "a\u0345", "\xff", "", "\u200d", "א"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		canonical, err := Canonical(name)
		// What can be registered can be logged in with, as it was typed.
		a := Account{Username: name}
		if a.normalizeUsername() == nil && a.Identities()[0] != canonical {
			t.Errorf("%q is stored as %q and found by %q, and typed it is %q, %v", name, a.Username, a.Identities(), canonical, err)
		}
		if err != nil {
			return
		}
		if again, err := Canonical(canonical); err != nil || again != canonical {
			t.Errorf("%q becomes %q, and that %q, %v", name, canonical, again, err)
		}
	})
}
