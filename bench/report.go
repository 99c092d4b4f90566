//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const pageHead = `# Benchmarks

Written by ` + "`make bench` and `make bench-peers`" + ` from what they measured; don't edit it. Absolute figures are this machine's. Servers and the client that asks them share its processors, so what counts are the ratios within one run.

`

// writePage renders the page from the kept results.
func writePage(root string) error {
	main, err := kept[result](root, mainFile)
	if err != nil {
		return err
	}
	peers, err := kept[peersResult](root, peersFile)
	if err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString(pageHead)
	if main != nil {
		main.Verdicts = verdicts(main) // what must hold is said here, not in what was measured
		page.WriteString(renderMain(main))
	}
	if peers != nil {
		page.WriteString(renderPeers(peers))
	}
	text := strings.TrimRight(page.String(), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(root, pageFile), []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// show prints a result.
func show[R any](w io.Writer, format string, result *R, render func(*R) string) error {
	text := render(result)
	if format == "json" {
		encoded, err := json.MarshalIndent(result, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the result: %w", err)
		}
		text = string(encoded) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// table is a Markdown table: the first column is text, the others are figures.
func table(p *strings.Builder, head []string, rows [][]string) {
	fmt.Fprintf(p, "| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("--:|", len(head)-1))
	for _, cells := range rows {
		fmt.Fprintf(p, "| %s |\n", strings.Join(cells, " | "))
	}
	p.WriteString("\n")
}

func renderWhere(p *strings.Builder, taken time.Time, m machine, versions []version) {
	fmt.Fprintf(p, "Taken %s on %d × %s, %s of memory, %s, Linux %s.", taken.Format("2006-01-02 15:04 UTC"), m.Cores, m.CPU, m.RAM, m.OS, m.Kernel)
	for i, v := range versions {
		separator := ", "
		if i == 0 {
			separator = " "
		}
		fmt.Fprintf(p, "%s%s %s", separator, v.Name, v.Version)
	}
	p.WriteString(".\n\n")
}

// enoughRounds are how many a figure needs to be quoted.
const enoughRounds = 7

// renderCaveats says what speaks against quoting a run.
func renderCaveats(p *strings.Builder, versions []version, s size) {
	var caveats []string
	for _, v := range versions {
		switch {
		case v.Name != ourName:
		case strings.HasSuffix(v.Version, dirty):
			caveats = append(caveats, "the source had changes that are in no commit ("+v.Version+")")
		case v.Version == "unknown":
			caveats = append(caveats, "it is not known which commit was measured")
		}
	}
	if s.Rounds < enoughRounds {
		caveats = append(caveats, fmt.Sprintf("it has %d rounds of %s over HTTP, where %d are wanted", s.Rounds, s.Duration, enoughRounds))
	}
	if len(caveats) > 0 {
		fmt.Fprintf(p, "> **A provisional run, not one to quote:** %s.\n\n", strings.Join(caveats, "; "))
	}
}

func renderMain(r *result) string {
	p := &strings.Builder{}
	p.WriteString("## Stagedoor\n\n")
	renderWhere(p, r.Taken, r.Machine, r.Versions)
	renderCaveats(p, r.Versions, r.Size)
	for _, l := range r.Later {
		fmt.Fprintf(p, "The section **%s** was measured by itself. ", l.Section)
		renderWhere(p, l.Taken, l.Machine, l.Versions)
		renderCaveats(p, l.Versions, r.Size)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(p, "Note: %s\n\n", note)
	}
	if len(r.Verdicts) > 0 {
		p.WriteString("### What must hold\n\n")
		words := map[string]string{"aim": "yes", "must": "yes, short of the aim", "no": "**no**"}
		var rows [][]string
		for _, v := range r.Verdicts {
			word := words[v.Met]
			if v.Must == "" && v.Met == "must" {
				word = "short of the aim"
			}
			rows = append(rows, []string{v.What, v.Must, v.Aim, v.Measured, word, v.Even})
		}
		table(p, []string{"", "must", "aim", "measured", "met", "GOGC=350 on both sides"}, rows)
		p.WriteString("Measured is each program with the garbage collection that it has by itself: Stagedoor sets GOGC to 350, bare Gin, bare ReverseProxy and opa have Go's default, 100. The last column is the ratio where they are given 350, too. Quotients of rows are medians of each round's. A MB is 10^6 bytes.\n\n")
	}
	renderShort(p, r)
	if len(r.HTTP) > 0 {
		fmt.Fprintf(p, "### The whole path over HTTP\n\n")
		fmt.Fprintf(p, "wrk on loopback, %d threads, %d connections, %s for each measurement (%s where each request needs a new token), %d interleaved rounds; medians. Ratios are medians of each round's ratio to bare Gin under the same load. CPU is what the server uses for one request, user and system.\n\n",
			r.Size.Threads, r.Size.Connections, r.Size.Duration, r.Size.ColdDuration, r.Size.Rounds)
		renderRows(p, r.HTTP, "bare Gin")
		renderRowNotes(p, r)
	}
	renderGateway(p, r)
	renderStages(p, r)
	renderGrowth(p, r)
	renderRest(p, r)
	return p.String()
}

// renderRows shows rows whose ratios are to base.
func renderRows(p *strings.Builder, all []row, base string) {
	var rows [][]string
	for _, w := range all {
		lowest, highest := w.Samples[0].RPS, w.Samples[0].RPS
		for _, s := range w.Samples {
			lowest, highest = min(lowest, s.RPS), max(highest, s.RPS)
		}
		rows = append(rows, []string{w.Name, whole(w.RPS), whole(lowest) + "–" + whole(highest), short(w.P50), short(w.P99), short(w.CPU), ratio(w.Ratio), ratio(w.CPURatio)})
	}
	table(p, []string{"", "requests/s", "range", "p50", "p99", "CPU/request", "× " + base, "CPU × " + base}, rows)
	for _, w := range all {
		if w.Failed > 0 {
			total := 0
			for _, s := range w.Samples {
				total += s.Total
			}
			fmt.Fprintf(p, "Failed requests of %s: %d of %d.\n\n", w.Name, w.Failed, total)
		}
	}
}

func renderRowNotes(p *strings.Builder, r *result) {
	fmt.Fprintf(p, `Every row but opa's asks for GET /items/{id} with the same headers and a token of its own kind (Ed25519, as a login issues it), and gets the same body; the state holds %d accounts. Each account has a role that no other has, so no two subjects share a decision under the default policy. The bare servers set the headers of an application, and not the ids of request and decision, which are part of what Stagedoor costs. Garbage collection is each program's own: GOGC is 350 in Stagedoor, and Go's default, 100, in the others but where a row says that it is 350 there, too.

