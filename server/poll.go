package server

import (
	"context"
	"time"
)

// pollInterval is how soon changes that other processes made to the store are
// noticed.
const pollInterval = time.Second

// poll watches the store until ctx ends, and has what is kept in memory read
// anew after a change.
func (s *Server) poll(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	stale := false
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
		if err := s.keyring.Reload(ctx); err != nil {
			if ctx.Err() == nil {
				s.logger.Error("the signing keys could not be read anew", "error", err)
			}
			continue
		}
		stale = false
	}
}
