package account

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// sparingInterval is how long the audit log hears no more of what was recorded
	// sparingly.
	sparingInterval = time.Minute
	// maxSparing bounds the memory of what it has heard of.
	maxSparing = 10_000
)

// sparing remembers of what the audit log has heard lately. The zero value has
// heard of nothing.
type sparing struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// tell reports whether the audit log is to hear of something.
func (s *sparing) tell(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// An age below zero: the clock was set back.
	if at, told := s.told[key]; told && now.Sub(at) < sparingInterval && !now.Before(at) {
		return false
	}
	if s.told == nil || len(s.told) >= maxSparing {
		s.told = make(map[string]time.Time)
	}
	s.told[key] = now
	return true
}

// untell takes back what tell has noted, since the audit log did not hear of it.
func (s *sparing) untell(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, key)
}

// RecordSparingly is Record for what costs whoever causes it nothing, and could fill
// the log: of what follows within a minute, with the same action and reason, by way
// of the same client, about the same account and from the same address, nothing is
// recorded. It does not stop when the caller goes away: that would be a way not to be
// seen.
func (e *Events) RecordSparingly(ctx context.Context, event Event) error {
	actor := ActorFrom(ctx)
	from := actor.ClientIP
	if addr, err := netip.ParseAddr(from); err == nil {
		from = neighbourhood(addr)
	}
	key := strings.Join([]string{event.Action, event.Reason, event.ClientID, actor.ClientID, event.AccountID, from}, " ")
	if !e.sparing.tell(key, e.stamp.now()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := e.Record(ctx, event)
	if err != nil {
		e.sparing.untell(key)
	}
	return err
}
