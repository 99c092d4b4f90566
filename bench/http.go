//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// row is one line of the table of the whole path: a server under a load.
type row struct {
	Name string `json:"name"`
	// Base is the name of the row that Ratio and CPURatio are to; empty for one
	// that has none.
	Base string `json:"base,omitempty"`
	// Samples are one for each round, the other figures their medians. The ratios
	// are medians of each round's ratio.
	Samples  []sample      `json:"samples"`
	RPS      float64       `json:"rps"`
	P50      time.Duration `json:"p50"`
	P99      time.Duration `json:"p99"`
	CPU      time.Duration `json:"cpu"`
	Ratio    float64       `json:"ratio,omitempty"`
	CPURatio float64       `json:"cpu_ratio,omitempty"`
	// Failed are the failed requests of all rounds.
	Failed int `json:"failed,omitempty"`
}

// contender is a row to be measured.
type contender struct {
	row
	server   *process
	load     load
	duration time.Duration
	// fresh starts another server for each round, whose caches are empty.
	fresh func(context.Context) (*process, error)
	// valid looks at a sample that may not count; nil: all count.
	valid func(before, after map[int]time.Duration) error
}

// memory is what Stagedoor holds, in bytes: resident, and the part of it that is
// no file's.
type memory struct {
	WarmResident  int64 `json:"warm_resident"`
	WarmAnonymous int64 `json:"warm_anonymous"`
}

// The names of rows that others refer to.
const (
	rowGin       = "bare Gin"
	rowGinMixed  = "bare Gin, mixed load"
	rowGinEach   = "bare Gin, cold load"
	rowGinCount  = "bare Gin, changing query"
	rowWarm      = "Stagedoor, warm, one subject"
	rowMixed     = "Stagedoor, warm, mixed load"
	rowCold      = "Stagedoor, cold: token, subject and decision new"
	rowKnown     = "Stagedoor, cold: token known, decision new"
	rowCachesOff = "Stagedoor, caches off"
	rowOPA       = "opa run --server"
	// evenGC gives a server Stagedoor's garbage collection, and evenly is behind the
	// name of its row.
	evenGC = "GOGC=350"
	evenly = " with " + evenGC
)

// http measures the whole path.
func (b *bench) http(ctx context.Context, r *result) error {
	contenders, err := b.contenders(ctx)
	if err != nil {
		return err
	}
	if r.HTTP, err = b.rounds(ctx, contenders, b.Rounds); err != nil {
		return err
	}
	for _, c := range contenders {
		if c.Name == rowMixed {
			r.Memory = &memory{}
			if r.Memory.WarmResident, r.Memory.WarmAnonymous, err = c.server.memory(); err != nil {
				return err
			}
		}
	}
	return nil
}

