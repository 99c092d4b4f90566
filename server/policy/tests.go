package policy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Outcome is how a test ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Errored Outcome = "error"
	Skipped Outcome = "skipped" // named todo_test_…
)

// TestResult is the result of one test.
type TestResult struct {
	// Name is the full name, such as data.authz_test.test_admin.
	Name string `json:"name"`
	File string `json:"file"`
	// Line is where the test begins.
	Line     int           `json:"line"`
	Outcome  Outcome       `json:"outcome"`
	Duration time.Duration `json:"duration"` // nanoseconds
	// Output is what the test printed.
	Output string `json:"output,omitempty"`
	// Problem says why the test did not pass, and where; nil where it did.
	Problem *Problem `json:"problem,omitempty"`
}

// TestCounts sums up a run.
type TestCounts struct {
	Total   int `json:"total"`
	Passed  int `json:"passed"`
	Failed  int `json:"failed"` // with those that could not be evaluated
	Skipped int `json:"skipped"`
	// Duration is how long the whole run took, in nanoseconds.
	Duration time.Duration `json:"duration"`
}

// testRun is a run of a policy's tests.
type testRun struct {
	// compiler is what the tests ran on; nil where there are none.
	compiler *ast.Compiler
	results  []TestResult
	took     time.Duration
	// overdue is set when the deadline ended the run.
	overdue *Problem
	cover   *cover.Cover
}

// test runs the tests with OPA's own tester.
func (l *loading) test(ctx context.Context, o TestOptions) (*testRun, error) {
	run := &testRun{}
	if o.Coverage {
		run.cover = cover.New()
	}
	if !hasTests(l.modules) {
		return run, nil
	}
	// The deadline is for running the tests, not for compiling them.
	began := l.options.Now()
	deadline := l.options.TestDeadline
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var expired atomic.Bool
	start := func() (stop func() bool) {
		return time.AfterFunc(deadline, func() {
			expired.Store(true)
			cancel()
		}).Stop
	}

	run.compiler = l.compiler().WithEnablePrintStatements(true)
	raw, err := l.runTests(ctx, run.compiler, o.Run, run.cover, start)
	if err != nil {
		return nil, err
	}
	var explained map[*tester.Result]explanation
	if failed := slices.DeleteFunc(slices.Clone(raw), func(r *tester.Result) bool { return !r.Fail }); len(failed) > 0 {
		stop := start()
		explained = l.explain(ctx, failed)
		stop()
	}
	for _, r := range raw {
		run.results = append(run.results, l.result(r, explained[r]))
	}
	if expired.Load() && !slices.ContainsFunc(run.results, func(r TestResult) bool { return r.Problem != nil }) {
		run.overdue = &Problem{Code: CodeTestTimeout, Message: overdue(deadline)}
	}
	run.took = l.options.Now().Sub(began)
	return run, nil
}

func overdue(deadline time.Duration) string {
	return fmt.Sprintf("the tests did not end within %s; make them faster, or raise the deadline", deadline)
}

// runTests compiles the modules, runs the tests that a pattern selects and waits
// for all of them. start is called when they begin to run, what it returns when
// they have ended. The results are ordered by file and line.
func (l *loading) runTests(ctx context.Context, c *ast.Compiler, pattern string, coverage *cover.Cover, start func() (stop func() bool)) ([]*tester.Result, error) {
	txn, err := l.store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("run the policy's tests: %w", err)
	}
	release := func() { l.store.Abort(context.WithoutCancel(ctx), txn) }

	runner := tester.NewRunner().
		SetCompiler(c).
		SetStore(l.store).
		SetModules(l.modules).
		CapturePrintOutput(true).
		SetTimeout(l.options.TestDeadline).
		Filter(pattern)
	if coverage != nil {
		runner.SetCoverageRuns(nil).SetCoverageQueryTracer(coverage)
	}
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		release()
		return nil, err
	}
	defer start()()
	var all []*tester.Result
	cancelled, patienceOver := ctx.Done(), (<-chan time.Time)(nil)
	for results != nil {
		select {
		case r, ok := <-results:
			if !ok {
				release()
				results = nil
				continue
			}
			all = append(all, r)
		case <-cancelled:
			// Most tests end at once now.
			cancelled, patienceOver = nil, time.After(cancelGrace)
		case <-patienceOver:
			// One within a long call of a builtin does not, and is not waited for.
			go func(late <-chan *tester.Result) {
				for range late { // nobody wants it any more
				}
				release()
			}(results)
			results = nil
		}
	}
	slices.SortFunc(all, func(a, b *tester.Result) int {
		return cmp.Or(cmp.Compare(a.Location.File, b.Location.File), cmp.Compare(a.Location.Row, b.Location.Row))
	})
	return all, nil
}