- one subject: the same request all the time.
- mixed load: %d subjects × %d paths, the pairs drawn by Zipf's law, s = 1.1.
- cold, token new: a server with empty caches for each round; no two requests have the same token or subject, so every decision is new too.
- cold, token known, decision new: one subject. The policy has one more rule, which reads a query parameter, and each request has another value there.
- caches off: --token-cache 0 --decision-cache 0 --subject-cache 0.
- opa: the same policy and input, sent as POST /v1/data/authz/decision. It only decides: no token is verified, nobody looked up, nothing served.

`, r.Size.Accounts, r.Size.Subjects, r.Size.Paths)
}

func renderGateway(p *strings.Builder, r *result) {
	if len(r.Gateway) == 0 {
		return
	}
	fmt.Fprintf(p, `### In front of another service

The same wrk, %d interleaved rounds of %s. Every row asks for the same path with the same headers and token, and gets the same answer of %d bytes, which an nginx gives with `+"`return 200`"+`; but the last, which has no body. Every proxy keeps its connections to the upstream, and every nginx has a worker for each processor and writes no log. CPU is what the proxy uses for one request, with Stagedoor's where nginx asks it; the upstream's, and wrk's, are not in it, but all share these processors.

`, r.Size.Rounds, r.Size.Duration, len(shopBody))
	renderRows(p, r.Gateway, "nginx")
	p.WriteString(`- bare httputil.ReverseProxy: changes the URL and nothing else; no BufferPool, a transport that keeps 256 idle connections to a host and asks for no compression. It decides nothing, and says nothing of the caller.
- as gateway: the token is known and the decision, too, as in "warm, one subject" above. What it does beside passing on: the decision, the headers that say who asks, those that are taken away, the time limits of a stream.
- auth_request: the configuration of docs/gateway.md, in front of the same upstream.
- the question by itself: what nginx asks, asked by wrk.

`)
	p.WriteString(gatewayChanges)
}

// gatewayChanges is what profiles of the gateway lead to.
const gatewayChanges = `What would have to change for the gateway to come nearer to nginx: little of its time is Stagedoor's own (gate and gateway together are less than a tenth). More than a third are system calls, which nginx makes, too; the rest is net/http's server and transport, which hand each request on between four goroutines. A transport that writes and reads in the handler's own goroutine, tried with nothing but the case measured here, used a fifth less; but it would be an HTTP client of our own in front of a gate, with cancellation, early answers, retries and connections that die while idle to get right, which is not worth it.

