package server

import (
	"context"
	"log/slog"
	"time"
)

const (
	// eraseInterval is how often what the grace of refresh tokens has kept is erased.
	eraseInterval = 5 * time.Second
	// purgeInterval is how often what has ended is removed from the store.
	purgeInterval = time.Hour
)

// chore is housekeeping in the store. A run that fails is tried again at the next;
// nothing depends on it but the size of the store, and how long a secret lies in it.
type chore struct {
	what string
	do   func(context.Context) error
}

// chores are those of each interval.
func (s *Server) chores() (often, seldom []chore) {
	often = []chore{{"erasing the successors of refresh tokens", s.sessions.Erase}}
	seldom = []chore{
		{"removing sessions that have ended", s.sessions.Purge},
		{"removing revocations of tokens that have expired", s.revocations.Purge},
	}
	if retention := s.cfg.AuditRetention; retention > 0 {
		seldom = append(seldom, chore{"removing old audit events", func(ctx context.Context) error {
			_, err := s.events.Purge(ctx, retention)
			return err
		}})
	}
	return often, seldom
}

// doChores does them until ctx ends: all at once at the beginning, for the server
// may be restarted more often than they are due.
func (s *Server) doChores(ctx context.Context) {
	often, seldom := s.chores()
	erase, purge := time.NewTicker(eraseInterval), time.NewTicker(purgeInterval)
	defer erase.Stop()
	defer purge.Stop()
	run(ctx, s.logger, often, seldom)
	for {
		select {
		case <-ctx.Done():
			return
		case <-erase.C:
			run(ctx, s.logger, often)
		case <-purge.C:
			run(ctx, s.logger, seldom)
		}
	}
}

func run(ctx context.Context, logger *slog.Logger, lists ...[]chore) {
	for _, list := range lists {
		for _, c := range list {
			if err := c.do(ctx); err != nil && ctx.Err() == nil {
				logger.Error("housekeeping failed; it is tried again later", "what", c.what, "error", err)
			}
		}
	}
}
