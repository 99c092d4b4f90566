//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"
)

// The files that the page is rendered from, relative to the repository.
const (
	mainFile  = "bench/results/main.json"
	peersFile = "bench/results/peers.json"
	pageFile  = "docs/benchmarks.md"
)

// result is what a run has measured. A section that was not run is empty.
type result struct {
	Taken    time.Time `json:"taken"`
	Machine  machine   `json:"machine"`
	Versions []version `json:"versions"`
	Size     size      `json:"size"`
	Notes    []string  `json:"notes"`
	// Later are the sections that were measured by themselves, after the others.
	Later    []later        `json:"later,omitempty"`
	GoTests  []goBenchmark  `json:"go_tests,omitempty"`
	Stages   []stage        `json:"stages,omitempty"`
	Growth   []growth       `json:"growth,omitempty"`
	HTTP     []row          `json:"http,omitempty"`
	Memory   *memory        `json:"memory,omitempty"`
	Gateway  []row          `json:"gateway,omitempty"`
	Profile  *profileResult `json:"profile,omitempty"`
	Latency  []openResult   `json:"latency,omitempty"`
	Reload   *reloadResult  `json:"reload,omitempty"`
	Logins   *loginResult   `json:"logins,omitempty"`
	Start    *startResult   `json:"start,omitempty"`
	Verdicts []verdict      `json:"verdicts,omitempty"`
}

// later says when a section was measured by itself, and what of.
type later struct {
	Section  string    `json:"section"`
	Taken    time.Time `json:"taken"`
	Machine  machine   `json:"machine"`
	Versions []version `json:"versions"`
}

// merge takes some sections of a later run over into a result, and leaves the others
// as they were.
func (r *result) merge(run *result, names []string) error {
	if !reflect.DeepEqual(r.Size, run.Size) {
		return errors.New("-keep: the other sections were measured in another size, which the page names once for all; leave out -rounds, -duration and -accounts, or run `make bench`")
	}
	for _, s := range sections() {
		if !slices.Contains(names, s.name) {
			continue
		}
		s.take(r, run)
		r.Later = slices.DeleteFunc(r.Later, func(l later) bool { return l.Section == s.name })
		r.Later = append(r.Later, later{s.name, run.Taken, run.Machine, run.Versions})
	}
	r.Verdicts = verdicts(r)
	return nil
}

// keepMain writes a run's result; of one that had only some sections, these, beside
// the others that were kept before.
func keepMain(root string, run *result, names []string) error {
	if len(names) < len(sections()) {
		before, err := kept[result](root, mainFile)
		if err != nil {
			return err
		}
		if before == nil {
			return errors.New("-keep: there is no result that these sections could be put into; run `make bench`")
		}
		if err := before.merge(run, names); err != nil {
			return err
		}
		run = before
	}
	if err := keep(root, mainFile, run); err != nil {
		return err
	}
	return writePage(root)
}

// peersResult is the same for `make bench-peers`.
type peersResult struct {
	Taken     time.Time      `json:"taken"`
	Machine   machine        `json:"machine"`
	Versions  []version      `json:"versions"`
	Size      size           `json:"size"`
	Decisions []peerDecision `json:"decisions"`
	HTTP      []row          `json:"http"`
	Notes     []string       `json:"notes"`
}

// median of a list that is not empty: the middle, or the mean of the two there.
func median[T cmp.Ordered](values []T, mean func(a, b T) T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return mean(sorted[middle-1], sorted[middle])
}

func medianFloat(values []float64) float64 {
	return median(values, func(a, b float64) float64 { return (a + b) / 2 })
}

func medianTime(values []time.Duration) time.Duration {
	return median(values, func(a, b time.Duration) time.Duration { return (a + b) / 2 })
}

// keep writes a result beside the others.
func keep(root, name string, result any) error {
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("keeping the result: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keeping the result: %w", err)
	}
	return nil
}

// kept reads a result; nil when there is none yet.
func kept[R any](root, name string) (*R, error) {
	text, err := os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a kept result: %w", err)
	}
	var r R
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("reading %s: %w; run the benchmarks again to replace it", name, err)
	}
	return &r, nil
}
