package policy

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/stagedoor/stagedoor/server/authz"
)

// plan is how requests of one declared route and method are decided; one more
// is for all other requests.
type plan struct {
	// id begins the keys of the plan's decisions, so that those of two plans
	// never meet. It stands for route and method, too, where they are declared.
	id uint64
	// cacheable is set when nothing but the request can change the decision.
	cacheable bool
	members   []memberKey
	resource  bool // the policy can read input.resource
	// slow says why an evaluation may run long within one step; empty where it
	// can't.
	slow string
}

func (s *Snapshot) newPlan(id uint64, r *reach) *plan {
	return &plan{
		id:        id,
		cacheable: len(r.unstable) == 0,
		members:   keyMembers(r.reads),
		resource:  r.reads.touches(inputPath{"resource"}),
		slow:      r.mayRunLong(),
	}
}

// appendKey writes the key of a request's decision.
func (p *plan) appendKey(key []byte, r *authz.Request) []byte {
	key = binary.AppendUvarint(key, p.id)
	for _, m := range p.members {
		key = appendMember(key, m, r)
	}
	return key
}

// plans are the plans of a snapshot. Those of declared routes and methods are
// made when they are first asked for: most of a large table never is.
type plans struct {
	general *plan
	from    *expression
	routes  map[string]map[string]*lazyPlan // empty where the policy is not narrowed
	// why says what stands in the way of caching decisions.
	why []Problem
}

type lazyPlan struct {
	once sync.Once
	id   uint64
	plan *plan
}

// plan finds what the policy's rules read.
func (s *Snapshot) plan(a *analyzer, routes *routeTable) {
	from := a.entry(entrypointAuthz.ref())
	whole := walk(from, nil)
	s.plans = plans{
		general: s.newPlan(0, whole),
		from:    from,
		routes:  make(map[string]map[string]*lazyPlan, len(routes.methods)),
		why:     unstableProblems(whole.unstable),
	}
	if whole.with {
		return
	}
	a.close()
	id := uint64(0)
	for _, pattern := range routes.patterns {
		methods := make(map[string]*lazyPlan, len(routes.methods[pattern]))
		for _, method := range routes.methods[pattern] {
			id++
			methods[method] = &lazyPlan{id: id}
		}
		s.plans.routes[pattern] = methods
	}
}

// unstableProblems says once for each line what makes decisions uncacheable.
func unstableProblems(uses []use) []Problem {
	var all []Problem
	for _, u := range uses {
		p := Problem{Code: WarnUncacheable, Message: fmt.Sprintf("decisions are not cached where the policy reads %s, which changes without the request", u.what)}
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

// planFor is the plan of a request.
func (s *Snapshot) planFor(pattern, method string) *plan {
	lazy := s.plans.routes[pattern][method]
	if lazy == nil {
		return s.plans.general
	}
	lazy.once.Do(func() {
		r := s.narrow(context.Background(), s.plans.from, pattern, method)
		r.reads = slices.DeleteFunc(r.reads, inputPath.isRouteOrMethod)
		lazy.plan = s.newPlan(lazy.id, r)
	})
	return lazy.plan
}

// Uncacheable says why decisions are not cached, if there is a reason: a line of
// the policy that reads the clock, randomness or the network, or the input as a
// whole. Routes whose decisions can't reach such a line are cached all the same.
func (s *Snapshot) Uncacheable() []Problem { return slices.Clone(s.plans.why) }

// ReadsResource reports whether a decision on the route and method can depend on
// input.resource, so that it has to be found out.
func (s *Snapshot) ReadsResource(pattern, method string) bool {
	return s.planFor(pattern, method).resource
}
