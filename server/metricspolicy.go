package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagedoor/stagedoor/server/policy"
)

// policyCollector says which policy decides, since when, and whether its
// decisions can be cached.
type policyCollector struct {
	engine  *policy.Engine
	metrics *metrics
	descs   policyDescs
}

// policyDescs are the metrics of a policy.
type policyDescs struct {
	info, activated, loaded, failed, cacheable, uncacheable *prometheus.Desc
}

func newPolicyDescs() policyDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("stagedoor_policy_"+name, help, labels, nil)
	}
	return policyDescs{
		info:        desc("info", "The policy that decides, by its content's digest; always 1.", "revision"),
		activated:   desc("activation_timestamp_seconds", "When the policy that decides went live."),
		loaded:      desc("last_load_successful", "1 while the policy that decides is what its directories hold; 0 while what they hold is refused, and the last good policy decides."),
		failed:      desc("last_failure_timestamp_seconds", "When a policy was last refused; absent when none was since the server's start."),
		cacheable:   desc("decisions_cacheable", "1 if every decision can be cached; 0 if the policy reads the clock, randomness, the network or the input as a whole, which stagedoor_policy_uncacheable_info names."),
		uncacheable: desc("uncacheable_info", "A place in the policy that keeps the decisions which can reach it from being cached; always 1.", "file", "line", "reason"),
	}
}

// Describe implements [prometheus.Collector].
func (c *policyCollector) Describe(descs chan<- *prometheus.Desc) {
	d := c.descs
	for _, desc := range []*prometheus.Desc{d.info, d.activated, d.loaded, d.failed, d.cacheable, d.uncacheable} {
		descs <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c *policyCollector) Collect(into chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	d, status := c.descs, c.engine.Status()
	c.metrics.observeStatus(status)
	gauge(d.info, 1, status.Revision)
	gauge(d.activated, seconds(status.ActivatedAt.UnixNano()))
	gauge(d.loaded, oneIf(status.LastError == nil))
	if at := c.metrics.lastFailure.Load(); at != 0 {
		gauge(d.failed, seconds(at))
	}

	gauge(d.cacheable, oneIf(len(status.Uncacheable) == 0))
	const most = 20              // `stagedoor policy check` names all
	seen := map[[3]string]bool{} // two series of the same labels would spoil all
	for _, problem := range status.Uncacheable {
		labels := [3]string{problem.File, strconv.Itoa(problem.Line), problem.Message}
		if len(seen) == most {
			break
		}
		if !seen[labels] {
			seen[labels] = true
			gauge(d.uncacheable, 1, labels[:]...)
		}
	}
}

// seconds is a moment as Prometheus has it.
func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / float64(time.Second) }

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
