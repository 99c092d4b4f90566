//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// openResult is latency at a fixed rate.
type openResult struct {
	Name string  `json:"name"`
	Rate float64 `json:"rate"` // requests per second
	// Medians of the rounds.
	P50    time.Duration `json:"p50"`
	P90    time.Duration `json:"p90"`
	P99    time.Duration `json:"p99"`
	P999   time.Duration `json:"p999"`
	Failed int           `json:"failed"`
	Total  int           `json:"total"`
}

// openConnections is enough never to be what a request waits for.
const openConnections = 64

// latency measures bare Gin and Stagedoor at one rate: half of what Stagedoor
// does at most.
func (b *bench) latency(ctx context.Context, r *result) error {
	capacity, err := b.capacity(ctx, r)
	if err != nil {
		return err
	}
	stagedoor, gin, err := b.startPair(ctx)
	if err != nil {
		return err
	}
	contenders := []struct {
		name   string
		server *process
	}{{rowGin, gin}, {rowWarm, stagedoor}}
	rounds := make([][]*arrivals, len(contenders))
	for round := range b.OpenRounds {
		for i, c := range contenders {
			arrived, err := b.openLoop(ctx, c.server, capacity/2, b.OpenLoop)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			b.say("round %d of %d: %-30s at %.0f requests/s: p50 %s, p99 %s", round+1, b.OpenRounds, c.name, capacity/2,
				arrived.percentile(50), arrived.percentile(99))
			rounds[i] = append(rounds[i], arrived)
		}
	}
	for i, c := range contenders {
		o := openResult{Name: c.name, Rate: capacity / 2}
		of := func(p float64) time.Duration {
			var values []time.Duration
			for _, arrived := range rounds[i] {
				values = append(values, arrived.percentile(p))
			}
			return medianTime(values)
		}
		o.P50, o.P90, o.P99, o.P999 = of(50), of(90), of(99), of(99.9)
		for _, arrived := range rounds[i] {
			o.Failed += arrived.failed
			o.Total += arrived.failed + len(arrived.latencies)
		}
		r.Latency = append(r.Latency, o)
	}
	return nil
}

// openLoop sends one subject's request for a while.
func (b *bench) openLoop(ctx context.Context, p *process, rate float64, duration time.Duration) (*arrivals, error) {
	timed, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	loop := openLoop{addr: p.addr, request: rawRequest(p.addr, "/items/"+knownItem, b.state.tokens[0]), rate: rate, connections: openConnections}
	arrived, err := loop.run(timed)
	if err != nil {
		return nil, err
	}
	return arrived, ctx.Err()
}

// capacity is what warm Stagedoor answered at most, in requests per second: from
// the section http, or measured now where that was not run.
func (b *bench) capacity(ctx context.Context, r *result) (float64, error) {
	for _, row := range r.HTTP {
		if row.Name == rowWarm {
			return row.RPS, nil
		}
	}
	p, err := b.startFresh(ctx, "stagedoor")
	if err != nil {
		return 0, err
	}
	defer p.stop()
	same, err := b.makeLoad("same", map[string][]string{"tokens": b.state.tokens[:1], "paths": {"/items/" + knownItem}})
	if err != nil {
		return 0, err
	}
	s, err := b.wrk(ctx, p, same, b.Duration)
	return s.RPS, err
}
