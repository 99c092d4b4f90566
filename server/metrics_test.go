package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stagedoor/stagedoor/server"
)

// series reads the metrics as their text has them: name and labels, and value.
func (r *running) series(token string) map[string]float64 {
	r.t.Helper()
	a := r.call("GET", "/metrics", token, "")
	if a.StatusCode != http.StatusOK {
		r.t.Fatalf("/metrics: %d %s", a.StatusCode, a.body)
	}
	all := map[string]float64{}
	for line := range strings.Lines(a.body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		space := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			r.t.Fatalf("the line %q has no value: %v", line, err)
		}
		all[line[:space]] = value
	}
	return all
}

func TestMetricsAreForWhomThePolicySays(t *testing.T) {
	s := start(t, nil)
	admin, carol := s.token("johndoe", "secret", ""), s.token("carol", "secretcarol", "")
	for _, c := range []struct {
		name, method, token string
		status              int
	}{
		{"nobody", "GET", "", 401},
		{"a client", "GET", carol, 403},
		{"an administrator", "GET", admin, 200},
		{"HEAD", "HEAD", admin, 200},
		{"another method", "POST", admin, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := s.call(c.method, "/metrics", c.token, ""); a.StatusCode != c.status {
				t.Errorf("%d, want %d: %s", a.StatusCode, c.status, a.body)
			}
		})
	}

	a := s.call("GET", "/metrics", admin, "")
	if kind := a.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("Content-Type %q", kind)
	}
	problems, err := promlint.New(strings.NewReader(a.body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "stagedoor_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

func TestMetricsCountRequestsByDecision(t *testing.T) {
	policies, data := t.TempDir(), t.TempDir()
	write(t, data, "routes.yaml", "routes: {/metrics: {GET: {}}, /livez: {GET: {}}, /readyz: {GET: {}}, /torn: {GET: {}}}\n")
	write(t, policies, "authz.rego", `package authz

decision := {"allow": input.route != "/readyz"}

# Two answers to one question are an error of the engine.
decision := {"allow": false} if input.route == "/torn"
`)
	s := start(t, func(cfg *server.Config) { cfg.Policies, cfg.Data = policies, data })
	before := s.series("")
	for path, want := range map[string]int{"/livez": 200, "/readyz": 401, "/torn": 503, "/livez?a=b": 200, "//livez": 400} {
		if a := s.call("GET", path, "", ""); a.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, want)
		}
	}
	after := s.series("")
	for decision, want := range map[string]float64{"allow": 3, "deny": 1, "error": 1} { // /metrics itself is the third
		name := fmt.Sprintf("stagedoor_requests_total{decision=%q}", decision)
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s grew by %v, want %v", name, got, want)
		}
	}
}

func TestMetricsOfRevocations(t *testing.T) {
	s := start(t, nil)
	admin, carol := s.token("johndoe", "secret", ""), s.token("carol", "secretcarol", "")
	before := s.series(admin)["stagedoor_revocations"]
	s.admin("", "POST", "/revoke", "token="+carol, "Content-Type", "application/x-www-form-urlencoded").want(t, 200)
	if after := s.series(admin)["stagedoor_revocations"]; after != before+1 {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestMetricsOfCaches(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*server.Config)
		max    map[string]float64
		kept   bool
	}{
		{"as they are by default", nil, map[string]float64{"token": 32 << 20, "decision": 32 << 20, "subject": 16 << 20}, true},
		{"other sizes", func(cfg *server.Config) { cfg.TokenCacheMiB, cfg.DecisionCacheMiB, cfg.SubjectCacheMiB = 1, 2, 3 },
			map[string]float64{"token": 1 << 20, "decision": 2 << 20, "subject": 3 << 20}, true},
		{"off", func(cfg *server.Config) { cfg.TokenCacheMiB, cfg.DecisionCacheMiB, cfg.SubjectCacheMiB = 0, 0, 0 },
			map[string]float64{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.change)
			admin := s.token("johndoe", "secret", "")
			s.series(admin) // warms all of them
			before := s.series(admin)
			after := s.series(admin)
			for _, cache := range []string{"token", "decision", "subject"} {
				label := fmt.Sprintf("{cache=%q}", cache)
				if got := after["stagedoor_cache_max_bytes"+label]; got != c.max[cache] {
					t.Errorf("%s may have %v bytes, want %v", cache, got, c.max[cache])
				}
				hits := after["stagedoor_cache_hits_total"+label] - before["stagedoor_cache_hits_total"+label]
				entries, bytes := after["stagedoor_cache_entries"+label], after["stagedoor_cache_bytes"+label]
				if c.kept && (hits != 1 || entries < 1 || bytes < 1) {
					t.Errorf("%s: a warm request was %v hits; there are %v entries of %v bytes", cache, hits, entries, bytes)
				}
				if !c.kept && (hits != 0 || entries != 0 || bytes != 0) {
					t.Errorf("%s is off, but has %v hits and %v entries of %v bytes", cache, hits, entries, bytes)
				}
			}
		})
	}
}