// cancelGrace is how long cancelled tests may take to end.
const cancelGrace = time.Second

// result translates one result of OPA's tester.
func (l *loading) result(r *tester.Result, why explanation) TestResult {
	out := TestResult{
		Name:     r.Package + "." + r.Name,
		File:     r.Location.File,
		Line:     r.Location.Row,
		Outcome:  Passed,
		Duration: r.Duration,
		Output:   strings.TrimRight(string(r.Output), "\n"),
	}
	if r.Pass() {
		return out
	}
	if r.Skip {
		out.Outcome = Skipped
		return out
	}
	p := &Problem{Test: out.Name, File: out.File, Line: out.Line, Column: r.Location.Col}
	out.Problem = p
	switch {
	case r.Error != nil && topdown.IsCancel(r.Error):
		out.Outcome = Errored
		p.Code, p.Message = CodeTestTimeout, overdue(l.options.TestDeadline)
	case r.Error != nil:
		out.Outcome = Errored
		p.Code, p.Message = CodeTestError, "the test could not be evaluated: "+r.Error.Error()
	default:
		out.Outcome = Failed
		p.Code, p.Message = CodeTestFailed, "test "+out.Name+" failed"
		if why.line > 0 {
			p.Line, p.Column = why.line, why.column
		}
		p.Expected, p.Got = cmp.Or(why.expected, "true"), cmp.Or(why.got, "false or undefined")
		if cases := failedCases(r.SubResults); len(cases) > 0 {
			p.Message += " in the cases " + strings.Join(cases, ", ")
		}
	}
	if out.Output != "" {
		p.Message += "; it printed: " + shorten(out.Output)
	}
	return out
}

// failedCases names the failed cases of a table-driven test.
func failedCases(results tester.SubResultMap) []string {
	var names []string
	for path, r := range results.Iter {
		if r.Fail && len(r.SubResults) == 0 {
			names = append(names, strings.Join(path, "/"))
		}
	}
	return names
}

// problems are the reasons for which a run refuses the policy.
func (r *testRun) problems() []Problem {
	var all []Problem
	for _, t := range r.results {
		if t.Problem != nil {
			all = append(all, *t.Problem)
		}
	}
	if r.overdue != nil {
		all = append(all, *r.overdue)
	}
	return all
}

// counts sums up the run.
func (r *testRun) counts() TestCounts {
	c := TestCounts{Total: len(r.results), Duration: r.took}
	for _, t := range r.results {
		switch t.Outcome {
		case Passed:
			c.Passed++
		case Skipped:
			c.Skipped++
		default:
			c.Failed++
		}
	}
	return c
}

// hasTests reports whether there is any rule that the tester runs.
func hasTests(modules map[string]*ast.Module) bool {
	for m := range maps.Values(modules) {
		for _, rule := range m.Rules {
			for _, term := range rule.Head.Ref().GroundPrefix() {
				name := ""
				switch v := term.Value.(type) {
				case ast.Var:
					name = string(v)
				case ast.String:
					name = string(v)
				}
				if strings.HasPrefix(name, tester.TestPrefix) || strings.HasPrefix(name, tester.SkipTestPrefix) {
					return true
				}
			}
		}
	}
	return false
}

// sortProblems orders problems by place.
func sortProblems(all []Problem) {
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
