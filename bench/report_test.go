//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseGoBenchmarks(t *testing.T) {
	got := parseGoBenchmarks(`goos: linux
pkg: github.com/stagedoor/stagedoor/server/route
BenchmarkMatch/10-2         	 5000000	       217.5 ns/op	     336 B/op	       2 allocs/op
BenchmarkQuiet
--- BENCH: BenchmarkQuiet
PASS
ok  	github.com/stagedoor/stagedoor/server/route	1.2s
`)
	if len(got) != 1 || got[0] != (goBenchmark{"server/route", "Match/10", 217.5, 336, 2}) {
		t.Errorf("got %+v", got)
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name      string
		value     float64
		must, aim bound
		want      string
	}{
		{"above both", 0.95, least(0.82), least(0.9), "aim"},
		{"between", 0.85, least(0.82), least(0.9), "must"},
		{"below both", 0.5, least(0.82), least(0.9), "no"},
		{"at most, under", 1.1, most(1.28), most(1.15), "aim"},
		{"at most, over", 1.3, most(1.28), most(1.15), "no"},
		{"no aim, held", 0, most(0), bound{}, "aim"},
		{"only an aim, missed", 3, bound{}, most(2), "must"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := judge("", test.value, test.must, test.aim, plain).Met; got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestGrowthJudgesTheWorse(t *testing.T) {
	all := []growth{
		{growRoutes, 10, cached, cost{NS: 100}}, {growRoutes, 100, cached, cost{NS: 110}},
		{growRoutes, 10, uncached, cost{NS: 1000, Allocs: 100}}, {growRoutes, 100, uncached, cost{NS: 1700, Allocs: 103}},
	}
	got := growthVerdicts(all)
	if len(got) != 2 || got[0].Measured != "1.03×" || got[1].Measured != "1.70×" || got[0].Met != "no" || got[1].Met != "no" {
		t.Errorf("got %+v", got)
	}
}

func TestSummaryIsOfRatiosInOneRound(t *testing.T) {
	sampled := func(rps ...float64) (all []sample) {
		for _, r := range rps {
			all = append(all, sample{RPS: r, CPU: 10 * time.Microsecond})
		}
		return all
	}
	r := row{Samples: sampled(50, 90, 45)}
	r.summarize(sampled(100, 100, 50))
	if r.RPS != 50 || r.Ratio != 0.9 || r.CPURatio != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestThePageKeepsBothParts: neither run erases what the other has found.
func TestThePageKeepsBothParts(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := keep(root, peersFile, &peersResult{Decisions: []peerDecision{{"a peer", 10, 5_000, 7}}}); err != nil {
		t.Fatal(err)
	}
	if err := keep(root, mainFile, &result{Start: &startResult{Accounts: 12, Median: time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	if err := writePage(root); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a state of 12 accounts: 1 ms", "a peer, 10 | 5.00 µs | 7 | 0.2 |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestQuotientsAreOfOneRound(t *testing.T) {
	sampled := func(rps ...float64) (all []sample) {
		for _, r := range rps {
			all = append(all, sample{RPS: r, CPU: time.Microsecond})
		}
		return all
	}
	r := &result{HTTP: []row{
		{Name: rowWarm, RPS: 60, Samples: sampled(40, 60, 90)},
		{Name: rowOPA, RPS: 10, Samples: sampled(5, 20, 10)}, // 8, 3 and 9; the medians' is 6
		{Name: rowOPA + evenly, Samples: sampled(10, 20, 30)},
	}}
	want := verdict{What: "warm ÷ `opa run --server`", Must: "≥ 5.00", Aim: "≥ 7.00", Measured: "8.00", Even: "3.00", Met: "aim"}
	if got := verdicts(r); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v", got)
	}
}

func TestMegabytesAreDecimal(t *testing.T) {
	got := verdicts(&result{Start: &startResult{IdleResident: 50_400_000}})
	if last := got[len(got)-1]; last.Measured != "50.4 MB" || last.Must != "≤ 50 MB" || last.Met != "no" {
		t.Errorf("got %+v", last)
	}
}

func TestThePageSaysWhatSpeaksAgainstQuotingIt(t *testing.T) {
	for name, test := range map[string]struct {
		version string
		rounds  int
		want    []string
	}{
		"a good run":      {"v1.2.3-4-gabcdef0", 7, nil},
		"a dirty tree":    {"abcdef0-dirty", 7, []string{"changes that are in no commit (abcdef0-dirty)"}},
		"too few rounds":  {"abcdef0", 3, []string{"3 rounds of 2s"}},
		"an unknown tree": {"unknown", 6, []string{"not known which commit", "6 rounds"}},
	} {
		t.Run(name, func(t *testing.T) {
			versions, s := []version{{ourName, test.version}, {"Go", "go1-dirty"}}, size{Rounds: test.rounds, Duration: 2 * time.Second}
			for _, page := range []string{renderMain(&result{Versions: versions, Size: s}), renderPeers(&peersResult{Versions: versions, Size: s})} {
				if got := strings.Contains(page, "> **A provisional run, not one to quote:**"); got != (test.want != nil) {
					t.Errorf("marked: %t\n%s", got, page)
				}
				for _, want := range test.want {
					if !strings.Contains(page, want) {
						t.Errorf("the page lacks %q:\n%s", want, page)
					}
				}
			}
		})
	}
}

// TestASectionByItselfLeavesTheOthers: what was measured before stays, and the page
// says which part is from another run.
func TestASectionByItselfLeavesTheOthers(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 28, 17, 0, 0, 0, time.UTC)
	part := &result{Taken: now, Size: size{Rounds: 7}, Gateway: []row{{Name: rowGateway, Samples: []sample{{RPS: 1}}}}, Versions: []version{{ourName, "abcdef0"}}}
	if err := keepMain(root, part, []string{"gateway"}); err == nil {
		t.Error("a part was kept without a whole")
	}
	whole := &result{Taken: now.Add(-time.Hour), Size: size{Rounds: 7}, Start: &startResult{Accounts: 12}, Gateway: []row{{Name: "an old row", Samples: []sample{{}}}}}
	if err := keepMain(root, whole, sectionNames()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is replaced
		if err := keepMain(root, part, []string{"gateway"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := kept[result](root, mainFile)
	if err != nil {
		t.Fatal(err)
	}
	if got.Start == nil || !got.Taken.Equal(whole.Taken) || len(got.Gateway) != 1 || got.Gateway[0].Name != rowGateway || len(got.Later) != 1 {
		t.Errorf("kept %+v", got)
	}
	page, err := os.ReadFile(filepath.Join(root, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	if want := "The section **gateway** was measured by itself. Taken 2026-11-28 17:00 UTC"; strings.Count(string(page), want) != 1 {
		t.Errorf("the page lacks %q:\n%s", want, page)
	}
	part.Size.Rounds = 3
	if err := keepMain(root, part, []string{"gateway"}); err == nil {
		t.Error("a part of another size was kept")
	}
}
