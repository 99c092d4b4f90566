//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// rigShape is how big the parts of a rig are.
type rigShape struct {
	routes, accounts, scopes int
	cached                   bool
}

// rig is what stands between a request and its decision, in this process: the
// policy, its routes, a token's verification, the accounts.
type rig struct {
	store    *store.Store
	snapshot *policy.Snapshot
	verifier *token.Verifier
	accounts *account.Directory
	ids      []string
	raw      string
	segments []string
	request  authz.Request
}

// makeRig makes one, until the section ends. Its parts share nothing with
// another's.
func (b *bench) makeRig(ctx context.Context, shape rigShape) (*rig, error) {
	dir, err := os.MkdirTemp(b.dir, "rig-*")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	r := &rig{}
	if r.store, err = server.OpenState(ctx, dir); err != nil {
		return nil, err
	}
	b.rigs = append(b.rigs, r)
	accounts, err := makeAccounts(shape.accounts, []string{"grown"})
	if err != nil {
		return nil, err
	}
	if err := r.store.InsertAccounts(ctx, accounts); err != nil {
		return nil, fmt.Errorf("adding the accounts: %w", err)
	}
	for _, a := range accounts {
		r.ids = append(r.ids, a.ID)
	}
	bytes := int64(-1)
	if shape.cached {
		bytes = 0
	}
	if r.snapshot, err = loadGrown(ctx, dir, shape, bytes); err != nil {
		return nil, err
	}
	keyring, err := token.OpenKeyring(ctx, r.store, token.KeyringOptions{})
	if err != nil {
		return nil, err
	}
	// Both sides of the middle: whoever walks through a table pays for half of it.
	if r.raw, err = mint(keyring, r.ids[shape.accounts/2], scopes(shape.scopes)...); err != nil {
		return nil, err
	}
	r.verifier = token.NewVerifier(keyring, token.VerifierOptions{
		Issuer: issuer, Audience: issuer, Prepare: policy.PrepareClaims, CacheBytes: bytes,
	})
	r.accounts = account.New(r.store, account.Options{CacheBytes: bytes, Prepare: policy.PrepareSubject})
	r.segments = []string{fmt.Sprintf("service%d", shape.routes/2), "items", "42"}
	r.request = authz.Request{
		Method: "GET", Host: "127.0.0.1", Path: "/" + strings.Join(r.segments, "/"), Segments: r.segments,
		ClientIP: "127.0.0.1", Now: time.Now(),
	}
	return r, r.decide(ctx) // it allows, and what can be cached is
}

// loadGrown loads the default policy with data of the given size.
func loadGrown(ctx context.Context, dir string, shape rigShape, cacheBytes int64) (*policy.Snapshot, error) {
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, fmt.Errorf("making the policy's data: %w", err)
	}
	var routes, roles strings.Builder
	routes.WriteString("routes:\n")
	for i := range shape.routes {
		fmt.Fprintf(&routes, "  /service%d/items/{id}: {GET: {scopes: [%s]}}\n", i, scopes(shape.scopes)[shape.scopes-1])
	}
	fmt.Fprintf(&roles, "roles:\n  client: [items:read]\n  grown: [%s]\n", strings.Join(scopes(shape.scopes), ", "))
	for name, text := range map[string]string{"routes.yaml": routes.String(), "roles.yaml": roles.String()} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing the policy's data: %w", err)
		}
	}
	source := policy.Join(policy.FS(policies.FS, nil), policy.Dir("", data))
	return policy.Load(ctx, source, policy.Options{CacheBytes: cacheBytes})
}

func scopes(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("items:part%03d", i)
	}
	return names
}

// verify is the first step of a decision.
func (r *rig) verify(ctx context.Context) error {
	verified, err := r.verifier.Verify(ctx, r.raw)
	if err != nil {
		return err
	}
	r.request.Claims = verified.Claims
	return nil
}

// lookUp is the second step: who is the i-th account now?
func (r *rig) lookUp(ctx context.Context, i int) (err error) {
	r.request.Subject, err = r.accounts.Subject(ctx, r.ids[i%len(r.ids)])
	return err
}

// match is the third: which declared route is it?
func (r *rig) match(context.Context) error {
	match, found := r.snapshot.Match("", r.segments)
	if !found {
		return errors.New("no route matches")
	}
	r.request.Route, r.request.Params = match.Pattern, match.Params
	return nil
}

// ask is the last: the policy is asked.
func (r *rig) ask(ctx context.Context) error {
	decision, err := r.snapshot.Decide(ctx, &r.request)
	if err != nil {
		return err
	}
	if !decision.Allow {
		return fmt.Errorf("the policy was to allow the request, but: %+v", decision)
	}
	return nil
}

// decide is all of them, for the account that the token belongs to.
func (r *rig) decide(ctx context.Context) error { return r.decideFor(ctx, len(r.ids)/2) }

// decideFor is decide with another account looked up.
func (r *rig) decideFor(ctx context.Context, i int) error {
	if err := r.verify(ctx); err != nil {
		return err
	}
	if err := r.lookUp(ctx, i); err != nil {
		return err
	}
	return r.route(ctx)
}

// route is the last two.
func (r *rig) route(ctx context.Context) error {
	if err := r.match(ctx); err != nil {
		return err
	}
	return r.ask(ctx)
}

// cost is what one operation costs.
type cost struct {
	Time   time.Duration `json:"time"`
	NS     float64       `json:"ns"`
	Bytes  int64         `json:"bytes"`
	Allocs int64         `json:"allocs"`
}

// task is one operation to be benchmarked.
type task struct {
	name string
	do   func(context.Context) error
}

// benchmark measures operations in interleaved rounds and returns their medians.
func (b *bench) benchmark(ctx context.Context, tasks []task) ([]cost, error) {
	testing.Init()
	if err := flag.Set("test.benchtime", b.BenchTime.String()); err != nil {
		return nil, err
	}
	ns, results := make([][]float64, len(tasks)), make([]testing.BenchmarkResult, len(tasks))
	for range b.BenchRounds {
		for i, t := range tasks {
			var failure error
			results[i] = testing.Benchmark(func(tb *testing.B) {
				tb.ReportAllocs()
				for tb.Loop() {
					if err := t.do(ctx); err != nil {
						failure = err
						tb.FailNow()
					}
				}
			})
			if failure != nil {
				return nil, fmt.Errorf("%s: %w", t.name, failure)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			ns[i] = append(ns[i], float64(results[i].T.Nanoseconds())/float64(results[i].N))
		}
	}
	costs := make([]cost, len(tasks))
	for i, result := range results {
		typical := medianFloat(ns[i])
		costs[i] = cost{Time: time.Duration(typical), NS: typical, Bytes: result.AllocedBytesPerOp(), Allocs: result.AllocsPerOp()}
		b.say("%-60s %12.0f ns %8d allocs", tasks[i].name, typical, costs[i].Allocs)
	}
	return costs, nil
}
