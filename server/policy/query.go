package policy

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// query is a document to ask for, compiled. It may be used by any number of
// goroutines, each with an [evaluation] of its own.
type query struct {
	fresh func() *evaluation
	free  sync.Pool // of *evaluation
	// deadlines is how many deadlines an evaluation has.
	deadlines time.Duration
}

// answer is the variable that a query binds.
const answer = ast.Var("answer")

// prepare compiles a query for a document.
func (s *Snapshot) prepare(ref ast.Ref) (*query, error) {
	c := s.compiler.QueryCompiler()
	body, err := c.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref), ast.NewTerm(answer))))
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", ref, err)
	}
	none := map[string]any{}
	return &query{
		deadlines: 1,
		fresh: func() *evaluation {
			e := &evaluation{}
			e.found = e.keep
			e.topdown = s.topdown(body).
				WithQueryCompiler(c).
				WithVirtualCache(&e.rules).
				WithInterQueryBuiltinValueCache(s.patterns).
				WithPrintHook(s.prints).
				WithRequestMetadata(none) // or one is made each time
			return e
		},
	}, nil
}

// topdown is what all evaluations of the snapshot have in common: its rules and
// data, bounded builtins, and no metrics.
func (s *Snapshot) topdown(body ast.Body) *topdown.Query {
	return topdown.NewQuery(body).
		WithCompiler(s.compiler).
		WithStore(s.store).
		WithTransaction(s.txn).
		WithMetrics(metrics.NoOp()).
		WithBaseCache(s.documents).
		WithBuiltins(bounded)
}

func (q *query) evaluation() *evaluation {
	if e, ok := q.free.Get().(*evaluation); ok {
		return e
	}
	return q.fresh()
}

// release lets an evaluation be used again.
func (q *query) release(e *evaluation) {
	if e.broken {
		return
	}
	e.topdown.WithInput(nil).WithCancel(nil)
	e.value = nil
	e.rules.reset()
	q.free.Put(e)
}

// evaluation is what one evaluation of a query needs, kept for the next one.
type evaluation struct {
	topdown *topdown.Query
	rules   ruleCache
	limit   limit
	value   ast.Value
	found   func(topdown.QueryResult) error // is keep, made once
	broken  bool                            // it panicked, so nobody knows what state it is in
}

func (e *evaluation) keep(r topdown.QueryResult) error {
	if t := r[answer]; t != nil {
		e.value = t.Value
	}
	return nil
}

// run evaluates. A nil value means undefined.
func (e *evaluation) run(ctx context.Context, input ast.Value, now time.Time, cancel topdown.Cancel) (value ast.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.broken = true
			value, err = nil, fmt.Errorf("the policy engine panicked: %v", p)
		}
	}()
	var term *ast.Term
	if input != nil {
		term = ast.NewTerm(input) // not kept: the answer may hold it
	}
	if err := e.topdown.WithInput(term).WithTime(now).WithCancel(cancel).Iter(ctx, e.found); err != nil {
		return nil, err
	}
	return e.value, nil
}

// limit ends an evaluation that runs in its caller's goroutine, at the deadline
// or with the caller's context. It implements [topdown.Cancel].
type limit struct {
	timer   *time.Timer
	expired atomic.Bool // set by the timer

	// These belong to the goroutine that evaluates.
	ctx   context.Context
	ended bool // with ctx
	told  bool // that it is over
	looks uint
}

func (l *limit) start(ctx context.Context, d time.Duration) {
	l.ctx, l.ended, l.told, l.looks = ctx, false, false, 0
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.Cancel)
		return
	}
	l.timer.Reset(d)
}

// stop reports whether the limit can be started again: not if its timer has
// fired, and may be about to set it.
func (l *limit) stop() (again bool) {
	l.ctx = nil
	return l.timer.Stop()
}

// Cancel implements [topdown.Cancel].
func (l *limit) Cancel() { l.expired.Store(true) }

// looksPerContext is how often the engine asks before the context is looked at.
// The context ends when a client goes away, which costs nothing but the rest of
// an evaluation that has a deadline; watching it from outside
// (context.AfterFunc) costs several allocations each time.
const looksPerContext = 16

// minLooks is how often the engine may ask, whatever the time: once for each
// step, about a millisecond of work in all. A process that was not let run for a
// while, on a busy machine, must not refuse what takes it microseconds.
const minLooks = 5000

// Cancelled implements [topdown.Cancel].
func (l *limit) Cancelled() bool {
	l.looks++
	if l.looks%looksPerContext == 0 && l.ctx.Err() != nil {
		l.ended = true
	}
	l.told = l.told || l.ended || (l.looks > minLooks && l.expired.Load())
	return l.told
}