// contenders starts the servers and makes the loads.
func (b *bench) contenders(ctx context.Context) ([]*contender, error) {
	warm, err := b.startFresh(ctx, "stagedoor")
	if err != nil {
		return nil, err
	}
	paths, items, err := b.makeItems(ctx, warm)
	if err != nil {
		return nil, err
	}
	bare := func(name, kind string, env ...string) (*process, error) {
		return b.start(ctx, launch{name: name, env: env, argv: func(addr string) []string {
			return []string{b.programs.bare, "-kind", kind, "-listen", addr, "-items", items}
		}})
	}
	netHTTP, err := bare("nethttp", "nethttp")
	if err != nil {
		return nil, err
	}
	gin, err := bare("gin", "gin")
	if err != nil {
		return nil, err
	}
	evenGin, err := bare("gin-gogc", "gin", evenGC)
	if err != nil {
		return nil, err
	}
	off, err := b.startFresh(ctx, "stagedoor-off", b.programs.cachesOff...)
	if err != nil {
		return nil, err
	}
	policies, data, err := b.policyWith(map[string]string{"authz/bench.rego": queryRule})
	if err != nil {
		return nil, err
	}
	query, err := b.startFresh(ctx, "stagedoor-query", "--policies", policies, "--data", data)
	if err != nil {
		return nil, err
	}
	opa, opaLoad, err := b.startOPA(ctx, nil, "/items/"+knownItem, "/items/{id}", "client", "team-000000")
	if err != nil {
		return nil, err
	}
	evenOPA, _, err := b.startOPA(ctx, []string{evenGC}, "/items/"+knownItem, "/items/{id}", "client", "team-000000")
	if err != nil {
		return nil, err
	}

	one := []string{"/items/" + knownItem}
	same, err := b.makeLoad("same", map[string][]string{"tokens": b.state.tokens[:1], "paths": one})
	if err != nil {
		return nil, err
	}
	mixed, err := b.makeLoad("mixed", map[string][]string{
		"tokens": b.state.tokens[:b.Subjects], "paths": paths, "sequence": zipfSequence(b.Subjects, len(paths)),
	})
	if err != nil {
		return nil, err
	}
	each, err := b.makeLoad("each", map[string][]string{"tokens": b.state.tokens, "paths": one})
	if err != nil {
		return nil, err
	}
	count, err := b.makeLoad("count", map[string][]string{"tokens": b.state.tokens[:1], "paths": {one[0] + "?blocked="}})
	if err != nil {
		return nil, err
	}
	coldDir, err := b.copyState()
	if err != nil {
		return nil, err
	}
	cold := func(ctx context.Context) (*process, error) {
		return b.start(ctx, b.stagedoor("stagedoor-cold", coldDir))
	}

	return []*contender{
		{row: row{Name: "bare net/http", Base: rowGin}, server: netHTTP, load: same, duration: b.Duration},
		{row: row{Name: rowGin}, server: gin, load: same, duration: b.Duration},
		{row: row{Name: rowWarm, Base: rowGin}, server: warm, load: same, duration: b.Duration},
		{row: row{Name: rowGin + evenly, Base: rowGin}, server: evenGin, load: same, duration: b.Duration},
		{row: row{Name: rowGinMixed}, server: gin, load: mixed, duration: b.Duration},
		{row: row{Name: rowGinMixed + evenly, Base: rowGinMixed}, server: evenGin, load: mixed, duration: b.Duration},
		{row: row{Name: rowMixed, Base: rowGinMixed}, server: warm, load: mixed, duration: b.Duration},
		{row: row{Name: rowGinEach}, server: gin, load: each, duration: b.ColdDuration},
		{row: row{Name: rowGinEach + evenly, Base: rowGinEach}, server: evenGin, load: each, duration: b.ColdDuration},
		{row: row{Name: rowCold, Base: rowGinEach}, fresh: cold, load: each, duration: b.ColdDuration},
		{row: row{Name: rowGinCount}, server: gin, load: count, duration: b.Duration},
		{row: row{Name: rowGinCount + evenly, Base: rowGinCount}, server: evenGin, load: count, duration: b.Duration},
		{row: row{Name: rowKnown, Base: rowGinCount}, server: query, load: count, duration: b.Duration},
		{row: row{Name: rowCachesOff, Base: rowGin}, server: off, load: same, duration: b.Duration},
		{row: row{Name: rowOPA, Base: rowGin}, server: opa, load: opaLoad, duration: b.Duration},
		{row: row{Name: rowOPA + evenly, Base: rowGin}, server: evenOPA, load: opaLoad, duration: b.Duration},
	}, nil
}

