package server

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// pollInterval is how often the store is asked whether another process has
// changed it, and how long it may take to answer; what another has changed is then
// known, or forgotten, within a second.
const pollInterval = 500 * time.Millisecond

// changes is what the poll asks of the store.
type changes interface {
	// Changed reports whether another process has changed anything since the last
	// call.
	Changed(context.Context) (bool, error)
	// AccountChanges counts the changes of accounts.
	AccountChanges(context.Context) (int64, error)
}

// poll watches the store for what other processes change in it.
type poll struct {
	changes changes
	forget  func()                      // has subjects looked up anew
	doubt   func()                      // has the store asked about all else, until reload
	reload  func(context.Context) error // reads keys, clients and revocations anew
	logger  *slog.Logger

	// stale says that there is a change which has not been read yet, and doubted that
	// the store is asked until reload has succeeded.
	stale   bool
	doubted atomic.Bool
	// accountChanges is the store's count of them when subjects were last forgotten;
	// it is never negative, so -1 is one that is not known yet.
	accountChanges int64
}

func (s *Server) newPoll() *poll {
	return &poll{
		changes: s.store, forget: s.accounts.Forget, logger: s.logger,
		doubt: func() {
			s.clients.Doubt()
			s.revocations.Doubt()
		},
		reload: func(ctx context.Context) error {
			return errors.Join(s.revocations.Reload(ctx), s.clients.Reload(ctx), s.keyring.Reload(ctx))
		},
		accountChanges: -1,
	}
}

// run watches the store until ctx ends, and has what is kept in memory read anew
// after a change.
//
// A look that has not returned by the next one's time is not relied upon to: a
// call into a disk that has stalled may heed no deadline. Until it returns,
// subjects are forgotten at each tick.
func (p *poll) run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	looked := make(chan error, 1)
	looking, warned := false, false
	for {
		select {
		case <-ctx.Done():
			if looking {
				<-looked
			}
			return nil
		case err := <-looked:
			looking, warned = false, false
			if err != nil && ctx.Err() == nil {
				p.logger.Error("the store can't be asked for changes, or what has changed be read anew", "error", err)
			}
		case <-ticker.C:
			if !looking {
				looking = true
				go func() { looked <- p.lookInTime(ctx) }()
				continue
			}
			p.distrust()
			if !warned {
				warned = true
				p.logger.Warn("the store takes too long to say what has changed; until it does, nothing is remembered")
			}
		}
	}
}

// lookInTime is look, with the time that it may take.
func (p *poll) lookInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	return p.look(ctx)
}

// look asks the store once whether it has changed. While it can't be asked,
// nobody knows whether what is remembered is still true: then it is
// forgotten, and every request asks the store itself, as without a memory.
func (p *poll) look(ctx context.Context) error {
	changed, err := p.changes.Changed(ctx)
	// What could not be read stays stale, and is tried again.
	doubted := p.doubted.Swap(false)
	if p.stale = p.stale || changed || doubted; err == nil && p.stale {
		err = p.refresh(ctx)
	}
	if err != nil {
		p.distrust()
	}
	return err
}

// distrust has the store asked about everything.
func (p *poll) distrust() {
	p.forget()
	p.doubt()
	p.doubted.Store(true)
}

// refresh reads anew what is kept in memory. Most changes of the store are none
// of accounts (the login throttle counts there, too), so subjects are forgotten
// only where the count of those says so.
func (p *poll) refresh(ctx context.Context) error {
	count, err := p.changes.AccountChanges(ctx)
	if err != nil {
		return err
	}
	if count != p.accountChanges {
		p.forget()
		p.accountChanges = count
	}
	if err := p.reload(ctx); err != nil {
		return err
	}
	p.stale = false
	return nil
}
