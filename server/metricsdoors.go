package server

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/pdp"
)

// doorMetrics are what gateway and policy decision point count. Each series is found
// beforehand, or when its upstream is first heard of, so that counting takes no
// look-up of labels.
type doorMetrics struct {
	requests, cuts *prometheus.CounterVec
	waits          *prometheus.HistogramVec
	upgrades       *prometheus.GaugeVec

	mu        sync.Mutex // of those who add to upstreams
	upstreams atomic.Pointer[map[string]*upstreamSeries]

	questions      map[gateway.Outcome]prometheus.Counter
	accessRequests map[pdp.Endpoint]map[pdp.Outcome]prometheus.Observer
	accessAllowed  map[pdp.Endpoint]prometheus.Counter
	accessDenied   map[pdp.Endpoint]prometheus.Counter
}

// upstreamSeries are those of one upstream.
type upstreamSeries struct {
	requests map[gateway.Outcome]prometheus.Counter
	wait     prometheus.Observer
	cut      prometheus.Counter
	upgrades prometheus.Gauge
}

func newDoorMetrics(registry *prometheus.Registry) *doorMetrics {
	m := &doorMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_upstream_requests_total",
			Help: "Requests that were allowed and whose route has an upstream, by the class of its status; or unreachable (answered 502), timeout (504), aborted (the caller went away), refused (by the gateway itself, for the body or because the caller can't be told). Counted when the answer's header is there or none will come.",
		}, []string{"upstream", "outcome"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stagedoor_upstream_header_seconds",
			Help:    "How long it took until the header of the upstream's answer was there, the upload of the request's body included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"upstream"}),
		cuts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_upstream_cut_answers_total",
			Help: "Answers that ended before their end: the upstream broke off, or the caller went away or did not read.",
		}, []string{"upstream"}),
		upgrades: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stagedoor_upstream_upgraded_connections",
			Help: "WebSockets that are open.",
		}, []string{"upstream"}),
		questions:      map[gateway.Outcome]prometheus.Counter{},
		accessRequests: map[pdp.Endpoint]map[pdp.Outcome]prometheus.Observer{},
		accessAllowed:  map[pdp.Endpoint]prometheus.Counter{},
		accessDenied:   map[pdp.Endpoint]prometheus.Counter{},
	}
	m.upstreams.Store(&map[string]*upstreamSeries{})
	questions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stagedoor_forward_auth_questions_total",
		Help: "Questions of other proxies by outcome: allow, deny, error (answered 5xx), malformed (400), or untrusted (asked by nobody on trusted-proxies).",
	}, []string{"outcome"})
	for _, outcome := range gateway.QuestionOutcomes() {
		m.questions[outcome] = questions.WithLabelValues(string(outcome))
	}
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stagedoor_access_decisions_total",
		Help: "Decisions of AuthZEN questions: each of an evaluation or batch, and each that a search asked for.",
	}, []string{"endpoint", "decision"})
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "stagedoor_access_request_seconds",
		Help:    "How long AuthZEN requests took, by outcome: answered, invalid (4xx), or error for those that could not be decided (503).",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"endpoint", "outcome"})
	for _, endpoint := range pdp.Endpoints() {
		m.accessAllowed[endpoint] = decisions.WithLabelValues(string(endpoint), "allow")
		m.accessDenied[endpoint] = decisions.WithLabelValues(string(endpoint), "deny")
		m.accessRequests[endpoint] = map[pdp.Outcome]prometheus.Observer{}
		for _, outcome := range pdp.Outcomes() {
			m.accessRequests[endpoint][outcome] = requests.WithLabelValues(string(endpoint), string(outcome))
		}
	}
	registry.MustRegister(m.requests, m.waits, m.cuts, m.upgrades, questions, decisions, requests)
	return m
}

// observeGateway counts what the gateway tells.
func (m *doorMetrics) observeGateway(e gateway.Event) {
	if e.Kind == gateway.Question {
		m.questions[e.Outcome].Inc()
		return
	}
	series := (*m.upstreams.Load())[e.Upstream]
	if series == nil {
		series = m.addUpstream(e.Upstream)
	}
	switch e.Kind {
	case gateway.Exchange:
		series.requests[e.Outcome].Inc()
		if e.Wait > 0 {
			series.wait.Observe(e.Wait.Seconds())
		}
	case gateway.Cut:
		series.cut.Inc()
	case gateway.Opened:
		series.upgrades.Inc()
	case gateway.Closed:
		series.upgrades.Dec()
	}
}

// addUpstream makes the series of an upstream. There are as many as data has ever
// declared since the start.
func (m *doorMetrics) addUpstream(name string) *upstreamSeries {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := *m.upstreams.Load()
	if series := known[name]; series != nil {
		return series
	}
	series := &upstreamSeries{
		requests: map[gateway.Outcome]prometheus.Counter{},
		wait:     m.waits.WithLabelValues(name), cut: m.cuts.WithLabelValues(name), upgrades: m.upgrades.WithLabelValues(name),
	}
	for _, outcome := range gateway.ExchangeOutcomes() {
		series.requests[outcome] = m.requests.WithLabelValues(name, string(outcome))
	}
	more := maps.Clone(known)
	more[name] = series
	m.upstreams.Store(&more)
	return series
}

// observeAccess counts what the policy decision point tells.
func (m *doorMetrics) observeAccess(e pdp.Event) {
	m.accessRequests[e.Endpoint][e.Outcome].Observe(e.Took.Seconds())
	m.accessAllowed[e.Endpoint].Add(float64(e.Allowed))
	m.accessDenied[e.Endpoint].Add(float64(e.Denied))
}
