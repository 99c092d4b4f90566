//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// startResult is how soon Stagedoor decides after it was started with a state
// that is there already, and what it holds when nothing happens.
type startResult struct {
	Accounts int             `json:"accounts"`
	Times    []time.Duration `json:"times"`
	Median   time.Duration   `json:"median"`
	// Idle memory in bytes: resident, and the part of it that is no file's.
	IdleResident  int64 `json:"idle_resident"`
	IdleAnonymous int64 `json:"idle_anonymous"`
}

func (b *bench) starts(ctx context.Context, r *result) error {
	stateDir, err := b.copyState()
	if err != nil {
		return err
	}
	s := &startResult{Accounts: b.Accounts}
	for range b.Starts + 1 {
		took, server, err := b.firstDecision(ctx, stateDir)
		if err != nil {
			return err
		}
		// The first start makes the demo's accounts; it does not count.
		s.Times = append(s.Times, took)
		if len(s.Times) == b.Starts+1 {
			if err := sleep(ctx, b.Settle); err != nil {
				return err
			}
			if s.IdleResident, s.IdleAnonymous, err = server.memory(); err != nil {
				return err
			}
		}
		server.stop()
	}
	s.Times = s.Times[1:]
	s.Median = medianTime(s.Times)
	b.say("start to first decision %s", s.Median)
	r.Start = s
	return nil
}

// firstDecision starts a server and asks for a protected route until it answers.
func (b *bench) firstDecision(ctx context.Context, stateDir string) (time.Duration, *process, error) {
	began := time.Now()
	server, err := b.spawn(b.stagedoor("stagedoor-start", stateDir))
	if err != nil {
		return 0, nil, err
	}
	request := rawRequest(server.addr, "/items/"+knownItem, b.state.tokens[0])
	for {
		c, err := dial(server.addr)
		if err == nil {
			status, err := c.exchange(request)
			took := time.Since(began)
			c.Close()
			if err == nil && status != 200 {
				err = fmt.Errorf("the first answer has status %d", status)
			}
			return took, server, err
		}
		if time.Since(began) > patience {
			return 0, nil, errors.New("it does not answer: " + server.lastWords())
		}
		if err := sleep(ctx, 500*time.Microsecond); err != nil {
			return 0, nil, err
		}
	}
}
