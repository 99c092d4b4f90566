//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// size is how much is measured.
type size struct {
	Rounds       int           `json:"rounds"`
	Duration     time.Duration `json:"duration"`      // of one run of wrk
	ColdDuration time.Duration `json:"cold_duration"` // the same where every request needs a new token
	WarmUp       time.Duration `json:"warm_up"`       // of each row, before its first round
	Threads      int           `json:"threads"`       // of wrk
	Connections  int           `json:"connections"`   // of wrk
	Accounts     int           `json:"accounts"`
	Subjects     int           `json:"subjects"` // of the mixed load
	Paths        int           `json:"paths"`    // of the mixed load

	GoBenchTime   string        `json:"go_bench_time"` // go test -benchtime
	BenchTime     time.Duration `json:"bench_time"`    // of one benchmark in this process
	BenchRounds   int           `json:"bench_rounds"`
	GrowRoutes    []int         `json:"grow_routes"`
	GrowAccounts  []int         `json:"grow_accounts"`
	GrowScopes    []int         `json:"grow_scopes"`
	OpenLoop      time.Duration `json:"open_loop"` // length of one measurement at a fixed rate
	OpenRounds    int           `json:"open_rounds"`
	Reloads       int           `json:"reloads"`
	ReloadEvery   time.Duration `json:"reload_every"` // at most one reload in this time
	ReloadModules int           `json:"reload_modules"`
	Logins        int           `json:"logins"`
	Starts        int           `json:"starts"`
	Settle        time.Duration `json:"settle"` // before idle memory is read
	PeerPolicies  []int         `json:"peer_policies"`
}

func fullSize() size {
	return size{
		Rounds: 7, Duration: 5 * time.Second, ColdDuration: 3 * time.Second, WarmUp: 2 * time.Second,
		Threads: 2, Connections: 32, Accounts: 100_000, Subjects: 1_000, Paths: 50,
		GoBenchTime: "1s", BenchTime: 500 * time.Millisecond, BenchRounds: 5,
		GrowRoutes: []int{10, 100, 1_000, 10_000}, GrowAccounts: []int{100, 1_000, 10_000, 100_000}, GrowScopes: []int{1, 10, 100},
		OpenLoop: 10 * time.Second, OpenRounds: 3,
		Reloads: 200, ReloadEvery: 500 * time.Millisecond, ReloadModules: 100,
		Logins: 200, Starts: 7, Settle: 3 * time.Second, PeerPolicies: []int{10, 1_000, 10_000},
	}
}

// smokeSize proves that everything works, and measures nothing worth knowing.
func smokeSize() size {
	return size{
		Rounds: 1, Duration: time.Second, ColdDuration: time.Second,
		Threads: 2, Connections: 4, Accounts: 40, Subjects: 10, Paths: 3,
		BenchTime: time.Millisecond, BenchRounds: 1,
		GrowRoutes: []int{10, 20}, GrowAccounts: []int{10, 20}, GrowScopes: []int{1, 2},
		OpenLoop: 200 * time.Millisecond, OpenRounds: 1,
		Reloads: 2, ReloadEvery: time.Millisecond, ReloadModules: 3,
		Logins: 3, Starts: 1, PeerPolicies: []int{10},
	}
}

// bench is one run. Everything that it makes on disk lies in dir.
type bench struct {
	size
	root     string // the repository
	dir      string
	out      io.Writer
	programs programs
	state    *state
	running  []*process
	rigs     []*rig
	smoke    bool
}

func newBench(ctx context.Context, root string, s size, progress io.Writer) (_ *bench, err error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return nil, errors.New("wrk is not installed, and nothing else measures here: apt-get install wrk, or see https://github.com/wg/wrk")
	}
	dir, err := os.MkdirTemp("", "stagedoor-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the run: %w", err)
	}
	b := &bench{size: s, root: root, dir: dir, out: progress, smoke: s.BenchTime < 10*time.Millisecond}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	b.say("building the servers")
	if b.programs, err = b.build(ctx); err != nil {
		return nil, err
	}
	b.say("making %d accounts and their tokens", s.Accounts)
	b.state, err = b.makeState(ctx, filepath.Join(dir, "state"), s.Accounts, true)
	return b, err
}

// close stops what was started and removes what was made.
func (b *bench) close() {
	if err := b.endSection(); err != nil {
		b.say("%v", err)
	}
	if err := os.RemoveAll(b.dir); err != nil {
		b.say("removing %s: %v", b.dir, err)
	}
}

// endSection ends the servers and closes the rigs of a section.
func (b *bench) endSection() error {
	for _, p := range slices.Backward(b.running) {
		p.stop()
	}
	var errs []error
	for _, r := range b.rigs {
		errs = append(errs, r.store.Close())
	}
	b.running, b.rigs = nil, nil
	return errors.Join(errs...)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// section is one part of a run. take copies what it measures from one result to
// another.
type section struct {
	name    string
	measure func(*bench, context.Context, *result) error
	take    func(to, from *result)
}

func sections() []section {
	return []section{
		{"stages", (*bench).stages, func(to, from *result) { to.Stages, to.GoTests = from.Stages, from.GoTests }},
		{"growth", (*bench).growth, func(to, from *result) { to.Growth = from.Growth }},
		{"http", (*bench).http, func(to, from *result) { to.HTTP, to.Memory = from.HTTP, from.Memory }},
		{"gateway", (*bench).gateway, func(to, from *result) { to.Gateway = from.Gateway }},
		{"profile", (*bench).profile, func(to, from *result) { to.Profile = from.Profile }},
		{"latency", (*bench).latency, func(to, from *result) { to.Latency = from.Latency }},
		{"reload", (*bench).reload, func(to, from *result) { to.Reload = from.Reload }},
		{"logins", (*bench).logins, func(to, from *result) { to.Logins = from.Logins }},
		{"start", (*bench).starts, func(to, from *result) { to.Start = from.Start }},
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

// measure runs the sections wanted.
func (b *bench) measure(ctx context.Context, wanted []string) (*result, error) {
	r := &result{Size: b.size, Machine: b.machine(), Versions: b.versions(ctx), Notes: b.programs.notes}
	for _, s := range sections() {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		b.say("section %s", s.name)
		if err := s.measure(b, ctx, r); err != nil {
			return nil, fmt.Errorf("section %s: %w", s.name, err)
		}
		if err := b.endSection(); err != nil {
			return nil, fmt.Errorf("section %s: %w", s.name, err)
		}
	}
	r.Taken = time.Now().UTC().Truncate(time.Second)
	r.Verdicts = verdicts(r)
	return r, nil
}
