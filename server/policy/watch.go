package policy

import (
	"context"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// patience is how many quiet periods changes may go on before they are loaded
// although they have not come to rest.
const patience = 20

// Watch reloads the policy when its directories change, until ctx ends; then it
// returns nil. It looks once at the start, so nothing that happened since [New]
// is missed. Changes are loaded when they have come to rest for the quiet
// period, so that a checkout of many files is one change. Where the operating
// system's notifications can't be had, the directories are polled.
//
// What is refused is logged and in [Engine.Status]; it does not end the watch.
func (e *Engine) Watch(ctx context.Context) error {
	if !slices.ContainsFunc(e.source.roots, func(r root) bool { return r.dir != "" }) {
		<-ctx.Done()
		return nil
	}
	log := e.options.Logger
	var events chan fsnotify.Event
	var errs chan error
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("policy directories are polled: the operating system's notifications can't be had", "error", err)
	} else {
		defer notifier.Close()
		events, errs = notifier.Events, notifier.Errors
	}
	set := newWatchSet(e.source, notifier, log)

	var poll <-chan time.Time
	if e.options.PollInterval > 0 {
		ticker := time.NewTicker(e.options.PollInterval)
		defer ticker.Stop()
		poll = ticker.C
	}

	// The first look: something may have changed since New, and still be changing.
	set.update()
	quiet := time.NewTimer(e.options.QuietPeriod)
	defer quiet.Stop()
	changing := true
	latest := time.Now().Add(patience * e.options.QuietPeriod) // when the changes are loaded at the latest
	touch := func() {
		now := time.Now()
		if !changing {
			changing, latest = true, now.Add(patience*e.options.QuietPeriod)
		}
		quiet.Reset(min(e.options.QuietPeriod, max(0, latest.Sub(now))))
	}
	var seen fingerprint
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-events:
			if !ok {
				events = nil
			} else if set.concerns(event) {
				touch()
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			// Some notifications were lost, for whatever reason.
			log.Warn("policy directories: notifications were lost; looking again", "error", err)
			touch()
		case <-poll:
			if !changing && !seen.same(e.source, e.source.fingerprint()) {
				touch()
			}
		case <-quiet.C:
			changing = false
			// Watches first: whatever changes after it was read is then noticed.
			set.update()
			seen = e.source.fingerprint()
			_ = e.reload(ctx, false) // recorded in the status
		}
	}
}

// fingerprint is what a look at a source without reading it can tell.
type fingerprint struct {
	entries []entry
	err     string
}

func (s Source) fingerprint() fingerprint {
	entries, err := s.scan()
	if err != nil {
		return fingerprint{err: err.Error()}
	}
	return fingerprint{entries: entries}
}

func (f fingerprint) same(s Source, g fingerprint) bool {
	return f.err == g.err && s.same(f.entries, g.entries)
}
