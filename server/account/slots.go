package account

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// busyRetryAfter is about how long a full queue of the default size takes on two
// cores.
const busyRetryAfter = 5 * time.Second

// slots lets a few run at once and a few more wait in line, first come first
// served.
type slots struct {
	running chan struct{}
	waiting atomic.Int64
	queue   int64
}

func newSlots(concurrency, queue int) *slots {
	return &slots{running: make(chan struct{}, concurrency), queue: int64(queue)}
}

// acquire waits for a slot; a [*BusyError] when too many wait already.
func (s *slots) acquire(ctx context.Context) error {
	select {
	case s.running <- struct{}{}:
		return nil
	default:
	}
	if s.waiting.Add(1) > s.queue {
		s.waiting.Add(-1)
		return &BusyError{RetryAfter: busyRetryAfter}
	}
	defer s.waiting.Add(-1)
	select {
	case s.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to check a password: %w", ctx.Err())
	}
}

func (s *slots) release() { <-s.running }
