package policy

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/stagedoor/stagedoor/server/authz"
)

// plan is how decisions are kept for the requests of one declared route and
// method; the general plan is for all other requests, and right for every one.
type plan struct {
	// id begins the keys of the plan's decisions, so that those of two plans
	// never meet. It stands for route and method, too, where they are declared.
	id uint64
	// cacheable is set when nothing but the request can change the decision.
	cacheable bool
	reads     readSet
	key       []keyWriter[*authz.Request] // write what reads holds
	resource  bool                        // the policy can read input.resource
	// slow says why an evaluation may run long within one step; empty where it
	// can't.
	slow string
}

func newPlan(id uint64, r *reach) *plan {
	return &plan{
		id:        id,
		cacheable: len(r.unstable) == 0,
		reads:     r.reads,
		key:       keyWriters(r.reads),
		resource:  r.reads.touches(inputPath{"resource"}),
		slow:      r.mayRunLong(),
	}
}

// appendKey writes the key of a request's decision.
func (p *plan) appendKey(key []byte, r *authz.Request) []byte {
	key = binary.AppendUvarint(key, p.id)
	for _, write := range p.key {
		key = write(key, r)
	}
	return key
}

// planTable holds the plans of a snapshot. Those of declared routes and methods
// are made when they are first asked for: most of a large table never is.
type planTable struct {
	general *plan
	// narrow makes the others; nil where the policy can't be narrowed.
	narrow *specialiser
	routes map[string]map[string]*routePlan
	// why says what stands in the way of caching decisions.
	why []Problem
}

// routePlan is the place of a declared route and method's plan.
type routePlan struct {
	id   uint64
	made atomic.Pointer[plan] // nil until then
	// busy is set while somebody makes it. Nobody waits for that: the general plan
	// will do.
	busy   atomic.Bool
	failed int // how often there was no time for it; belongs to who is busy
}

// maxNarrowings is how often narrowing may run out of time before the general
// plan is taken for good. A process that is not let run for a while must not cost
// a route its plan.
const maxNarrowings = 3

// analyse finds what the policy's rules read, and makes the general plan of it.
func (s *Snapshot) analyse(a *analyzer, routes *routeTable) {
	from := a.entry(entrypointAuthz.ref())
	all := walk(from, nil)
	s.plans = planTable{
		general: newPlan(0, all),
		routes:  make(map[string]map[string]*routePlan, len(routes.methods)),
		why:     unstableProblems(all.unstable),
	}
	if all.with {
		return
	}
	s.plans.narrow = newSpecialiser(a, from)
	id := uint64(0)
	for _, pattern := range routes.patterns {
		methods := make(map[string]*routePlan, len(routes.methods[pattern]))
		for _, method := range routes.methods[pattern] {
			id++
			methods[method] = &routePlan{id: id}
		}
		s.plans.routes[pattern] = methods
	}
}

// unstableProblems says once for each line what makes decisions uncacheable.
func unstableProblems(uses []use) []Problem {
	var all []Problem
	for _, u := range uses {
		p := Problem{Code: WarnUncacheable, Message: fmt.Sprintf("decisions are not cached where the policy reads %s, which changes without the request", u.what)}
		if u.what == (inputPath{}).String() {
			p.Message = "decisions are not cached where the policy reads the input as a whole, and so input.now with it; name the members that it needs, as in input.claims"
		}
		if u.location != nil {
			p.File, p.Line, p.Column = u.location.File, u.location.Row, u.location.Col
		}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	sortProblems(all)
	return all
}

// planFor is the plan of a request. Making it takes a small part of the deadline,
// of one request at a time, and ends with that request's context.
func (s *Snapshot) planFor(ctx context.Context, pattern, method string) *plan {
	r := s.plans.routes[pattern][method]
	if r == nil {
		return s.plans.general
	}
	if p := r.made.Load(); p != nil {
		return p
	}
	if !r.busy.CompareAndSwap(false, true) {
		return s.plans.general
	}
	defer r.busy.Store(false)
	p, err := s.makePlan(ctx, r.id, pattern, method)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return s.plans.general // for this one
	default:
		if r.failed++; r.failed < maxNarrowings {
			return s.plans.general
		}
		p = s.plans.general
	}
	r.made.Store(p)
	return p
}

func (s *Snapshot) makePlan(ctx context.Context, id uint64, pattern, method string) (*plan, error) {
	narrowed, err := s.narrow(ctx, pattern, method)
	if err != nil {
		return nil, err
	}
	narrowed.reads = slices.DeleteFunc(narrowed.reads, inputPath.isRouteOrMethod)
	return newPlan(id, narrowed), nil
}

// Uncacheable says why decisions are not cached, if there is a reason: a line of
// the policy that reads the clock, randomness or the network, or the input as a
// whole. Routes whose decisions can't reach such a line are cached all the same.
func (s *Snapshot) Uncacheable() []Problem { return slices.Clone(s.plans.why) }

// ReadsResource reports whether a decision on the route and method can depend on
// input.resource, so that it has to be found out. It may say so of one that does
// not, for want of time to look.
func (s *Snapshot) ReadsResource(ctx context.Context, pattern, method string) bool {
	return s.planFor(ctx, pattern, method).resource
}
