//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are the servers that are measured.
type programs struct {
	stagedoor, opa, bare string
	// cachesOff are the flags that turn Stagedoor's caches off.
	cachesOff []string
	// notes are what a reader of the figures has to know.
	notes []string
}

// build builds them from this very source.
func (b *bench) build(ctx context.Context) (programs, error) {
	p := programs{
		stagedoor: filepath.Join(b.dir, "stagedoor"),
		opa:       filepath.Join(b.dir, "opa"),
		bare:      filepath.Join(b.dir, "bare"),
	}
	for program, source := range map[string]string{
		p.stagedoor: "./cmd/stagedoor",
		p.opa:       "github.com/open-policy-agent/opa",
		p.bare:      "./bench/bare",
	} {
		if _, err := b.command(ctx, "go", "build", "-trimpath", "-o", program, source); err != nil {
			return p, err
		}
	}
	help, err := b.command(ctx, p.stagedoor, "serve", "--help")
	if err != nil {
		return p, err
	}
	for _, flag := range []string{"--token-cache", "--decision-cache", "--subject-cache"} {
		if !strings.Contains(help, flag) {
			p.notes = append(p.notes, "This build of Stagedoor has no "+flag+", so the row without caches leaves it out.")
			continue
		}
		p.cachesOff = append(p.cachesOff, flag, "0")
	}
	return p, nil
}

// command runs a program in the repository and returns what it prints.
func (b *bench) command(ctx context.Context, name string, args ...string) (string, error) {
	return commandIn(ctx, b.root, name, args...)
}

func commandIn(ctx context.Context, dir, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	command.Env = environment()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(output), nil
}

// environment is ours without what would configure a server behind its flags'
// back, or set its garbage collection.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case strings.HasPrefix(name, "STAGEDOOR_"), name == "GOGC", name == "GOMEMLIMIT", name == "GOMAXPROCS", name == "GODEBUG":
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}

// repositoryRoot is the folder of the module that this program belongs to.
func repositoryRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for the module: %w", err)
	}
	file := strings.TrimSpace(string(output))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("run it inside the repository, such as with `make bench`")
	}
	return filepath.Dir(file), nil
}
