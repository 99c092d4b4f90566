//go:build linux

package main

import "context"

// stage is one step of a decision, or several.
type stage struct {
	Name string `json:"name"`
	cost
	Known bool `json:"known"` // from a cache
}

// The names of stages that others refer to.
const (
	stageUncachedDecision = "policy: decision evaluated (allowed)"
	stageKnownDecision    = "token known and decision known, together"
)

// stages runs the repository's Go benchmarks, and measures the steps of one
// decision at the size of the default policy: ten routes, some accounts.
func (b *bench) stages(ctx context.Context, r *result) (err error) {
	if !b.smoke {
		if r.GoTests, err = b.goTests(ctx); err != nil {
			return err
		}
	}
	fresh, err := b.makeRig(ctx, rigShape{routes: 10, accounts: 100, scopes: 2})
	if err != nil {
		return err
	}
	known, err := b.makeRig(ctx, rigShape{routes: 10, accounts: 100, scopes: 2, cached: true})
	if err != nil {
		return err
	}

	first := func(rig *rig) func(context.Context) error {
		return func(ctx context.Context) error { return rig.lookUp(ctx, 50) }
	}
	tasks := []task{
		{"token: EdDSA signature verified", fresh.verify},
		{"subject: read from the database", first(fresh)},
		{"route: matched", fresh.match},
		{stageUncachedDecision, fresh.ask},
		{"all of these", fresh.decide},
		{"token: known", known.verify},
		{"subject: known", first(known)},
		{"policy: decision known", known.ask},
		{stageKnownDecision, func(ctx context.Context) error {
			if err := known.verify(ctx); err != nil {
				return err
			}
			return known.ask(ctx)
		}},
		{"all of these, known", known.decide},
	}
	costs, err := b.benchmark(ctx, tasks)
	if err != nil {
		return err
	}
	for i, c := range costs {
		r.Stages = append(r.Stages, stage{Name: tasks[i].name, cost: c, Known: i >= 5})
	}
	return nil
}
