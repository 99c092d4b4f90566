package server

import (
	"context"
	"time"
)

// pollInterval is how often the store is asked whether another process has
// changed it; what it has is then known within a second.
const pollInterval = 500 * time.Millisecond

// poll watches the store until ctx ends, and has what is kept in memory read
// anew after a change.
func (s *Server) poll(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	stale := false
	accountChanges := int64(-1) // not known yet
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		changed, err := s.store.Changed(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.logger.Error("the store can't be asked for changes", "error", err)
			}
			continue
		}
		// What could not be read stays stale, and is tried again.
		if stale = stale || changed; !stale {
			continue
		}
		if err := s.refresh(ctx, &accountChanges); err != nil {
			if ctx.Err() == nil {
				s.logger.Error("what the store holds could not be read anew", "error", err)
			}
			continue
		}
		stale = false
	}
}

// refresh reads anew what is kept in memory. Most changes of the store are none
// of accounts (the login throttle counts there, too), so subjects are forgotten
// only where accountChanges, the count when they last were, says so.
func (s *Server) refresh(ctx context.Context, accountChanges *int64) error {
	count, err := s.store.AccountChanges(ctx)
	if err != nil {
		return err
	}
	if count != *accountChanges {
		s.accounts.Forget()
		*accountChanges = count
	}
	return s.keyring.Reload(ctx)
}
