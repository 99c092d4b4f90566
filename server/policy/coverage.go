package policy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
)

// TestOptions set what [Test] runs.
type TestOptions struct {
	// Run is a regular expression that a test's full name has to match somewhere;
	// empty means all tests.
	Run string
	// Coverage asks for coverage, too. It makes the run slower.
	Coverage bool
}

// TestReport is what [Test] found.
type TestReport struct {
	Tests  []TestResult `json:"tests"`
	Counts TestCounts   `json:"counts"`
	// Problem is set when the tests were cut short at their deadline.
	Problem *Problem `json:"problem,omitempty"`
	// Coverage is nil unless it was asked for.
	Coverage *Coverage `json:"coverage,omitempty"`
}

// OK reports whether no test failed. Skipped tests do not count.
func (r TestReport) OK() bool { return r.Counts.Failed == 0 && r.Problem == nil }

// Coverage says which lines the tests ran. A line counts when it holds an
// expression or a rule's head, in tests as well: the figures are those of
// `opa test --coverage`.
type Coverage struct {
	// Percent is 0 to 100, of all files together; 100 where there is nothing to
	// cover.
	Percent         float64        `json:"percent"`
	CoveredLines    int            `json:"covered_lines"`
	NotCoveredLines int            `json:"not_covered_lines"`
	Files           []FileCoverage `json:"files"` // by name
}

// FileCoverage is the coverage of one file.
type FileCoverage struct {
	File            string  `json:"file"`
	Percent         float64 `json:"percent"`
	CoveredLines    int     `json:"covered_lines"`
	NotCoveredLines int     `json:"not_covered_lines"`
	// NotCovered are the lines that no test ran, joined where they touch.
	NotCovered []LineRange `json:"not_covered,omitempty"`
}

// LineRange is a range of lines, both ends included.
type LineRange struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// String is "7" or "7-9".
func (r LineRange) String() string {
	if r.Start == r.End {
		return fmt.Sprint(r.Start)
	}
	return fmt.Sprintf("%d-%d", r.Start, r.End)
}

// Test loads a source as [Load] does, runs its tests and reports each. Failing
// tests are no error; a policy that does not get as far as being tested is a
// *[LoadError].
func Test(ctx context.Context, source Source, options Options, o TestOptions) (TestReport, error) {
	if _, err := regexp.Compile(o.Run); err != nil {
		return TestReport{}, fmt.Errorf("select tests: %w", err)
	}
	c, err := source.read(ctx)
	if err != nil {
		return TestReport{}, readError(ctx, err)
	}
	l, err := parse(c, options.withDefaults())
	if err != nil {
		return TestReport{}, l.refused(err)
	}
	if err := l.check(); err != nil {
		return TestReport{}, l.refused(err)
	}
	run, err := l.test(ctx, o)
	if err != nil {
		return TestReport{}, l.refused(err)
	}
	if ctx.Err() != nil {
		return TestReport{}, ctx.Err()
	}
	report := TestReport{Tests: run.results, Counts: run.counts(), Problem: run.overdue}
	if run.cover != nil {
		report.Coverage = coverageOf(run.cover, l.modules)
	}
	return report, nil
}

// coverageOf translates OPA's report.
func coverageOf(c *cover.Cover, modules map[string]*ast.Module) *Coverage {
	report := c.Report(modules)
	out := &Coverage{
		Percent:         percent(report.CoveredLines, report.NotCoveredLines),
		CoveredLines:    report.CoveredLines,
		NotCoveredLines: report.NotCoveredLines,
	}
	for _, name := range slices.Sorted(maps.Keys(report.Files)) {
		f := report.Files[name]
		out.Files = append(out.Files, FileCoverage{
			File:            name,
			Percent:         percent(f.CoveredLines, f.NotCoveredLines),
			CoveredLines:    f.CoveredLines,
			NotCoveredLines: f.NotCoveredLines,
			NotCovered:      joinRanges(f.NotCovered),
		})
	}
	return out
}

func percent(covered, not int) float64 {
	if covered+not == 0 {
		return 100
	}
	return 100 * float64(covered) / float64(covered+not)
}

// joinRanges turns ranges of expressions into ranges of lines.
func joinRanges(ranges []cover.Range) []LineRange {
	lines := make([]LineRange, 0, len(ranges))
	for _, r := range ranges {
		lines = append(lines, LineRange{Start: r.Start.Row, End: r.End.Row})
	}
	slices.SortFunc(lines, func(a, b LineRange) int { return cmp.Compare(a.Start, b.Start) })
	var out []LineRange
	for _, r := range lines {
		if last := len(out) - 1; last >= 0 && r.Start <= out[last].End+1 {
			out[last].End = max(out[last].End, r.End)
			continue
		}
		out = append(out, r)
	}
	return out
}
