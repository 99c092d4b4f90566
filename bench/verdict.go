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
	// Even is the same with GOGC=350 on both sides, where the other has another one
	// of its own.
	Even string `json:"even,omitempty"`
	Met  string `json:"met"` // "aim", "must" or "no"
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

// megabytes are of 10^6 bytes.
func megabytes(value float64) string {
	return fmt.Sprintf("%.3g MB", value/1e6)
}

// verdicts are those of the sections that were run.
func verdicts(r *result) []verdict {
	var all []verdict
	add := func(what string, value float64, must, aim bound, format func(float64) string) {
		all = append(all, judge(what, value, must, aim, format))
	}
	measured := slices.Concat(r.HTTP, r.Gateway)
	// compare judges the quotient of two rows, and shows that to a third beside it.
	compare := func(what, over, under, even string, of func(sample) float64, must, aim bound) {
		above := samplesOf(measured, over)
		value, found := perRound(above, samplesOf(measured, under), of)
		if !found {
			return
		}
		add(what, value, must, aim, plain)
		if value, found := perRound(above, samplesOf(measured, even), of); found {
			all[len(all)-1].Even = plain(value)
		}
	}
	mixed := fmt.Sprintf(", %d subjects × %d paths, Zipf", r.Size.Subjects, r.Size.Paths)
	compare("warm authorised ÷ bare Gin, requests per second, one subject", rowWarm, rowGin, rowGin+evenly, rateOf, least(0.82), least(0.90))
	compare("warm authorised ÷ bare Gin, requests per second"+mixed, rowMixed, rowGinMixed, rowGinMixed+evenly, rateOf, least(0.75), least(0.85))
	compare("CPU per warm request ÷ bare Gin, one subject", rowWarm, rowGin, rowGin+evenly, cpuEach, most(1.28), most(1.15))
	compare("CPU per warm request ÷ bare Gin"+mixed, rowMixed, rowGinMixed, rowGinMixed+evenly, cpuEach, most(1.28), most(1.15))
	compare("cold ÷ bare Gin: token new", rowCold, rowGinEach, rowGinEach+evenly, rateOf, least(0.20), least(0.30))
	compare("cold ÷ bare Gin: token known, decision new", rowKnown, rowGinCount, rowGinCount+evenly, rateOf, least(0.35), least(0.50))
	for _, s := range r.Stages {
		switch s.Name {
		case stageUncachedDecision:
			add("uncached allow of the default policy", float64(s.Allocs), most(200), most(100), allocs)
		case stageKnownDecision:
			add("known token and cached decision, in process: time", s.NS, most(500), most(250), micros)
			add("known token and cached decision, in process: allocations", float64(s.Allocs), most(0), bound{}, allocs)
		}
	}
	all = append(all, growthVerdicts(r.Growth)...)
	compare("warm ÷ `opa run --server`", rowWarm, rowOPA, rowOPA+evenly, rateOf, least(5), least(7))
	compare("gateway, authorised ÷ bare httputil.ReverseProxy", rowGateway, rowProxy, rowProxy+evenly, rateOf, least(0.80), bound{})
	compare("gateway, authorised ÷ nginx's proxy_pass", rowGateway, rowNginx, "", rateOf, bound{}, least(0.50))
	if r.Start != nil {
		add(fmt.Sprintf("start to first decision, %d accounts", r.Start.Accounts), float64(r.Start.Median), most(100e6), most(50e6), millis)
		add("memory idle", float64(r.Start.IdleResident), most(50e6), bound{}, megabytes)
	}
	if r.Memory != nil {
		add("memory warm", float64(r.Memory.WarmResident), most(100e6), bound{}, megabytes)
	}
	if l := r.Reload; l != nil {
		add(fmt.Sprintf("%d reloads under load: failed requests", l.Reloads), float64(l.Failed), most(0), bound{}, whole)
		if l.BeforeP99 > 0 {
			add(fmt.Sprintf("%d reloads under load: p99 ÷ p99 without reloads", l.Reloads), float64(l.DuringP99)/float64(l.BeforeP99), bound{}, most(2), times)
		}
	}
	if l := r.Logins; l != nil {
		add(fmt.Sprintf("%d logins at once: worst other request", l.Logins), float64(l.Worst), most(200e6), bound{}, millis)
	}
	return all
}

// samplesOf are those of the row of that name; none where it was not measured.
func samplesOf(rows []row, name string) []sample {
	i := slices.IndexFunc(rows, func(w row) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	return rows[i].Samples
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
