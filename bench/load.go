//go:build linux

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed load.lua
var loadScript []byte

// load is what wrk sends; see load.lua for the modes.
type load struct {
	mode string
	dir  string
}

// sample is one measurement by wrk.
type sample struct {
	RPS   float64       `json:"rps"`
	P50   time.Duration `json:"p50"`
	P99   time.Duration `json:"p99"`
	CPU   time.Duration `json:"cpu"` // of the server, per request
	Total int           `json:"total"`
	// Failed are answers of 400 and above, and failed connections.
	Failed int `json:"failed,omitempty"`
}

// makeLoad writes the files that a load is made of.
func (b *bench) makeLoad(mode string, files map[string][]string) (load, error) {
	dir, err := os.MkdirTemp(b.dir, "load-*")
	if err != nil {
		return load{}, fmt.Errorf("making a load: %w", err)
	}
	for name, lines := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			return load{}, fmt.Errorf("making a load: %w", err)
		}
	}
	return load{mode: mode, dir: dir}, nil
}

// sequenceLength is how many requests of a mixed load are drawn; wrk then begins
// again.
const sequenceLength = 1 << 17

// zipfSequence draws pairs of subject and path, counted from one. All pairs are
// ranked at random, and drawn by Zipf's law with s = 1.1.
func zipfSequence(subjects, paths int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	ranked := random.Perm(subjects * paths)
	zipf := rand.NewZipf(random, 1.1, 1, uint64(len(ranked)-1))
	sequence := make([]string, sequenceLength)
	for i := range sequence {
		pair := ranked[zipf.Uint64()]
		sequence[i] = fmt.Sprintf("%d %d", pair/paths+1, pair%paths+1)
	}
	return sequence
}

// mostFailed is the part of the requests that may fail. The report names those
// that do; where more do, something else is measured than was meant.
const mostFailed = 0.001

// wrk runs one measurement against a server.
func (b *bench) wrk(ctx context.Context, p *process, l load, duration time.Duration) (sample, error) {
	script := filepath.Join(b.dir, "load.lua")
	if err := os.WriteFile(script, loadScript, 0o600); err != nil {
		return sample{}, fmt.Errorf("writing wrk's script: %w", err)
	}
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	output, err := b.command(ctx, "wrk", "--threads", fmt.Sprint(b.Threads), "--connections", fmt.Sprint(b.Connections),
		"--duration", fmt.Sprintf("%.0fs", duration.Seconds()), "--script", script, "http://"+p.addr,
		"--", l.mode, l.dir, fmt.Sprint(b.Threads))
	if err != nil {
		return sample{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	_, line, found := strings.Cut(output, "RESULT ")
	if !found {
		return sample{}, fmt.Errorf("wrk gave no result:\n%s", output)
	}
	var r struct {
		Requests int     `json:"requests"`
		Duration float64 `json:"duration_us"`
		P50      float64 `json:"p50_us"`
		P99      float64 `json:"p99_us"`
		Failed   int     `json:"failed"`
		Wrapped  int     `json:"wrapped"`
	}
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&r); err != nil {
		return sample{}, fmt.Errorf("reading wrk's result: %w\n%s", err, output)
	}
	tolerated := mostFailed
	if b.smoke {
		tolerated = 0.05
	}
	if float64(r.Failed) >= tolerated*float64(r.Requests) {
		return sample{}, fmt.Errorf("%s failed %d of %d requests:\n%s", p.name, r.Failed, r.Requests, p.lastWords())
	}
	s := sample{
		RPS: float64(r.Requests) / (r.Duration / 1e6), Total: r.Requests, Failed: r.Failed,
		P50: time.Duration(r.P50) * time.Microsecond, P99: time.Duration(r.P99) * time.Microsecond,
		CPU: (after - before) / time.Duration(r.Requests),
	}
	if r.Wrapped > 0 {
		return s, errWrapped
	}
	return s, nil
}

// errWrapped says that a load of tokens that are used once has run out of them.
var errWrapped = fmt.Errorf("the load ran out of new tokens: raise -accounts")
