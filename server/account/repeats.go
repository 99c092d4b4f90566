package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

const (
	repeatWindow = 10 * time.Second
	maxRepeats   = 1024
)

// guess is the fingerprint of a login that failed.
type guess [sha256.Size]byte

// repeats recognises the second sending of a guess. Clients that find out by
// trial how to authenticate (golang.org/x/oauth2 is one) send every failing
// request twice; that is one guess, and counts once. The third counts again.
//
// It remembers in memory only, under a key that dies with the process.
type repeats struct {
	now func() time.Time

	mu    sync.Mutex
	key   []byte
	seen  map[guess]time.Time
	order []guess // oldest first; may name guesses that are gone from seen
}

func newRepeats(random io.Reader, now func() time.Time) (*repeats, error) {
	key := make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	return &repeats{now: now, key: key, seen: map[guess]time.Time{}}, nil
}

func (r *repeats) fingerprint(who, password string, addr netip.Addr) guess {
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%d %s %d %s %s", len(who), who, len(password), password, addr)
	return guess(mac.Sum(nil))
}

// again reports that this guess was seen a moment ago, and remembers it
// otherwise.
func (r *repeats) again(g guess) bool {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[g]; ok && now.Sub(at) < repeatWindow {
		delete(r.seen, g)
		return true
	}
	r.seen[g] = now
	r.order = append(r.order, g)
	for len(r.order) > maxRepeats {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	return false
}
