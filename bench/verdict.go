//go:build linux

package main

import (
	"fmt"
	"slices"
)

// verdict compares one measured figure with what must hold.
type verdict struct {
	What     string `json:"what"`
	Must     string `json:"must"`
	Aim      string `json:"aim"`
	Measured string `json:"measured"`
	Met      string `json:"met"` // "aim", "must" or "no"
}

// bound is a limit in one direction. Its zero value is none.
type bound struct {
	limit   float64
	atLeast bool
	set     bool
}

func least(limit float64) bound { return bound{limit, true, true} }
func most(limit float64) bound  { return bound{limit, false, true} }

func (l bound) holds(value float64) bool {
	return !l.set || l.atLeast && value >= l.limit || !l.atLeast && value <= l.limit
}

func (l bound) text(format func(float64) string) string {
	switch {
	case !l.set:
		return ""
	case l.atLeast:
		return "≥ " + format(l.limit)
	case l.limit == 0:
		return format(0)
	}
	return "≤ " + format(l.limit)
}

// judge makes a verdict. Without an aim, what must hold is the aim.
func judge(what string, value float64, must, aim bound, format func(float64) string) verdict {
	v := verdict{What: what, Must: must.text(format), Aim: aim.text(format), Measured: format(value), Met: "no"}
	switch {
	case must.holds(value) && aim.holds(value):
		v.Met = "aim"
	case must.holds(value):
		v.Met = "must"
	}
	return v
}

func plain(value float64) string  { return fmt.Sprintf("%.2f", value) }
func whole(value float64) string  { return fmt.Sprintf("%.0f", value) }
func allocs(value float64) string { return whole(value) + " allocs" }
func times(value float64) string  { return fmt.Sprintf("%.2f×", value) }
func micros(value float64) string { return fmt.Sprintf("%.2f µs", value/1e3) }
func millis(value float64) string { return fmt.Sprintf("%.0f ms", value/1e6) }
func megabytes(value float64) string {
	return fmt.Sprintf("%.0f MB", value/(1<<20))
}

// verdicts are those of the sections that were run.
func verdicts(r *result) []verdict {
	var all []verdict
	byRow := func(name string, add func(row)) {
		if i := slices.IndexFunc(r.HTTP, func(w row) bool { return w.Name == name }); i >= 0 {
			add(r.HTTP[i])
		}
	}
	add := func(what string, value float64, must, aim bound, format func(float64) string) {
		all = append(all, judge(what, value, must, aim, format))
	}
	byRow(rowWarm, func(w row) {
		add("warm authorised ÷ bare Gin, requests per second (one subject)", w.Ratio, least(0.82), least(0.90), plain)
	})
	byRow(rowMixed, func(w row) {
		add(fmt.Sprintf("the same, %d subjects × %d paths, Zipf", r.Size.Subjects, r.Size.Paths), w.Ratio, least(0.75), least(0.85), plain)
	})
	byRow(rowWarm, func(w row) {
		add("CPU per warm request ÷ bare Gin", w.CPURatio, most(1.28), most(1.15), plain)
	})
	byRow(rowCold, func(w row) { add("cold ÷ bare Gin: token new", w.Ratio, least(0.20), least(0.30), plain) })
	byRow(rowKnown, func(w row) {
		add("cold ÷ bare Gin: token known, decision new", w.Ratio, least(0.35), least(0.50), plain)
	})
	for _, s := range r.Stages {
		switch s.Name {
		case stageUncachedDecision:
			add("uncached allow of the default policy", float64(s.Allocs), most(200), most(100), allocs)
		case stageKnownDecision:
			add("known token and cached decision, in process: time", s.NS, most(500), most(250), micros)
			add("the same: allocations", float64(s.Allocs), most(0), bound{}, allocs)
		}
	}
	all = append(all, growthVerdicts(r.Growth)...)
	byRow(rowOPA, func(opa row) {
		byRow(rowWarm, func(w row) {
			add("warm ÷ `opa run --server`", w.RPS/opa.RPS, least(5), least(7), plain)
		})
	})
	if r.Start != nil {
		add(fmt.Sprintf("start to first decision, %d accounts", r.Start.Accounts), float64(r.Start.Median), most(100e6), most(50e6), millis)
		add("memory idle", float64(r.Start.IdleResident), most(50<<20), bound{}, megabytes)
	}
	if r.Memory != nil {
		add("memory warm", float64(r.Memory.WarmResident), most(100<<20), bound{}, megabytes)
	}
	if l := r.Reload; l != nil {
		add(fmt.Sprintf("%d reloads under load: failed requests", l.Reloads), float64(l.Failed), most(0), bound{}, whole)
		if l.BeforeP99 > 0 {
			add("the same: p99 ÷ p99 without reloads", float64(l.DuringP99)/float64(l.BeforeP99), bound{}, most(2), times)
		}
	}
	if l := r.Logins; l != nil {
		add(fmt.Sprintf("%d logins at once: worst other request", l.Logins), float64(l.Worst), most(200e6), bound{}, millis)
	}
	return all
}

// growthVerdicts compare the largest size with the smallest: the worse of cached
// and uncached counts.
func growthVerdicts(all []growth) []verdict {
	var found []verdict
	for _, of := range []string{growRoutes, growAccounts} {
		var worstTime, worstAllocs float64
		var from, to int
		for _, what := range []string{cached, uncached} {
			var sizes []growth
			for _, g := range all {
				if g.Of == of && g.What == what {
					sizes = append(sizes, g)
				}
			}
			if len(sizes) == 0 {
				continue
			}
			first, last := sizes[0], sizes[len(sizes)-1]
			from, to = first.N, last.N
			worstTime = max(worstTime, last.NS/first.NS)
			if last.Allocs > first.Allocs || first.Allocs > 0 {
				worstAllocs = max(worstAllocs, float64(last.Allocs)/float64(max(first.Allocs, 1)))
			}
		}
		if to == 0 {
			continue
		}
		what := fmt.Sprintf("%d → %d %s: ", from, to, of)
		found = append(found,
			judge(what+"allocations", worstAllocs, most(1.02), bound{}, times),
			judge(what+"time", worstTime, most(1.5), bound{}, times))
	}
	return found
}
