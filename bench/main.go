//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is main with the world handed in.
func run(ctx context.Context, args []string, stdout, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	size := fullSize()
	smoke := flags.Bool("smoke", false, "run everything in miniature and write no file")
	peers := flags.Bool("peers", false, "measure the peers (Casbin, cedar-go, the article's application) instead")
	render := flags.Bool("render", false, "only write docs/benchmarks.md anew from bench/results")
	only := flags.String("only", "", "run only these sections, separated by commas, and write no file: "+strings.Join(sectionNames(), ", "))
	keepOnly := flags.Bool("keep", false, "with -only: put these sections beside the others in bench/results, and write docs/benchmarks.md")
	output := flags.String("output", "text", "what to print at the end: text (the page's tables) or json")
	flags.IntVar(&size.Rounds, "rounds", size.Rounds, "interleaved rounds; figures are their medians")
	flags.DurationVar(&size.Duration, "duration", size.Duration, "length of one measurement by wrk, in whole seconds")
	flags.IntVar(&size.Accounts, "accounts", size.Accounts, "accounts in the state, each with a token for the cold rows")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *smoke {
		size = smokeSize()
	}
	if size.Duration%time.Second != 0 || size.Duration <= 0 {
		return fmt.Errorf("-duration %s: wrk measures whole seconds only", size.Duration)
	}
	if *output != "text" && *output != "json" {
		return fmt.Errorf("-output is text or json, not %q", *output)
	}
	root, err := repositoryRoot(ctx)
	if err != nil {
		return err
	}
	if *render {
		return writePage(root)
	}

	wanted := sectionNames()
	if *only != "" {
		wanted = strings.Split(*only, ",")
		for _, name := range wanted {
			if !slices.Contains(sectionNames(), name) {
				return fmt.Errorf("-only: there is no section %q, only %s", name, strings.Join(sectionNames(), ", "))
			}
		}
	}
	if *keepOnly && (*only == "" || *smoke || *peers) {
		return errors.New("-keep belongs to -only, and not to -smoke or -peers")
	}
	b, err := newBench(ctx, root, size, progress)
	if err != nil {
		return err
	}
	defer b.close()
	write := !*smoke && (*only == "" || *keepOnly)

	if *peers {
		result, err := b.measurePeers(ctx)
		if err != nil {
			return err
		}
		if write {
			if err := keep(root, peersFile, result); err != nil {
				return err
			}
			if err := writePage(root); err != nil {
				return err
			}
		}
		return show(stdout, *output, result, renderPeers)
	}
	result, err := b.measure(ctx, wanted)
	if err != nil {
		return err
	}
	if write {
		if err := keepMain(root, result, wanted); err != nil {
			return err
		}
	}
	return show(stdout, *output, result, renderMain)
}
