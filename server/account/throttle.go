package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// Failures that cost no delay, and the longest delay, for one account from
	// one address.
	pairFree, pairMax = 5, 15 * time.Minute
	// The same for an address over all accounts, and for an account over all
	// addresses. Other people pay for these, so they are never long.
	wideFree, wideMax = 20, time.Minute

	// While an account is delayed for everyone, a new address has its turn for ten
	// seconds out of eighty, on average.
	turnLength, turnsShare = 10 * time.Second, 8

	forgetFailures = 24 * time.Hour
	forgetKnown    = 30 * 24 * time.Hour
	refreshKnown   = 24 * time.Hour
	purgeInterval  = time.Hour
	// clockSkew is how far ahead of ours the clock of another node may be.
	clockSkew = time.Minute
)

// delay is how long nothing is checked after so many failures.
func delay(failures, free int, longest time.Duration) time.Duration {
	if failures <= free {
		return 0
	}
	doublings := failures - free - 1
	if doublings >= 20 {
		return longest
	}
	return min(time.Second<<doublings, longest)
}

// throttle slows down whoever guesses passwords.
//
// Three counts of failures are kept: of the account from the address, of the
// address over all accounts, and of the account over all addresses. An address
// from which the account has logged in lately is spared the two wide counts. So
// where the owner has been before, guesses from elsewhere do not count against
// them, nor do guesses at others from the same address. Where the owner is new,
// the delay of the account is a minute at most; and lest guesses that never end
// renew it for ever, an address that has used up none of its delays is checked
// all the same when it has its turn.
//
// A success forgets the first count only: an account of one's own must not buy
// new guesses at others.
type throttle struct {
	store LoginStore
	now   func() time.Time

	mu     sync.Mutex
	purged time.Time
	// told has, by pair, the failure that began the delay which the audit log knows
	// of: guesses that go on during a delay would fill it.
	told map[string]time.Time
}

// loginKeys are the keys of one login's marks.
type loginKeys struct {
	pair, address, account, known string
}

// newLoginKeys makes keys from who the login is at (an account's id, or the name
// that was typed when there is no such account) and from where. They are hashes:
// what people type as a name is sometimes a password.
func newLoginKeys(who string, addr netip.Addr) loginKeys {
	from := neighbourhood(addr)
	key := func(kind, who, from string) string {
		// Lengths keep "a"+"bc" and "ab"+"c" apart.
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %d %s", kind, len(who), who, len(from), from))
		return hex.EncodeToString(sum[:16])
	}
	return loginKeys{
		pair:    key("pair", who, from),
		address: key("address", "", from),
		account: key("account", who, ""),
		known:   key("known", who, from),
	}
}

// neighbourhood is what an address counts as: itself or, of IPv6, its /64, which is
// what one customer gets.
func neighbourhood(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}

// throttled is what the marks say about a login.
type throttled struct {
	// delayed: nothing is to be checked now.
	delayed bool
	// since is when the failure happened that began the delay.
	since time.Time
	// settled: the pair has no failures and is known, so a success says nothing
	// new.
	settled bool
}

// look reads the marks of one login.
func (t *throttle) look(ctx context.Context, keys loginKeys) (throttled, error) {
	marks, err := t.store.LoginMarks(ctx, []string{keys.pair, keys.address, keys.account, keys.known})
	if err != nil {
		return throttled{}, fmt.Errorf("reading login failures: %w", err)
	}
	now := t.now()
	age := func(mark LoginMark) time.Duration { return now.Sub(mark.At) }
	delays := func(mark LoginMark, free int, longest time.Duration) bool {
		// A time far ahead was written before somebody set the clock back.
		if mark.Failures == 0 || age(mark) >= forgetFailures || age(mark) < -clockSkew {
			return false
		}
		return age(mark) < delay(mark.Failures, free, longest)
	}
	known, isKnown := marks[keys.known]
	isKnown = isKnown && age(known) < forgetKnown
	delayed := delays(marks[keys.pair], pairFree, pairMax)
	if !isKnown {
		delayed = delayed || delays(marks[keys.address], wideFree, wideMax) ||
			delays(marks[keys.account], wideFree, wideMax) && (marks[keys.pair].Failures > pairFree || !hasTurn(keys.pair, now))
	}
	return throttled{
		delayed: delayed,
		since:   latest(marks[keys.pair].At, marks[keys.address].At, marks[keys.account].At),
		settled: marks[keys.pair].Failures == 0 && isKnown && age(known) < refreshKnown,
	}, nil
}

// hasTurn gives every address its turns, one of turnsShare times of turnLength,
// at which the delay of the account does not count.
func hasTurn(pair string, now time.Time) bool {
	sum := sha256.Sum256(fmt.Appendf(nil, "turn %s %d", pair, now.UnixNano()/int64(turnLength)))
	return sum[0]%turnsShare == 0
}

// failed counts a failure, and now and then clears out what is forgotten.
func (t *throttle) failed(ctx context.Context, keys loginKeys, events []Event) error {
	now := t.now()
	if err := t.store.RecordFailure(ctx, []string{keys.pair, keys.address, keys.account}, now, now.Add(-forgetFailures), events...); err != nil {
		return fmt.Errorf("recording a login failure: %w", err)
	}
	t.mu.Lock()
	due := now.Sub(t.purged) >= purgeInterval
	if due {
		t.purged = now
	}
	t.mu.Unlock()
	if !due {
		return nil
	}
	if err := t.store.PurgeLoginMarks(ctx, now.Add(-forgetFailures), now.Add(-forgetKnown)); err != nil {
		return fmt.Errorf("clearing out old login failures: %w", err)
	}
	return nil
}

// succeeded forgets the failures of the pair and makes it known.
func (t *throttle) succeeded(ctx context.Context, keys loginKeys, events []Event) error {
	if err := t.store.RecordSuccess(ctx, keys.pair, keys.known, t.now(), events...); err != nil {
		return fmt.Errorf("recording a login: %w", err)
	}
	return nil
}

// maxTold bounds the memory of delays that the audit log knows of.
const maxTold = 10_000

// tell reports whether the audit log is still to hear of a delay.
func (t *throttle) tell(keys loginKeys, since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, told := t.told[keys.pair]; told && at.Equal(since) {
		return false
	}
	if t.told == nil || len(t.told) >= maxTold {
		t.told = make(map[string]time.Time)
	}
	t.told[keys.pair] = since
	return true
}

// untell takes back what tell has noted, since the audit log did not hear of it.
func (t *throttle) untell(keys loginKeys) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.told, keys.pair)
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}
