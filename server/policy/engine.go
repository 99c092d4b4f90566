package policy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Engine keeps the policy that is live, and replaces it when its source
// changes. A replacement is one pointer swap: whoever took the snapshot before
// keeps deciding by it.
type Engine struct {
	source  Source
	options Options
	current atomic.Pointer[Snapshot]

	// reloading serialises reloads.
	reloading sync.Mutex

	// mu guards what Status shows.
	mu          sync.Mutex
	activatedAt time.Time
	failure     *Failure
	refusal     *LoadError // the error behind failure

	// telling serialises OnStatus.
	telling sync.Mutex
}

// New loads the source, believing what the record has of it. A policy that is
// refused is a *[LoadError], and there is no engine. Nothing is watched before
// [Engine.Watch].
func New(ctx context.Context, source Source, options Options) (*Engine, error) {
	e := &Engine{source: source, options: options.withDefaults()}
	c, err := source.read(ctx)
	if err != nil {
		return nil, readError(ctx, err)
	}
	before := recall(c, e.options)
	s, err := load(ctx, c, e.options, before)
	if err != nil && before != nil {
		// What a note says makes a start faster, and never fails one.
		s, err = load(ctx, c, e.options, nil)
	}
	if err != nil {
		return nil, err
	}
	e.activate(s)
	note(c, s, e.options)
	return e, nil
}

// Current is the snapshot that is live; never nil.
func (e *Engine) Current() *Snapshot { return e.current.Load() }

// Reload looks at the source now. What is live already is left alone; what was
// refused before is tried again. A refusal is a *[LoadError] and leaves the
// live snapshot alone.
func (e *Engine) Reload(ctx context.Context) error { return e.reload(ctx, true) }

// reload makes the source's content live. Unless again is set, content that was
// refused before is not tried again.
func (e *Engine) reload(ctx context.Context, again bool) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()

	c, err := e.source.read(ctx)
	if err != nil {
		return e.refuse(readError(ctx, err))
	}
	if c.digest == e.Current().Revision() {
		e.settle()
		return nil
	}
	if refusal := e.lastRefusal(); !again && refusal != nil && refusal.Revision == c.digest {
		return refusal
	}
	s, err := load(ctx, c, e.options, nil)
	if err != nil {
		return e.refuse(err)
	}
	e.activate(s)
	note(c, s, e.options)
	return nil
}

// activate makes a snapshot live.
func (e *Engine) activate(s *Snapshot) {
	if old := e.current.Load(); old != nil {
		old.warnings.listen(nil)
	}
	s.warnings.listen(e.tell)
	e.mu.Lock()
	e.current.Store(s)
	e.activatedAt = e.options.Now().UTC()
	e.failure, e.refusal = nil, nil
	e.mu.Unlock()
	tested := slog.Duration("tests_took", s.tests.Duration)
	if s.recalled {
		tested = slog.Time("tests_passed_before", s.passedAt)
	}
	e.tell()
	e.options.Logger.Info("policy activated",
		"revision", s.Revision(), "modules", s.Modules(), "routes", len(s.routes.patterns),
		"tests", s.tests.Total, tested)
}

// settle notes that the source holds what is live.
func (e *Engine) settle() {
	e.mu.Lock()
	failed := e.failure != nil
	e.failure, e.refusal = nil, nil
	e.mu.Unlock()
	if failed {
		e.tell()
		e.options.Logger.Info("policy unchanged: the source holds again what is live", "revision", e.Current().Revision())
	}
}

// refuse records why the source's content does not become live, and returns the
// error. An error that says nothing about the content is only returned.
func (e *Engine) refuse(err error) error {
	var refusal *LoadError
	if !errors.As(err, &refusal) {
		return err
	}
	now := e.options.Now().UTC()
	e.mu.Lock()
	news := e.refusal == nil || e.refusal.Revision != refusal.Revision || !slices.Equal(e.refusal.Problems, refusal.Problems)
	failure := &Failure{At: now, Since: now, Revision: refusal.Revision, Problems: refusal.Problems}
	if e.failure != nil {
		failure.Since = e.failure.Since
	}
	e.failure, e.refusal = failure, refusal
	e.mu.Unlock()

	if !news {
		return err // only At has changed
	}
	e.tell()
	e.options.Logger.Error("policy refused; the live one stays",
		"problems", len(refusal.Problems), "refused", refusal.Revision, "live", e.Current().Revision())
	for _, p := range refusal.Problems {
		e.options.Logger.Error("policy problem", p.attrs()...)
	}
	return err
}

// attrs are the problem's members for the log, without the empty ones.
func (p Problem) attrs() []any {
	attrs := []any{slog.String("code", p.Code), slog.String("message", p.Message)}
	for _, m := range [][2]string{{"file", p.File}, {"test", p.Test}, {"expected", p.Expected}, {"got", p.Got}} {
		if m[1] != "" {
			attrs = append(attrs, slog.String(m[0], m[1]))
		}
	}
	if p.Line > 0 {
		attrs = append(attrs, slog.Int("line", p.Line))
	}
	return attrs
}

func (e *Engine) lastRefusal() *LoadError {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusal
}

// Status is what is live, since when, and what is wrong with what is not.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.current.Load()
	status := Status{
		Revision:    s.Revision(),
		ActivatedAt: e.activatedAt,
		Modules:     s.Modules(),
		Routes:      len(s.routes.patterns),
		Tests:       s.Tests(),
		Warnings:    append([]Warning{}, s.Warnings()...),

		DecisionCacheBytes: s.CacheStats().MaxBytes,
		Uncacheable:        append([]Problem{}, s.Uncacheable()...),
	}
	for _, r := range e.source.roots {
		status.Sources = append(status.Sources, r.name)
	}
	if s.recalled {
		status.PassedBefore = &s.passedAt
	}
	if e.failure != nil {
		f := *e.failure
		f.Problems = slices.Clone(f.Problems)
		status.LastError = &f
	}
	return status
}

// tell hands the status to OnStatus. That comes before the line in the log: whoever
// has read that finds the status.
func (e *Engine) tell() {
	if e.options.OnStatus == nil {
		return
	}
	e.telling.Lock()
	defer e.telling.Unlock()
	e.options.OnStatus(e.Status())
}