`

// renderShort says which figures fall short, and shows the profile that says why.
func renderShort(p *strings.Builder, r *result) {
	var must, aim []string
	for _, v := range r.Verdicts {
		what := fmt.Sprintf("%s (%s)", v.What, v.Measured)
		switch v.Met {
		case "no":
			must = append(must, what)
		case "must":
			aim = append(aim, what)
		}
	}
	if len(must)+len(aim) == 0 && r.Profile == nil {
		return
	}
	p.WriteString("### Where a figure falls short\n\n")
	if len(must) > 0 {
		fmt.Fprintf(p, "Short of what must hold: %s.\n\n", strings.Join(must, "; "))
	}
	if len(aim) > 0 {
		fmt.Fprintf(p, "Short of the aim only: %s.\n\n", strings.Join(aim, "; "))
	}
	if r.Profile != nil {
		renderProfile(p, r.Profile)
	}
}

func renderProfile(p *strings.Builder, f *profileResult) {
	fmt.Fprintf(p, "Where the time of a cold request goes (token, subject and decision new), by a CPU profile of the server (`serve --cpu-profile`): %s of processor time, sampled while it answered %d requests in one more run. Allocating memory is part of the step that does it, and shown once more in the last column; page faults, %.1f for each request, count where they happen.\n\n",
		short(f.Sampled), f.Total, f.Faults)
	percent := func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
	var rows [][]string
	together := profileStep{Name: "together"}
	for _, s := range f.Steps {
		together.Share, together.Allocating = together.Share+s.Share, together.Allocating+s.Allocating
	}
	for _, s := range append(slices.Clone(f.Steps), together) {
		rows = append(rows, []string{s.Name, percent(s.Share), short(time.Duration(s.Share * float64(f.CPU))), percent(s.Allocating)})
	}
	table(p, []string{"", "of the time", "CPU/request", "of the time, allocating"}, rows)
	p.WriteString(coldChanges)
}

// coldChanges is what the profile leads to.
const coldChanges = `What would have to change for a cold request to cost much less: the signature's check is crypto/ed25519's, and could be about halved by tables made once for each key, that is, by signature code that is not the standard library's, which is not worth it in front of a gate. The look-up could be spared by keeping all accounts in memory, and most of the evaluation by deciding once for all subjects of a role, which the shipped policy allows, but the accounts measured here, each with a role of its own, do not. None of it matters to a token's second request.

