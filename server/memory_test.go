package server

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestTuneMemory(t *testing.T) {
	fails := func(err error) memlimit.Provider { return func() (uint64, error) { return 0, err } }
	for _, c := range []struct {
		name        string
		environment map[string]string
		cgroup      memlimit.Provider
		percent     int   // GOGC afterwards
		limit       int64 // GOMEMLIMIT afterwards
		log         string
	}{
		{"no cgroup", nil, fails(memlimit.ErrNoCgroup), 350, math.MaxInt64, "gogc=350 gogc_from=default memory_limit=none"},
		{"a system without cgroups", nil, fails(memlimit.ErrCgroupsNotSupported), 350, math.MaxInt64, "memory_limit=none"},
		{"a cgroup without a limit", nil, fails(memlimit.ErrNoLimit), 350, math.MaxInt64, "memory_limit=none"},
		{"a cgroup's limit", nil, memlimit.Limit(1_000_000_000), 350, 900_000_000, "memory_limit=900000000 memory_limit_from=cgroup"},
		{"GOGC in the environment", map[string]string{"GOGC": "50"}, memlimit.Limit(1_000_000_000), 50, 900_000_000, "gogc=50 gogc_from=environment"},
		{"GOMEMLIMIT in the environment", map[string]string{"GOMEMLIMIT": "3GiB"}, memlimit.Limit(1_000_000_000), 350, 3 << 30, "memory_limit=3221225472 memory_limit_from=environment"},
		{"a cgroup that can't be read", nil, fails(errors.New("broken mountinfo")), 350, math.MaxInt64, "level=WARN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What the runtime would have read at the process's start.
			percent, limit := debug.SetGCPercent(50), debug.SetMemoryLimit(math.MaxInt64)
			t.Cleanup(func() {
				debug.SetGCPercent(percent)
				debug.SetMemoryLimit(limit)
			})
			for _, name := range []string{"GOGC", "GOMEMLIMIT", "AUTOMEMLIMIT"} {
				t.Setenv(name, "") // remembers what was there
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
			for name, value := range c.environment {
				t.Setenv(name, value)
			}
			if c.environment["GOMEMLIMIT"] != "" {
				debug.SetMemoryLimit(3 << 30)
			}

			var log bytes.Buffer
			tuneMemory(slog.New(slog.NewTextHandler(&log, nil)), c.cgroup)
			if got := debug.SetGCPercent(100); got != c.percent {
				t.Errorf("GOGC is %d, want %d", got, c.percent)
			}
			if got := debug.SetMemoryLimit(-1); got != c.limit {
				t.Errorf("GOMEMLIMIT is %d, want %d", got, c.limit)
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("the log does not say %q: %s", c.log, log.String())
			}
		})
	}
}
