package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/policy"
)

type policyStatusCmd struct {
	outputFlag
}

func (*policyStatusCmd) Help() string {
	return `It shows what the server that runs with this state (or ran last) says: the policy that is live, and if what lies in its directories now was refused, since when, where and why; and whether decisions are kept in memory. Exit code 1 while something is refused, so scripts can wait for a policy to be live.

  stagedoor policy status
  stagedoor policy status --state /var/lib/stagedoor --output json`
}

// Run prints the status that the server has left in the state directory.
func (c *policyStatusCmd) Run(e *env) error {
	text, err := os.ReadFile(filepath.Join(e.state, server.StatusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no server has run with the state in %s; name the right directory with --state", e.state)
	}
	if err != nil {
		return fmt.Errorf("reading the policy's status: %w", err)
	}
	var status policy.Status
	if err := json.Unmarshal(text, &status); err != nil {
		return fmt.Errorf("reading the policy's status: %w", err)
	}
	if c.json() {
		err = writeJSON(e.stdout, status)
	} else {
		err = printStatus(e, status)
	}
	if err == nil && status.LastError != nil {
		return exitCode(exitFailed)
	}
	return err
}

func printStatus(e *env, status policy.Status) error {
	rows := newTable(e.stdout)
	rows.row("revision", fmt.Sprintf("%.12s", status.Revision))
	rows.row("live since", e.moment(status.ActivatedAt))
	rows.row("from", strings.Join(status.Sources, ", "))
	rows.row("holds", fmt.Sprintf("%s, %s", count(status.Modules, "module"), count(status.Routes, "route")))
	rows.row("tests", e.tested(status))
	rows.row("decisions", cached(status))
	for _, problem := range status.Uncacheable {
		rows.row("", problem.String())
	}
	for _, warning := range otherWarnings(status.Warnings) {
		rows.row("warning", warning.Code+": "+warning.Message+" ("+e.moment(warning.At)+")")
	}
	if err := rows.flush(); err != nil {
		return err
	}
	failure := status.LastError
	if failure == nil {
		return nil
	}
	fmt.Fprintf(e.stdout, "\nREFUSED since %s, last tried %s; the revision above still decides:\n",
		e.moment(failure.Since), e.moment(failure.At))
	for _, problem := range failure.Problems {
		fmt.Fprintf(e.stdout, "  %s\n", problem)
	}
	return nil
}

// tested says how the tests went, and whether it was at this activation.
func (e *env) tested(status policy.Status) string {
	text := fmt.Sprintf("%d passed in %s", status.Tests.Passed, status.Tests.Duration.Round(time.Millisecond))
	if status.PassedBefore != nil {
		text += fmt.Sprintf(", not at this start but at %s; nothing has changed since", e.moment(*status.PassedBefore))
	}
	return text
}

// cached says whether the server keeps decisions.
func cached(status policy.Status) string {
	switch {
	case status.DecisionCacheBytes == 0:
		return "not cached: the server's decision-cache is turned off"
	case len(status.Uncacheable) > 0:
		return "cached, except those that reach"
	}
	return "cached"
}

// moment says when something was, and how long ago.
func (e *env) moment(at time.Time) string {
	return fmt.Sprintf("%s (%s)", at.UTC().Format(time.RFC3339), relative(at, e.now()))
}