func TestMetricsOfThePolicy(t *testing.T) {
	policies, data := copyDefaults(t)
	s := start(t, func(cfg *server.Config) { cfg.Policies, cfg.Data = policies, data })
	admin := s.token("johndoe", "secret", "")
	const cacheable, successful = "stagedoor_policy_decisions_cacheable", "stagedoor_policy_last_load_successful"
	const activated, failed = "stagedoor_policy_activation_timestamp_seconds", "stagedoor_policy_last_failure_timestamp_seconds"
	revision := func(all map[string]float64) string {
		t.Helper()
		found := ""
		for name := range all {
			if strings.HasPrefix(name, "stagedoor_policy_info{revision=") {
				found += name
			}
		}
		if strings.Count(found, "{") != 1 {
			t.Errorf("the revision is %q, which is not one", found)
		}
		return found
	}

	first := s.series(admin)
	if first[cacheable] != 1 || first[successful] != 1 || first[activated] == 0 {
		t.Errorf("at first: %v", first)
	}
	if _, there := first[failed]; there {
		t.Errorf("%s is there, but nothing has failed", failed)
	}

	// A policy that reads the clock: its decisions are not kept, and the metrics
	// say where it does.
	s.log.waitAfter(t, "policy activated", func() {
		write(t, policies, "authz/clock.rego", "package authz\n\ndeny contains \"too_late\" if {\n\ttime.now_ns() < 0\n}\n")
	})
	clock := s.series(admin)
	if clock[cacheable] != 0 || revision(clock) == revision(first) {
		t.Errorf("with a clock: %v", clock)
	}
	place := fmt.Sprintf("stagedoor_policy_uncacheable_info{file=%q,line=\"4\",reason=", filepath.Join(policies, "authz", "clock.rego"))
	named := false
	for name, value := range clock {
		named = named || (strings.HasPrefix(name, place) && strings.Contains(name, "time.now_ns") && value == 1)
	}
	if !named {
		t.Errorf("no series begins with %s: %v", place, clock)
	}

	// One that is refused.
	s.log.waitAfter(t, "policy refused", func() { write(t, policies, "authz/clock.rego", "package authz\n\nallow if {\n") })
	refused := s.series(admin)
	if refused[successful] != 0 || refused[failed] < refused[activated] || revision(refused) != revision(clock) {
		t.Errorf("refused: %v", refused)
	}

	// Mended: when it failed is still known.
	s.log.waitAfter(t, "policy activated", func() {
		if err := os.Remove(filepath.Join(policies, "authz/clock.rego")); err != nil {
			t.Fatal(err)
		}
	})
	mended := s.series(admin)
	if mended[successful] != 1 || mended[cacheable] != 1 || mended[failed] != refused[failed] || revision(mended) != revision(first) {
		t.Errorf("mended: %v", mended)
	}
}
