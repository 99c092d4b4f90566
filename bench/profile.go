//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// profileResult is where the time of a request goes that finds nothing in the
// caches: the row rowCold, measured once more with a CPU profile taken.
type profileResult struct {
	sample
	// Sampled is how much processor time the samples stand for.
	Sampled time.Duration `json:"sampled"`
	// Faults are page faults (minor ones) for each request.
	Faults float64       `json:"faults"`
	Steps  []profileStep `json:"steps"`
}

// profileStep is one step of a request.
type profileStep struct {
	Name string `json:"name"`
	// Share is the step's part of all samples, Allocating the part of all samples
	// that is spent in it on allocating memory.
	Share      float64 `json:"share"`
	Allocating float64 `json:"allocating"`
}

// profile takes a CPU profile of the cold row. Its rate is not comparable with the
// row's: a profile is taken, and there is one round.
func (b *bench) profile(ctx context.Context, r *result) error {
	stateDir, err := b.copyState()
	if err != nil {
		return err
	}
	// Once before, for the policy's tests: they would be most of what is profiled.
	first, err := b.start(ctx, b.stagedoor("stagedoor-unprofiled", stateDir))
	if err != nil {
		return err
	}
	first.stop()
	file := filepath.Join(b.dir, "cold.pprof")
	server, err := b.start(ctx, b.stagedoor("stagedoor-profiled", stateDir, "--cpu-profile", file))
	if err != nil {
		return err
	}
	each, err := b.makeLoad("each", map[string][]string{"tokens": b.state.tokens, "paths": {"/items/" + knownItem}})
	if err != nil {
		return err
	}
	before, err := server.faults()
	if err != nil {
		return err
	}
	found := &profileResult{}
	found.sample, err = b.wrk(ctx, server, each, 2*b.ColdDuration)
	if err != nil && (!b.smoke || !errors.Is(err, errWrapped)) {
		return err
	}
	after, err := server.faults()
	if err != nil {
		return err
	}
	found.Faults = float64(after-before) / float64(found.Total)
	server.stop() // which writes the profile
	traces, err := b.command(ctx, "go", "tool", "pprof", "-traces", "-unit=ms", file)
	if err != nil {
		return err
	}
	if found.Sampled, found.Steps, err = shareOut(traces); err != nil {
		return err
	}
	r.Profile = found
	return nil
}

// step says which stacks belong to a step of a request.
type step struct {
	name string
	// all have to be in the stack: parts of functions' names.
	all []string
}

const ours = "github.com/stagedoor/stagedoor/server"

// collection is the step that an allocation may have to help with.
const collection = "garbage collection"

// steps are looked through in this order, and the first that fits has the sample.
// One whose name is empty is none of a request's, but of the server's start.
func steps() []step {
	const answering = "net/http: reading the request, writing the answer"
	return []step{
		{"", []string{"main.(*serveCmd).Run", "server.New"}},
		{"", []string{"runtime/debug.FreeOSMemory"}},
		{"", []string{ours + ".(*Server).loadPolicy"}},
		{collection, []string{"runtime.gcBgMarkWorker"}},
		{collection, []string{"runtime.gcAssistAlloc"}},
		{collection, []string{"runtime.gcStart"}},
		{collection, []string{"runtime.bgsweep"}},
		{collection, []string{"runtime.bgscavenge"}},
		{collection, []string{"runtime.deductSweepCredit"}},
		{"token: its signature", []string{ours + "/token.(*Verifier).Verify", "crypto/"}},
		{"token: all else (reading it, its claims, keeping it)", []string{ours + "/token.(*Verifier).Verify"}},
		{"subject: looked up in the database", []string{ours + "/account.(*Directory).Subject"}},
		{"policy: evaluated", []string{ours + "/policy.(*Snapshot).Decide"}},
		// A stack has 64 frames at most, of which an evaluation may take all.
		{"policy: evaluated", []string{"github.com/open-policy-agent/opa/v1/topdown."}},
		{answering, []string{"net/http.(*conn).serve", "net/http.(*response)."}},
		{"Gin and the handler", []string{"github.com/gin-gonic/gin.(*Engine).ServeHTTP"}},
		{"the gate, but for the above", []string{ours + "/gate."}},
		{answering, []string{"net/http."}},
		{"Go's scheduler, timers and network poller", []string{"runtime.mcall"}},
		{"Go's scheduler, timers and network poller", []string{"runtime.mstart"}},
		{"all else", nil},
	}
}

// shareOut shares the samples of a profile, as `go tool pprof -traces -unit=ms`
// prints them, out among the steps. Page faults and memory that is cleared count
// where they happen.
func shareOut(traces string) (total time.Duration, shares []profileStep, err error) {
	spent, allocating := map[string]time.Duration{}, map[string]time.Duration{}
	for _, trace := range strings.Split(traces, "-----------+")[1:] {
		value, stack, found := strings.Cut(strings.TrimLeft(trace, "-\n "), " ")
		if !found {
			continue // the line at the end
		}
		took, err := time.ParseDuration(value)
		if err != nil {
			return 0, nil, fmt.Errorf("reading the profile: %w", err)
		}
		name := ""
		for _, s := range steps() {
			if containsAll(stack, s.all) {
				name = s.name
				break
			}
		}
		if name == "" {
			continue
		}
		total += took
		spent[name] += took
		if name != collection && strings.Contains(stack, "runtime.mallocgc") {
			allocating[name] += took
		}
	}
	if total == 0 {
		return 0, nil, errors.New("the profile has no sample of a request")
	}
	listed := map[string]bool{"": true}
	for _, s := range steps() {
		if !listed[s.name] {
			listed[s.name] = true
			shares = append(shares, profileStep{s.name, float64(spent[s.name]) / float64(total), float64(allocating[s.name]) / float64(total)})
		}
	}
	return total, shares, nil
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
