//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// reloadResult is what requests notice of reloads.
type reloadResult struct {
	Reloads int     `json:"reloads"`
	Modules int     `json:"modules"`
	Rate    float64 `json:"rate"` // requests per second
	// Took is the median time from the save of a file to the policy's activation.
	Took time.Duration `json:"took"`
	// Lasted is how long all reloads took.
	Lasted time.Duration `json:"lasted"`
	// Without and with reloads.
	BeforeP50 time.Duration `json:"before_p50"`
	BeforeP99 time.Duration `json:"before_p99"`
	DuringP50 time.Duration `json:"during_p50"`
	DuringP99 time.Duration `json:"during_p99"`
	DuringMax time.Duration `json:"during_max"`
	Requests  int           `json:"requests"`
	Failed    int           `json:"failed"`
	Reasons   []string      `json:"reasons,omitempty"`
}

// reload replaces a policy of many modules again and again, under a load of a
// quarter of the capacity.
func (b *bench) reload(ctx context.Context, r *result) error {
	capacity, err := b.capacity(ctx, r)
	if err != nil {
		return err
	}
	modules := map[string]string{}
	for i := range b.ReloadModules {
		modules[fmt.Sprintf("authz/area_%03d.rego", i)] = areaModule(i, 0)
	}
	policies, data, err := b.policyWith(modules)
	if err != nil {
		return err
	}
	server, err := b.startFresh(ctx, "stagedoor-reload", "--policies", policies, "--data", data)
	if err != nil {
		return err
	}
	rate := capacity / 4
	b.say("%.0f requests/s without reloads", rate)
	before, err := b.openLoop(ctx, server, rate, b.OpenLoop)
	if err != nil {
		return err
	}

	b.say("%.0f requests/s and %d reloads", rate, b.Reloads)
	started := time.Now()
	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		arrived *arrivals
		err     error
	}
	during := make(chan outcome, 1)
	go func() {
		arrived, err := b.openLoop(loaded, server, rate, time.Hour)
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			err = nil
		}
		during <- outcome{arrived, err}
	}()
	took, reloadErr := b.reloadMany(ctx, server, policies)
	lasted := time.Since(started)
	cancel()
	under := <-during
	if err := errors.Join(reloadErr, under.err); err != nil {
		return err
	}
	r.Reload = &reloadResult{
		Reloads: len(took), Modules: b.ReloadModules, Rate: rate, Took: medianTime(took), Lasted: lasted,
		BeforeP50: before.percentile(50), BeforeP99: before.percentile(99),
		DuringP50: under.arrived.percentile(50), DuringP99: under.arrived.percentile(99), DuringMax: under.arrived.percentile(100),
		Requests: len(under.arrived.latencies) + under.arrived.failed, Failed: under.arrived.failed, Reasons: under.arrived.reasons,
	}
	return nil
}

// reloadMany saves a changed module, as an editor does, asks for a reload and
// waits for it, many times. It returns how long each took.
func (b *bench) reloadMany(ctx context.Context, server *process, policies string) ([]time.Duration, error) {
	var took []time.Duration
	for i := range b.Reloads {
		began := time.Now()
		seen, err := activations(server)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(policies, fmt.Sprintf("authz/area_%03d.rego", i%b.ReloadModules))
		if err := os.WriteFile(file+".new", []byte(areaModule(i%b.ReloadModules, i+1)), 0o600); err != nil {
			return nil, fmt.Errorf("changing the policy: %w", err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			return nil, fmt.Errorf("changing the policy: %w", err)
		}
		if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return nil, fmt.Errorf("asking for a reload: %w", err)
		}
		for {
			now, err := activations(server)
			if err != nil {
				return nil, err
			}
			if now > seen {
				break
			}
			if time.Since(began) > patience {
				return nil, fmt.Errorf("reload %d did not come:\n%s", i+1, server.lastWords())
			}
			if err := sleep(ctx, 2*time.Millisecond); err != nil {
				return nil, err
			}
		}
		took = append(took, time.Since(began))
		if err := sleep(ctx, b.ReloadEvery-time.Since(began)); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// activations counts what the server's log says of policies gone live.
func activations(p *process) (int, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return 0, fmt.Errorf("reading the log of %s: %w", p.name, err)
	}
	return strings.Count(string(text), "policy activated"), nil
}

// areaModule is one area's addition to the policy, as a user would write it.
func areaModule(area, edition int) string {
	return fmt.Sprintf(`package authz

# METADATA
# title: Area %[1]d, edition %[2]d
# custom:
#   code: area_%03[1]d_closed
#   message: area %[1]d is closed
deny contains reason(rego.metadata.rule(), []) if {
	input.route == "/area-%03[1]d/{id}"
	_closed_%03[1]d
}

_closed_%03[1]d if input.params.id == "%[2]d"

_closed_%03[1]d if {
	some role in input.subject.roles
	role in {"closed-%03[1]d", "edition-%[2]d"}
}
`, area, edition)
}

// sleep ends early, with an error, when ctx does.
func sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
