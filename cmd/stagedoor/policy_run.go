package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/policy"
)

type policyTestCmd struct {
	Only      string   `name:"run" help:"Run only tests whose full name matches this regular expression." placeholder:"REGEXP"`
	Threshold *float64 `help:"Exit code 1 if the tests cover less than this many percent of the policy's lines." placeholder:"PERCENT"`
	policyFlags
	outputFlag
}

func (*policyTestCmd) Help() string {
	return `Tests are rules named test_… in packages named …_test. Coverage is counted as ` + "`opa test --coverage`" + ` counts it. Exit code 1 if a test fails or could not be evaluated.

  stagedoor policy test --policies my/policies --data my/data --threshold 100
  stagedoor policy test --run authz_test.test_owner`
}

// Validate refuses what can't be asked for.
func (c *policyTestCmd) Validate() error {
	if c.Threshold != nil && (*c.Threshold < 0 || *c.Threshold > 100) {
		return fmt.Errorf("--threshold %g is not between 0 and 100", *c.Threshold)
	}
	if _, err := regexp.Compile(c.Only); err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	return nil
}

// Run runs the tests and prints each result, and what they do not cover.
func (c *policyTestCmd) Run(ctx context.Context, e *env) error {
	source, err := c.source()
	if err != nil {
		return err
	}
	report, err := policy.Test(ctx, source, policy.Options{AllowNetwork: c.PolicyNetwork}, policy.TestOptions{Run: c.Only, Coverage: true})
	if err != nil {
		return refusedPolicy(e, err)
	}
	if c.json() {
		report.Tests = list(report.Tests)
		err = writeJSON(e.stdout, report)
	} else {
		err = printTests(e, report)
	}
	return errors.Join(err, c.verdict(e, report))
}

// verdict is the exit code, and on standard error why.
func (c *policyTestCmd) verdict(e *env, report policy.TestReport) error {
	switch {
	case c.Only != "" && report.Counts.Total == 0:
		return fmt.Errorf("no test's name matches --run %s", c.Only)
	case !report.OK():
		return exitCode(exitFailed)
	case c.Threshold != nil && report.Coverage.Percent < *c.Threshold:
		fmt.Fprintf(e.stderr, "The tests cover %.1f %% of the policy's lines; --threshold asks for %g %%.\n", report.Coverage.Percent, *c.Threshold)
		return exitCode(exitFailed)
	}
	return nil
}

func printTests(e *env, report policy.TestReport) error {
	outcomes := map[policy.Outcome]string{policy.Passed: "ok", policy.Failed: "FAILED", policy.Errored: "ERROR", policy.Skipped: "skipped"}
	for _, test := range report.Tests {
		fmt.Fprintf(e.stdout, "%-8s%s (%s)\n", outcomes[test.Outcome], test.Name, test.Duration.Round(10*time.Microsecond))
		if test.Problem != nil {
			fmt.Fprintf(e.stdout, "        %s\n", *test.Problem)
		}
		if test.Output != "" {
			fmt.Fprintf(e.stdout, "        %s\n", strings.ReplaceAll(test.Output, "\n", "\n        "))
		}
	}
	if report.Problem != nil {
		fmt.Fprintln(e.stdout, *report.Problem)
	}

	counts := report.Counts
	fmt.Fprintf(e.stdout, "\n%s: %d passed", count(counts.Total, "test"), counts.Passed)
	for _, part := range []struct {
		n    int
		what string
	}{{counts.Failed, "failed"}, {counts.Skipped, "skipped"}} {
		if part.n > 0 {
			fmt.Fprintf(e.stdout, ", %d %s", part.n, part.what)
		}
	}
	fmt.Fprintf(e.stdout, " in %s\n", counts.Duration.Round(time.Millisecond))
	fmt.Fprintf(e.stdout, "coverage: %.1f %% of lines\n", report.Coverage.Percent)
	for _, file := range report.Coverage.Files {
		for _, lines := range file.NotCovered {
			fmt.Fprintf(e.stdout, "%s:%s: not covered\n", file.File, lines)
		}
	}
	return nil
}
