//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// peerDecision is one decision by another engine, in process.
type peerDecision struct {
	System   string  `json:"system"`
	Policies int     `json:"policies"`
	NS       float64 `json:"ns"`
	Allocs   int64   `json:"allocs"`
}

// python runs the article's application. Debian's own, since its packages are.
const python = "/usr/bin/python3"

// measurePeers measures the article's application and the other engines.
func (b *bench) measurePeers(ctx context.Context) (*peersResult, error) {
	r := &peersResult{Machine: b.machine(), Versions: b.versions(ctx), Size: b.size}
	versions, err := b.pythonVersions(ctx)
	if err != nil {
		return nil, err
	}
	r.Versions = append(r.Versions, versions...)
	if err := b.peerDecisions(ctx, r); err != nil {
		return nil, err
	}
	if err := b.peersHTTP(ctx, r); err != nil {
		return nil, err
	}
	r.Taken = time.Now().UTC().Truncate(time.Second)
	return r, nil
}

// pythonVersions says which packages the article's application runs on; an error
// when one of them is missing. uvicorn would do without uvloop and httptools, but
// several workers then answer each request 40 ms late: asyncio leaves Nagle's
// algorithm on for the socket that they share.
func (b *bench) pythonVersions(ctx context.Context) ([]version, error) {
	output, err := b.command(ctx, python, "-c", `
import importlib, platform
print("Python", platform.python_version())
for name in ("fastapi", "uvicorn", "uvloop", "httptools", "jose", "passlib", "bcrypt", "multipart"):
    print(name, importlib.import_module(name).__version__)
`)
	if err != nil {
		return nil, fmt.Errorf("the article's application needs: apt-get install python3-fastapi uvicorn python3-uvloop python3-httptools python3-jose python3-passlib python3-bcrypt python3-multipart: %w", err)
	}
	var versions []version
	for line := range strings.Lines(output) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions = append(versions, version{name, number})
	}
	return versions, nil
}

// peerDecisions asks the engines of bench/peers, a module of its own, and ours.
func (b *bench) peerDecisions(ctx context.Context, r *peersResult) error {
	dir := filepath.Join(b.root, "bench", "peers")
	args := []string{"run", ".", "-time", b.BenchTime.String()}
	for _, n := range b.PeerPolicies {
		args = append(args, fmt.Sprint(n))
	}
	b.say("decisions by Casbin and cedar-go")
	output, err := commandIn(ctx, dir, "go", args...)
	if err != nil {
		return err
	}
	var theirs struct {
		Versions  []version      `json:"versions"`
		Decisions []peerDecision `json:"decisions"`
	}
	if err := json.Unmarshal([]byte(output), &theirs); err != nil {
		return fmt.Errorf("reading what bench/peers printed: %w\n%s", err, output)
	}
	r.Versions = append(r.Versions, theirs.Versions...)
	r.Decisions = theirs.Decisions

	var tasks []task
	for _, n := range b.PeerPolicies {
		rig, err := b.makeRig(ctx, rigShape{routes: n, accounts: 10, scopes: 1})
		if err != nil {
			return err
		}
		tasks = append(tasks, task{fmt.Sprintf("Stagedoor, %d routes", n), rig.route})
	}
	costs, err := b.benchmark(ctx, tasks)
	for i, c := range costs {
		r.Decisions = append(r.Decisions, peerDecision{"Stagedoor (OPA, keyed by route), uncached", b.PeerPolicies[i], c.NS, c.Allocs})
	}
	return err
}

const adminPath = "/admin-only"

// peersHTTP measures the article's application beside bare Gin, Stagedoor and
// OPA's server.
func (b *bench) peersHTTP(ctx context.Context, r *peersResult) error {
	warm, gin, err := b.startPair(ctx)
	if err != nil {
		return err
	}
	opa, opaLoad, err := b.startOPA(ctx, nil, adminPath, adminPath, "admin")
	if err != nil {
		return err
	}
	one, err := b.article(ctx, 1)
	if err != nil {
		return err
	}
	two, err := b.article(ctx, 2)
	if err != nil {
		return err
	}
	ours, err := b.adminLoad(ctx, warm)
	if err != nil {
		return err
	}
	theirs, err := b.adminLoad(ctx, one)
	if err != nil {
		return err
	}
	r.HTTP, err = b.rounds(ctx, []*contender{
		{row: row{Name: rowGin}, server: gin, load: ours, duration: b.Duration},
		{row: row{Name: rowWarm, Base: rowGin}, server: warm, load: ours, duration: b.Duration},
		{row: row{Name: rowOPA, Base: rowGin}, server: opa, load: opaLoad, duration: b.Duration},
		{row: row{Name: "the article's FastAPI application, one worker", Base: rowGin}, server: one, load: theirs, duration: b.Duration},
		{row: row{Name: "the same, two workers", Base: rowGin}, server: two, load: theirs, duration: b.Duration, valid: b.balanced},
	}, b.Rounds)
	if err != nil {
		return err
	}
	return nil
}

// article starts the article's application.
func (b *bench) article(ctx context.Context, workers int) (*process, error) {
	return b.start(ctx, launch{
		name: fmt.Sprintf("article-%d", workers), dir: filepath.Join(b.root, "bench", "peers", "article"),
		env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		argv: func(addr string) []string {
			_, port, _ := strings.Cut(addr, ":")
			argv := []string{python, "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", port, "--log-level", "warning", "--no-access-log"}
			if workers > 1 {
				argv = append(argv, "--workers", fmt.Sprint(workers))
			}
			return argv
		},
	})
}

// adminLoad logs johndoe in, whom both Stagedoor's demo and the article know.
func (b *bench) adminLoad(ctx context.Context, p *process) (load, error) {
	answer, err := login(ctx, p.addr, "johndoe", "secret")
	if err != nil {
		return load{}, err
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer), &issued); err != nil {
		return load{}, fmt.Errorf("reading the answer to a login: %w", err)
	}
	return b.makeLoad("same", map[string][]string{"tokens": {issued.AccessToken}, "paths": {adminPath}})
}

// mostImbalance is how much more than the other the busier worker may do.
const mostImbalance = 1.5

// balanced tells whether two workers shared a load, by their processor time.
func (b *bench) balanced(before, after map[int]time.Duration) error {
	var spent []time.Duration
	for pid, used := range after {
		spent = append(spent, used-before[pid])
	}
	slices.Sort(spent)
	if len(spent) < 2 {
		return errors.New("there are no two workers")
	}
	less, more := spent[len(spent)-2], spent[len(spent)-1]
	if float64(more) > mostImbalance*float64(less) && !b.smoke {
		return fmt.Errorf("one worker used %s, the other %s", more, less)
	}
	return nil
}
