//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// machine is where something was measured.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	RAM    string `json:"ram"`
	Kernel string `json:"kernel"`
	OS     string `json:"os"`
}

// version is that of something that was measured, or measured with.
type version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (b *bench) machine() machine {
	return machine{
		CPU: fieldOf("/proc/cpuinfo", "model name", ":"), Cores: runtime.NumCPU(),
		RAM: ram(), Kernel: wholeFile("/proc/sys/kernel/osrelease"),
		OS: strings.Trim(fieldOf("/etc/os-release", "PRETTY_NAME", "="), `"`),
	}
}

// versions are those of what takes part in the main run. What can't be found out
// is "unknown", and measured all the same.
func (b *bench) versions(ctx context.Context) []version {
	found := []version{{ourName, b.ourVersion(ctx)}, {"Go", runtime.Version()}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if slices.Contains([]string{"github.com/open-policy-agent/opa", "github.com/gin-gonic/gin", "github.com/golang-jwt/jwt/v5", "modernc.org/sqlite"}, dependency.Path) {
				found = append(found, version{dependency.Path, dependency.Version})
			}
		}
	}
	// wrk says its version, and then exits with 1.
	output, _ := exec.CommandContext(ctx, "wrk", "-v").CombinedOutput()
	wrk, _, _ := strings.Cut(string(output), " [")
	found = append(found, version{"wrk", strings.TrimPrefix(wrk, "wrk ")})
	if program, err := findNginx(); err == nil {
		output, _ := exec.CommandContext(ctx, program, "-v").CombinedOutput()
		_, number, _ := strings.Cut(strings.TrimSpace(string(output)), "nginx/")
		found = append(found, version{"nginx", number})
	}
	return found
}

const (
	ourName = "Stagedoor"
	// dirty is behind the version of a tree with changes that are in no commit.
	dirty = "-dirty"
)

// ourVersion is that of the source that is measured. What earlier runs have written
// is no change of it.
func (b *bench) ourVersion(ctx context.Context) string {
	described := b.firstLine(ctx, "git", "describe", "--tags", "--always")
	changes, err := b.command(ctx, "git", "status", "--porcelain", "--", ".", ":!"+pageFile, ":!"+filepath.Dir(mainFile))
	if err != nil {
		return "unknown"
	}
	if changes != "" {
		described += dirty
	}
	return described
}

func (b *bench) firstLine(ctx context.Context, name string, args ...string) string {
	output, err := b.command(ctx, name, args...)
	line, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}

func ram() string {
	var kilobytes float64
	if _, err := fmt.Sscanf(fieldOf("/proc/meminfo", "MemTotal", ":"), "%f kB", &kilobytes); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GiB", kilobytes/(1<<20))
}

func fieldOf(file, name, separator string) string {
	for line := range strings.Lines(wholeFile(file)) {
		key, value, found := strings.Cut(line, separator)
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func wholeFile(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
