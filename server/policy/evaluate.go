package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/print"
)

// ErrDeadline says that an evaluation was cancelled at its deadline.
var ErrDeadline = errors.New("the policy took longer than its deadline")

// ErrUndefined says that a document has no value for the input.
var ErrUndefined = errors.New("undefined")

// maxBeside is how many evaluations of a snapshot may run beside their callers at
// a time, those included that go on after their deadline. More would not be
// faster, and each that never ends keeps its memory. A caller beyond them waits
// for one to end until its own deadline, and is refused at once where all of them
// are past theirs.
const maxBeside = 64

// evaluate answers a query. A nil value means undefined. An evaluation that was
// cancelled is an error even where it ended with a result.
//
// Evaluation can be cancelled between any two steps, but not within one call of
// a builtin. A query that calls only builtins that are known to be quick runs
// here, in the caller's goroutine; any other, for which slow says why, runs beside
// its caller.
func (s *Snapshot) evaluate(ctx context.Context, q *query, slow string, input ast.Value, now time.Time) (ast.Value, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if slow != "" {
		return s.evaluateBeside(ctx, q, input, now)
	}
	return s.evaluateHere(ctx, q, input, now)
}

// evaluateHere evaluates in the caller's goroutine.
func (s *Snapshot) evaluateHere(ctx context.Context, q *query, input ast.Value, now time.Time) (ast.Value, error) {
	e := q.evaluation()
	e.limit.start(ctx, s.timeFor(q))
	value, err := e.run(ctx, input, now, &e.limit)
	ended, told := e.limit.ended, e.limit.told
	if e.limit.stop() {
		q.release(e)
	}
	switch {
	case ended:
		return nil, ctx.Err()
	case told:
		return nil, fmt.Errorf("%w of %s", ErrDeadline, s.timeFor(q))
	default:
		return value, err
	}
}

// outcome is how an evaluation ended.
type outcome struct {
	value ast.Value
	err   error
}

// evaluateBeside evaluates in a goroutine of its own: the caller gets the answer
// at the deadline whatever a builtin does, such as a regular expression over a
// long text. What goes on beyond the deadline is counted, and bounded.
func (s *Snapshot) evaluateBeside(ctx context.Context, q *query, input ast.Value, now time.Time) (ast.Value, error) {
	timer := time.NewTimer(s.timeFor(q))
	defer timer.Stop()
	if err := s.takeSlot(ctx, s.timeFor(q), timer.C); err != nil {
		return nil, err
	}
	cancel := topdown.NewCancel()
	ended := make(chan outcome, 1)
	var left atomic.Bool // set by whichever of the two is done first
	go func() {
		defer func() { <-s.beside }()
		e := q.evaluation()
		value, err := e.run(ctx, input, now, cancel)
		q.release(e)
		ended <- outcome{value, err}
		if !left.CompareAndSwap(false, true) {
			s.abandoned.Add(-1)
		}
	}()
	abandon := func(err error) (ast.Value, error) {
		cancel.Cancel()
		s.abandoned.Add(1)
		if !left.CompareAndSwap(false, true) {
			s.abandoned.Add(-1) // it ended just now
		}
		return nil, err
	}
	select {
	case o := <-ended:
		return o.value, o.err
	case <-timer.C:
		return abandon(fmt.Errorf("%w of %s", ErrDeadline, s.timeFor(q)))
	case <-ctx.Done():
		return abandon(ctx.Err())
	}
}

// takeSlot waits for one of the slots that evaluations beside their callers have.
func (s *Snapshot) takeSlot(ctx context.Context, d time.Duration, deadline <-chan time.Time) error {
	select {
	case s.beside <- struct{}{}:
		return nil
	default:
	}
	if s.abandoned.Load() >= maxBeside {
		return fmt.Errorf("%w: %d evaluations before this one are still running beyond theirs", ErrDeadline, maxBeside)
	}
	select {
	case s.beside <- struct{}{}:
		return nil
	case <-deadline:
		return fmt.Errorf("%w of %s, waiting for %d before it", ErrDeadline, d, maxBeside)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask evaluates an entrypoint for a decision. A nil value means that it answered
// nothing, which has been reported. slow is as for evaluate.
func (s *Snapshot) ask(ctx context.Context, e entrypoint, slow string, input ast.Value, now time.Time, about func() string) (ast.Value, error) {
	q := s.queries[e]
	if q == nil {
		return nil, nil // reported at load
	}
	value, err := s.evaluate(ctx, q, slow, input, now)
	switch {
	case errors.Is(err, ErrDeadline):
		s.warn(Warning{Code: WarnDeadline, Entrypoint: e.String(),
			Message: fmt.Sprintf("%s was cancelled at its deadline of %s for %s; look for loops over large inputs", e, s.deadline(), about())})
	case err != nil && ctx.Err() == nil:
		s.warn(Warning{Code: WarnEvaluation, Entrypoint: e.String(),
			Message: fmt.Sprintf("%s could not be evaluated for %s: %v", e, about(), err)})
	case err == nil && value == nil:
		s.warn(Warning{Code: WarnUndefined, Entrypoint: e.String(),
			Message: fmt.Sprintf("%s is undefined for %s, which denies; give it a default", e, about())})
	}
	if err != nil {
		return nil, fmt.Errorf("decide by %s: %w", e, err)
	}
	return value, nil
}

// wrongType reports an answer that is no decision.
func (s *Snapshot) wrongType(e entrypoint, about func() string, err error) {
	s.warn(Warning{Code: WarnWrongType, Entrypoint: e.String(),
		Message: fmt.Sprintf("%s answered %s with something that is no decision, which denies: %v", e, about(), err)})
}

// Eval evaluates any document below data, named without the data prefix
// ("authz.decision"), over any input that encoding/json could write; nil is no
// input. It is for people looking at a policy, not for deciding. A document
// without a value is [ErrUndefined].
func (s *Snapshot) Eval(ctx context.Context, document string, input any) (any, error) {
	ref, err := ast.ParseRef("data." + strings.TrimPrefix(document, "data."))
	if err != nil || !ref.IsGround() || !ref.HasPrefix(ast.DefaultRootRef) {
		return nil, fmt.Errorf("%q is no document: name one as authz.decision", document)
	}
	q, err := s.prepare(ref)
	if err != nil {
		return nil, err
	}
	var value ast.Value
	if input != nil {
		if value, err = ast.InterfaceToValue(input); err != nil {
			return nil, fmt.Errorf("read the input: %w", err)
		}
	}
	result, err := s.evaluate(ctx, q, mayRunLong(newAnalyzer(s.compiler), ref), value, s.options.Now())
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", ref, err)
	}
	if result == nil {
		return nil, fmt.Errorf("%s: %w", ref, ErrUndefined)
	}
	return ast.JSON(result)
}

// printer writes what a policy prints to the log.
type printer struct {
	logger   *slog.Logger
	revision string
}

// Print implements print.Hook.
func (p printer) Print(c print.Context, message string) error {
	file, line := "", 0
	if c.Location != nil {
		file, line = c.Location.File, c.Location.Row
	}
	p.logger.Debug("policy print", "message", message, "file", file, "line", line, "revision", p.revision)
	return nil
}