`

func renderStages(p *strings.Builder, r *result) {
	if len(r.Stages) > 0 {
		p.WriteString("### One decision, step by step\n\nIn one process, one goroutine, without HTTP.\n\n")
		var rows [][]string
		for _, s := range r.Stages {
			rows = append(rows, []string{s.Name, micros(s.NS), fmt.Sprint(s.Allocs), fmt.Sprint(s.Bytes)})
		}
		table(p, []string{"", "time", "allocations", "bytes"}, rows)
	}
	if len(r.GoTests) > 0 {
		p.WriteString("The packages' own benchmarks (`go test -bench . -benchmem`):\n\n")
		var rows [][]string
		for _, g := range r.GoTests {
			rows = append(rows, []string{g.Package + ": " + g.Name, micros(g.NS), whole(g.Allocs), whole(g.Bytes)})
		}
		table(p, []string{"", "time", "allocations", "bytes"}, rows)
	}
}

func renderGrowth(p *strings.Builder, r *result) {
	if len(r.Growth) == 0 {
		return
	}
	p.WriteString("### Growth\n\nOne decision, from token to answer, as above. Uncached: the token is verified, the account read from the database (of many accounts, another one's each time), the policy evaluated.\n\n")
	var rows [][]string
	for _, of := range []string{growRoutes, growAccounts, growScopes} {
		byN := map[int]map[string]growth{}
		var order []int
		for _, g := range r.Growth {
			if g.Of != of {
				continue
			}
			if byN[g.N] == nil {
				byN[g.N] = map[string]growth{}
				order = append(order, g.N)
			}
			byN[g.N][g.What] = g
		}
		for _, n := range order {
			hit, miss := byN[n][cached], byN[n][uncached]
			rows = append(rows, []string{fmt.Sprintf("%d %s", n, of), micros(hit.NS), fmt.Sprint(hit.Allocs), micros(miss.NS), fmt.Sprint(miss.Allocs)})
		}
	}
	table(p, []string{"", "cached", "allocations", "uncached", "allocations"}, rows)
}

func renderRest(p *strings.Builder, r *result) {
	if len(r.Latency) > 0 {
		fmt.Fprintf(p, "### Latency at half the capacity\n\nAn open-loop client: %.0f requests per second on %d connections, whatever the answers do; latency counts from the moment at which a request was to be sent. Medians of %d rounds of %s.\n\n",
			r.Latency[0].Rate, openConnections, r.Size.OpenRounds, r.Size.OpenLoop)
		var rows [][]string
		for _, o := range r.Latency {
			rows = append(rows, []string{o.Name, short(o.P50), short(o.P90), short(o.P99), short(o.P999), fmt.Sprintf("%d of %d", o.Failed, o.Total)})
		}
		table(p, []string{"", "p50", "p90", "p99", "p99.9", "failed"}, rows)
	}
	if l := r.Reload; l != nil {
		fmt.Fprintf(p, "### Reloads under load\n\nA policy of the default modules and %d more, one of them saved anew %d times within %s, at most one every %s. From save to activation: median %s. Meanwhile %.0f requests per second, a quarter of the capacity, open-loop.\n\n",
			l.Modules, l.Reloads, l.Lasted.Round(time.Second), r.Size.ReloadEvery, short(l.Took), l.Rate)
		table(p, []string{"", "p50", "p99", "worst", "failed"}, [][]string{
			{"without reloads", short(l.BeforeP50), short(l.BeforeP99), "", ""},
			{"with reloads", short(l.DuringP50), short(l.DuringP99), short(l.DuringMax), fmt.Sprintf("%d of %d", l.Failed, l.Requests)},
		})
	}
	if l := r.Logins; l != nil {
		fmt.Fprintf(p, "### Logins\n\n%d logins at once, argon2id of 19 MiB each, took %s. Meanwhile %.0f other requests per second: p50 %s, worst %s, failed %d of %d. The server then held %s.\n\n",
			l.Logins, short(l.Lasted), l.Rate, short(l.P50), short(l.Worst), l.Failed, l.Others, megabytes(float64(l.Memory)))
	}
	if s := r.Start; s != nil {
		fmt.Fprintf(p, "### Start and memory\n\nFrom the start of the process to the first authorised answer, with a state of %d accounts: %s (median of %d). Resident when idle: %s, of which %s are no file's.",
			s.Accounts, short(s.Median), len(s.Times), megabytes(float64(s.IdleResident)), megabytes(float64(s.IdleAnonymous)))
		if m := r.Memory; m != nil {
			fmt.Fprintf(p, " After the warm rows above: %s, of which %s are no file's.", megabytes(float64(m.WarmResident)), megabytes(float64(m.WarmAnonymous)))
		}
		p.WriteString("\n\n")
	}
}

func renderPeers(r *peersResult) string {
	p := &strings.Builder{}
	p.WriteString("## Peers\n\n")
	renderWhere(p, r.Taken, r.Machine, r.Versions)
	renderCaveats(p, r.Versions, r.Size)
	for _, note := range r.Notes {
		fmt.Fprintf(p, "Note: %s\n\n", note)
	}
	if len(r.HTTP) > 0 {
		fmt.Fprintf(p, "### Over HTTP\n\nThe article's application is bench/peers/article, on Debian's packages, with uvloop and httptools. GET /admin-only with johndoe's token; wrk with %d threads and %d connections, %s for each measurement, %d interleaved rounds; medians. With two workers only rounds count in which the busier worker did at most 1.5 times the work of the other, by processor time: the kernel often gives most connections to one.\n\n",
			r.Size.Threads, r.Size.Connections, r.Size.Duration, r.Size.Rounds)
		renderRows(p, r.HTTP, "bare Gin")
	}
	if len(r.Decisions) > 0 {
		p.WriteString("### Decisions in process\n\nOne decision, allowed, with this many routes; the policy that matches stands in the middle. One policy or declared route for each. Stagedoor's decision is evaluated, not taken from a cache, and includes finding the route.\n\n")
		var rows [][]string
		for _, d := range r.Decisions {
			rows = append(rows, []string{fmt.Sprintf("%s, %d", d.System, d.Policies), micros(d.NS), fmt.Sprint(d.Allocs), fmt.Sprintf("%.3g", 1e3/d.NS)})
		}
		table(p, []string{"", "time", "allocations", "decisions per µs"}, rows)
	}
	return p.String()
}

// short rounds a time to three figures.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func ratio(value float64) string {
	if value == 0 {
		return ""
	}
	return plain(value)
}
