package account

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	// clientFailureTold is how long the audit log hears of no more failures of one
	// client at one address: they cost whoever makes them nothing, and would fill it.
	clientFailureTold = time.Minute
	// maxClientFailures bounds the memory of those that it has heard of.
	maxClientFailures = 10_000
)

// clientFailures remembers of which failures the audit log has heard lately. The
// zero value has heard of none.
type clientFailures struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// tell reports whether the audit log is to hear of a failure.
func (f *clientFailures) tell(key string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	// An age below zero: the clock was set back.
	if at, told := f.told[key]; told && now.Sub(at) < clientFailureTold && !now.Before(at) {
		return false
	}
	if f.told == nil || len(f.told) >= maxClientFailures {
		f.told = make(map[string]time.Time)
	}
	f.told[key] = now
	return true
}

// untell takes back what tell has noted, since the audit log did not hear of it.
func (f *clientFailures) untell(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.told, key)
}

// ClientFailed records that a client could not prove who it is; clientID is empty
// for one that there is not. Of those that follow within a minute, from the same
// address and for the same client, nothing is recorded. It does not stop when the
// client goes away: a guess must not go unseen so.
func (e *Events) ClientFailed(ctx context.Context, clientID, reason string) error {
	from := ActorFrom(ctx).ClientIP
	if addr, err := netip.ParseAddr(from); err == nil {
		from = neighbourhood(addr)
	}
	key := from + " " + clientID
	if !e.failures.tell(key, e.stamp.now()) {
		return nil
	}
	event := Event{Action: ClientAuthFailed, Outcome: Failure, Reason: reason, ClientID: clientID}
	if clientID != "" {
		event.TargetKind, event.TargetID = "client", clientID
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := e.Record(ctx, event)
	if err != nil {
		e.failures.untell(key)
	}
	return err
}
