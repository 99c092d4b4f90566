package server

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// gcPercent lets the heap grow to four and a half times what is live before it
	// is collected. A gate makes little that lives, so collecting it rarely costs a few
	// megabytes and gives a quarter more requests per second; a higher value adds
	// nothing (docs/operations.md).
	gcPercent = 350
	// memoryShare of the cgroup's limit is what Go may use; the rest is for what Go
	// does not count.
	memoryShare = 0.9
)

// releaseAfter is how long after the start the memory that it took is given
// back. Doing so takes tens of milliseconds of both cores, which the first
// requests would wait for.
const releaseAfter = time.Second

// releaseMemory gives back to the system what loading the policy took, which is
// several times what its snapshot needs.
func releaseMemory(ctx context.Context) {
	timer := time.NewTimer(releaseAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
		debug.FreeOSMemory()
	case <-ctx.Done():
	}
}

// TuneMemory sets the garbage collector of this process for serving: GOGC 350,
// and a memory limit of nine tenths of the cgroup's, where there is one. What the
// environment says (GOGC, GOMEMLIMIT) stands. It changes the whole process, so it
// is for the program and not for [New]: a program that has a Server in it may want
// something else.
func TuneMemory(logger *slog.Logger) { tuneMemory(logger, memlimit.FromCgroup) }

func tuneMemory(logger *slog.Logger, cgroup memlimit.Provider) {
	var line []any
	if set := os.Getenv("GOGC"); set != "" {
		line = append(line, "gogc", set, "gogc_from", "environment")
	} else {
		debug.SetGCPercent(gcPercent)
		line = append(line, "gogc", gcPercent, "gogc_from", "default")
	}

	limit, err := memlimit.Set(memlimit.WithProvider(cgroup), memlimit.WithRatio(memoryShare))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported), errors.Is(err, os.ErrNotExist):
		line = append(line, "memory_limit", "none")
	case err != nil:
		logger.Warn("the cgroup's memory limit is not respected; set GOMEMLIMIT instead", "error", err)
	case os.Getenv("GOMEMLIMIT") != "":
		line = append(line, "memory_limit", limit, "memory_limit_from", "environment")
	case limit == math.MaxInt64:
		line = append(line, "memory_limit", "none")
	default:
		line = append(line, "memory_limit", limit, "memory_limit_from", "cgroup")
	}
	logger.Info("garbage collection set", line...)
}
