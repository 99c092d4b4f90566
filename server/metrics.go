package server

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
	"github.com/stagedoor/stagedoor/server/policy"
)

// maxScrapes is how many answers of /metrics are made at once.
const maxScrapes = 4

// metrics is what the server counts. Requests are counted as they come, by
// counters that were found beforehand; everything else is asked when somebody
// reads the metrics.
type metrics struct {
	registry                *prometheus.Registry
	allowed, denied, failed prometheus.Counter
	// tokens counts requests of the token service.
	tokens *prometheus.CounterVec
	// lastFailure is when a policy was last refused, in nanoseconds since 1970; 0
	// for never.
	lastFailure atomic.Int64
	doors       *doorMetrics
}

func newMetrics() *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stagedoor_requests_total",
		Help: "Requests by decision: allow, deny, or error for those that could not be decided and were answered 503. Targets that are not canonical are refused without a decision and not counted.",
	}, []string{"decision"})
	m := &metrics{
		registry: prometheus.NewRegistry(),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_token_requests_total",
			Help: "Requests to /token by grant type (empty where none that is built was asked for) and outcome: success, or the error code.",
		}, []string{"grant_type", "outcome"}),
		allowed: requests.WithLabelValues("allow"),
		denied:  requests.WithLabelValues("deny"),
		failed:  requests.WithLabelValues("error"),
	}
	m.doors = newDoorMetrics(m.registry)
	m.registry.MustRegister(requests, m.tokens, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return m
}

// observe counts a decision. The gate calls it for each request.
func (m *metrics) observe(_ context.Context, _ *authz.Request, d *authz.Decision) {
	if d.Allow {
		m.allowed.Inc()
	} else {
		m.denied.Inc()
	}
}

// observeToken counts a request for a token.
func (m *metrics) observeToken(grantType, outcome string) {
	m.tokens.WithLabelValues(grantType, outcome).Inc()
}

// observeFailure counts a request without a decision.
func (m *metrics) observeFailure(context.Context, error) { m.failed.Inc() }

// observeStatus remembers when a policy was last refused.
func (m *metrics) observeStatus(status policy.Status) {
	if status.LastError == nil {
		return
	}
	at := status.LastError.At.UnixNano()
	for {
		before := m.lastFailure.Load()
		if before >= at || m.lastFailure.CompareAndSwap(before, at) {
			return
		}
	}
}

// register adds GET /metrics. Who may read it is said in data/routes.yaml.
func (m *metrics) register(routes gin.IRouter, logger *slog.Logger) {
	routes.GET("/metrics", gin.WrapH(promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(logger.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: maxScrapes,
	})))
}

// watch adds what the caches, the policy and the revocations say of themselves.
func (m *metrics) watch(engine *policy.Engine, tokens, subjects func() cache.Stats, revocations func() int) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "stagedoor_revocations",
			Help: "Tokens and sessions that are refused before they expire, which are kept in memory.",
		}, func() float64 { return float64(revocations()) }),
		&cacheCollector{series: newCacheSeries(), caches: []namedCache{
			{"token", tokens},
			{"decision", func() cache.Stats { return engine.Current().CacheStats() }},
			{"subject", subjects},
		}},
		&policyCollector{engine: engine, metrics: m, descs: newPolicyDescs()},
	)
}

// namedCache is one cache, by the label that its series have.
type namedCache struct {
	name  string
	stats func() cache.Stats
}

// cacheCollector reads the caches' own counters.
type cacheCollector struct {
	caches []namedCache
	series []cacheSeries
}

// cacheSeries is one metric of each cache.
type cacheSeries struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(cache.Stats) float64
}

// newCacheSeries are the metrics of each cache.
func newCacheSeries() []cacheSeries {
	series := func(name, help string, kind prometheus.ValueType, value func(cache.Stats) float64) cacheSeries {
		return cacheSeries{prometheus.NewDesc("stagedoor_cache_"+name, help, []string{"cache"}, nil), kind, value}
	}
	const anew = " The decision cache begins anew with each policy that goes live."
	return []cacheSeries{
		series("hits_total", "Look-ups that were answered from memory."+anew, prometheus.CounterValue, func(s cache.Stats) float64 { return float64(s.Hits) }),
		series("misses_total", "Look-ups that were not."+anew, prometheus.CounterValue, func(s cache.Stats) float64 { return float64(s.Misses) }),
		series("evictions_total", "Entries that left because there was no room."+anew, prometheus.CounterValue, func(s cache.Stats) float64 { return float64(s.Evictions) }),
		series("entries", "Entries in memory.", prometheus.GaugeValue, func(s cache.Stats) float64 { return float64(s.Entries) }),
		series("bytes", "Memory that the entries take, as the cache reckons.", prometheus.GaugeValue, func(s cache.Stats) float64 { return float64(s.Bytes) }),
		series("max_bytes", "Memory that the entries may take; 0 where the cache is turned off.", prometheus.GaugeValue, func(s cache.Stats) float64 { return float64(s.MaxBytes) }),
	}
}

// Describe implements [prometheus.Collector].
func (c *cacheCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, series := range c.series {
		descs <- series.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *cacheCollector) Collect(into chan<- prometheus.Metric) {
	for _, cache := range c.caches {
		stats := cache.stats()
		for _, series := range c.series {
			into <- prometheus.MustNewConstMetric(series.desc, series.kind, series.value(stats), cache.name)
		}
	}
}
