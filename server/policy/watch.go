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
// Loading does not hold up the watch: a change made meanwhile cancels it, so
// that a test which takes long does not keep its own correction waiting.
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
	var spared bool // a missing file has been given more time
	loads := loads{engine: e}
	defer loads.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-loads.done:
			loads.ended(ctx)
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
			// Watches first: whatever changes after it was read is then noticed.
			set.update()
			now := e.source.fingerprint()
			if !spared && seen.lost(now) {
				// Some programs save by deleting a file and writing it anew.
				spared = true
				quiet.Reset(2 * e.options.QuietPeriod)
				continue
			}
			changing, spared, seen = false, false, now
			loads.start(ctx)
		}
	}
}

// loads are the reloads of one watch: one at a time, the next for what has
// changed since.
type loads struct {
	engine *Engine
	// cancel and done belong to the reload that is running; nil where none is.
	cancel context.CancelFunc
	done   chan struct{}
	// wanted is set while something has changed since the running one began.
	wanted bool
	// cancelled counts those cancelled in a row, so that changes which never end
	// still let one through.
	cancelled int
}

// start reloads now, or as soon as the running reload has ended, which it
// hastens.
func (l *loads) start(ctx context.Context) {
	if l.done != nil {
		l.wanted = true
		if l.cancelled < patience {
			l.cancelled++
			l.cancel()
		}
		return
	}
	attempt, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	l.cancel, l.done = cancel, done
	go func() {
		defer close(done)
		_ = l.engine.reload(attempt, false) // recorded in the status
	}()
}

// ended takes note that the running reload is over, and starts the next one if
// one is wanted.
func (l *loads) ended(ctx context.Context) {
	l.cancel()
	l.cancel, l.done = nil, nil
	if l.wanted {
		l.wanted = false
		l.start(ctx)
		return
	}
	l.cancelled = 0
}

// stop cancels the running reload and waits for it.
func (l *loads) stop() {
	if l.done != nil {
		l.cancel()
		<-l.done
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

// lost reports whether a file that f saw is missing in g.
func (f fingerprint) lost(g fingerprint) bool {
	if g.err != "" {
		return f.err == "" && len(f.entries) > 0
	}
	there := make(map[entryKey]bool, len(g.entries))
	for _, e := range g.entries {
		there[entryKey{e.root, e.rel}] = true
	}
	return slices.ContainsFunc(f.entries, func(e entry) bool { return !there[entryKey{e.root, e.rel}] })
}

// entryKey names a file within a source.
type entryKey struct {
	root int
	rel  string
}

func (f fingerprint) same(s Source, g fingerprint) bool {
	return f.err == g.err && s.same(f.entries, g.entries)
}
