//go:build linux

package main

import (
	"bufio"
	"context"
	"regexp"
	"strconv"
	"strings"
)

// goBenchmark is one line of `go test -bench`.
type goBenchmark struct {
	Package string  `json:"package"`
	Name    string  `json:"name"`
	NS      float64 `json:"ns"`
	Bytes   float64 `json:"bytes"`
	Allocs  float64 `json:"allocs"`
}

// goTests runs the repository's Go benchmarks.
func (b *bench) goTests(ctx context.Context) ([]goBenchmark, error) {
	output, err := b.command(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", b.GoBenchTime,
		"./cmd/...", "./server/...", "./policies/...", "./data/...")
	if err != nil {
		return nil, err
	}
	return parseGoBenchmarks(output), nil
}

// procsSuffix is the number of processors that go test puts behind a name.
var procsSuffix = regexp.MustCompile(`-\d+$`)

// parseGoBenchmarks reads the lines of a benchmark's format (the Go proposal
// 14313): a name, a count, and pairs of value and unit.
func parseGoBenchmarks(output string) []goBenchmark {
	var found []goBenchmark
	in := ""
	for lines := bufio.NewScanner(strings.NewReader(output)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 2 && fields[0] == "pkg:" {
			in = strings.TrimPrefix(fields[1], "github.com/stagedoor/stagedoor/")
		}
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue
		}
		g := goBenchmark{Package: in, Name: procsSuffix.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				break
			}
			switch fields[i+1] {
			case "ns/op":
				g.NS = value
			case "B/op":
				g.Bytes = value
			case "allocs/op":
				g.Allocs = value
			}
		}
		found = append(found, g)
	}
	return found
}
