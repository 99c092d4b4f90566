package server

import (
	"context"
	"time"
)

// pollInterval is how often the store is asked whether another process has
// changed it; what it has is then known within a second.
const pollInterval = 500 * time.Millisecond

// watched is what the poll has seen of the store.
type watched struct {
	// stale says that there is a change which has not been read yet.
	stale bool
	// accountChanges is the store's count of them when subjects were last forgotten;
	// it is never negative, so -1 is one that is not known yet.
	accountChanges int64
}

// poll watches the store until ctx ends, and has what is kept in memory read
// anew after a change.
func (s *Server) poll(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	seen := &watched{accountChanges: -1}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := s.look(ctx, seen); err != nil && ctx.Err() == nil {
			s.logger.Error("the store can't be asked for changes, or what has changed be read anew", "error", err)
		}
	}
}

// look asks the store once whether it has changed. While it can't be asked,
// nobody knows whether what is remembered of accounts is still true: then it is
// forgotten, and every request asks the store itself, as without a memory.
func (s *Server) look(ctx context.Context, seen *watched) error {
	changed, err := s.store.Changed(ctx)
	// What could not be read stays stale, and is tried again.
	if seen.stale = seen.stale || changed; err == nil && seen.stale {
		err = s.refresh(ctx, seen)
	}
	if err != nil {
		s.accounts.Forget()
	}
	return err
}

// refresh reads anew what is kept in memory. Most changes of the store are none
// of accounts (the login throttle counts there, too), so subjects are forgotten
// only where the count of those says so.
func (s *Server) refresh(ctx context.Context, seen *watched) error {
	count, err := s.store.AccountChanges(ctx)
	if err != nil {
		return err
	}
	if count != seen.accountChanges {
		s.accounts.Forget()
		seen.accountChanges = count
	}
	if err := s.keyring.Reload(ctx); err != nil {
		return err
	}
	seen.stale = false
	return nil
}
