//go:build linux

package main

import (
	"context"
	"fmt"
)

// growth is what one whole decision costs at one size.
type growth struct {
	Of   string `json:"of"` // routes, accounts or scopes
	N    int    `json:"n"`
	What string `json:"what"` // cached or uncached
	cost
}

// The dimensions that grow.
const (
	growRoutes   = "routes"
	growAccounts = "accounts"
	growScopes   = "scopes"
	cached       = "cached"
	uncached     = "uncached"
)

// growth measures a decision, from token to answer, at several sizes. Uncached
// means that the token is verified, the account read from the database and the
// policy evaluated; of many accounts, another one's each time.
func (b *bench) growth(ctx context.Context, r *result) error {
	for _, dimension := range []struct {
		of    string
		sizes []int
	}{{growRoutes, b.GrowRoutes}, {growAccounts, b.GrowAccounts}, {growScopes, b.GrowScopes}} {
		if err := b.grow(ctx, r, dimension.of, dimension.sizes); err != nil {
			return fmt.Errorf("%s: %w", dimension.of, err)
		}
	}
	return nil
}

func (b *bench) grow(ctx context.Context, r *result, of string, sizes []int) error {
	var tasks []task
	var measured []growth
	for _, what := range []string{cached, uncached} {
		for _, n := range sizes {
			shape := rigShape{routes: 10, accounts: 100, scopes: 1, cached: what == cached}
			switch of {
			case growRoutes:
				shape.routes = n
			case growAccounts:
				shape.accounts = n
			case growScopes:
				shape.scopes = n
			}
			rig, err := b.makeRig(ctx, shape)
			if err != nil {
				return err
			}
			do := rig.decide
			if of == growAccounts && what == uncached {
				i := 0
				do = func(ctx context.Context) error {
					i += 7919 // a prime: it comes by every account
					return rig.decideFor(ctx, i)
				}
			}
			tasks = append(tasks, task{fmt.Sprintf("%s, %d %s", what, n, of), do})
			measured = append(measured, growth{Of: of, N: n, What: what})
		}
	}
	costs, err := b.benchmark(ctx, tasks)
	if err != nil {
		return err
	}
	for i, c := range costs {
		measured[i].cost = c
	}
	r.Growth = append(r.Growth, measured...)
	return nil
}