// rounds measures all contenders in turn, round after round. Each round begins
// with another of them.
func (b *bench) rounds(ctx context.Context, contenders []*contender, rounds int) ([]row, error) {
	for round := range rounds {
		for i := range contenders {
			c := contenders[(i+round)%len(contenders)]
			if round == 0 && b.WarmUp > 0 && c.fresh == nil {
				if _, err := b.wrk(ctx, c.server, c.load, b.WarmUp); err != nil && !errors.Is(err, errWrapped) {
					return nil, err
				}
			}
			s, err := b.measureOnce(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			b.say("round %d of %d: %-50s %7.0f requests/s, p99 %s", round+1, rounds, c.Name, s.RPS, s.P99)
			c.Samples = append(c.Samples, s)
		}
	}
	byName := map[string]*contender{}
	for _, c := range contenders {
		byName[c.Name] = c
	}
	var rows []row
	for _, c := range contenders {
		var base []sample
		if c.Base != "" {
			base = byName[c.Base].Samples
		}
		c.summarize(base)
		rows = append(rows, c.row)
	}
	return rows, nil
}

// tries is how often a measurement that does not count is repeated.
const tries = 20

func (b *bench) measureOnce(ctx context.Context, c *contender) (sample, error) {
	server := c.server
	if c.fresh != nil {
		var err error
		if server, err = c.fresh(ctx); err != nil {
			return sample{}, err
		}
		defer server.stop()
	}
	var err error
	for range tries {
		before := shares(server)
		var s sample
		s, err = b.wrk(ctx, server, c.load, c.duration)
		if errors.Is(err, errWrapped) && (c.fresh == nil || b.smoke) {
			err = nil // to a server that knows no tokens they are all the same
		}
		if err != nil {
			return sample{}, err
		}
		if c.valid == nil {
			return s, nil
		}
		if err = c.valid(before, shares(server)); err == nil {
			return s, nil
		}
		b.say("%s: does not count: %v", c.Name, err)
	}
	return sample{}, err
}

// shares is the processor time of each process of a server.
func shares(p *process) map[int]time.Duration {
	used := map[int]time.Duration{}
	for _, pid := range p.family() {
		if spent, err := cpuOf(pid); err == nil {
			used[pid] = spent
		}
	}
	return used
}

// summarize fills in the medians; base are the samples that the ratios are to.
func (r *row) summarize(base []sample) {
	var rps []float64
	var p50, p99, cpu []time.Duration
	for _, s := range r.Samples {
		rps, p50, p99, cpu = append(rps, s.RPS), append(p50, s.P50), append(p99, s.P99), append(cpu, s.CPU)
		r.Failed += s.Failed
	}
	r.RPS, r.P50, r.P99, r.CPU = medianFloat(rps), medianTime(p50), medianTime(p99), medianTime(cpu)
	r.Ratio, _ = perRound(r.Samples, base, rateOf)
	r.CPURatio, _ = perRound(r.Samples, base, cpuEach)
}

func rateOf(s sample) float64  { return s.RPS }
func cpuEach(s sample) float64 { return float64(s.CPU) }

// perRound is the median of each round's quotient of two rows' samples; false where
// there is none.
func perRound(above, below []sample, of func(sample) float64) (float64, bool) {
	var quotients []float64
	for round := range min(len(above), len(below)) {
		if divisor := of(below[round]); divisor > 0 {
			quotients = append(quotients, of(above[round])/divisor)
		}
	}
	if len(quotients) == 0 {
		return 0, false
	}
	return medianFloat(quotients), true
}

// startPair starts Stagedoor and bare Gin, which serves the same items.
func (b *bench) startPair(ctx context.Context) (stagedoor, gin *process, err error) {
	if stagedoor, err = b.startFresh(ctx, "stagedoor"); err != nil {
		return nil, nil, err
	}
	_, items, err := b.makeItems(ctx, stagedoor)
	if err != nil {
		return nil, nil, err
	}
	gin, err = b.start(ctx, launch{name: "gin", argv: func(addr string) []string {
		return []string{b.programs.bare, "-kind", "gin", "-listen", addr, "-items", items}
	}})
	return stagedoor, gin, err
}

// makeItems adds items through the API, and returns their paths and a file with
// them for the bare servers.
func (b *bench) makeItems(ctx context.Context, p *process) (paths []string, file string, err error) {
	items := []json.RawMessage{json.RawMessage(`{"id":"` + knownItem + `","title":"Carol's guitar","owner":"carol"}`)}
	for i := range b.Paths {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/items/",
			strings.NewReader(fmt.Sprintf(`{"title": "Instrument %03d"}`, i)))
		if err != nil {
			return nil, "", err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+b.state.tokens[0])
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, "", fmt.Errorf("making an item: %w", err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return nil, "", fmt.Errorf("making an item: %w", err)
		}
		if answer.StatusCode != http.StatusCreated {
			return nil, "", fmt.Errorf("making an item: %s: %s", answer.Status, text)
		}
		paths = append(paths, answer.Header.Get("Location"))
		items = append(items, json.RawMessage(bytes.TrimSpace(text)))
	}
	text, err := json.Marshal(items)
	if err != nil {
		return nil, "", err
	}
	file = filepath.Join(b.dir, "items.json")
	return paths, file, os.WriteFile(file, text, 0o600)
}
