package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	builtincache "github.com/open-policy-agent/opa/v1/topdown/cache"
	"github.com/open-policy-agent/opa/v1/topdown/print"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
	"github.com/stagedoor/stagedoor/server/route"
)

// maxCachedPatterns bounds the compiled regular expressions and globs that a
// snapshot keeps. A policy may build patterns from its input, so there has to
// be a bound.
const maxCachedPatterns = 1024

// entitiesDeadlines is how many deadlines there are to find out the entities, which is
// done once.
const entitiesDeadlines = 20

// Snapshot is one policy with its data, routes and caches. It never changes and
// may be used by any number of goroutines; a request keeps the snapshot that it
// began with. It needs no closing.
type Snapshot struct {
	revision string
	modules  int
	routes   *routeTable
	warnings warnings

	tests    TestCounts
	passedAt time.Time // when it was checked and tested
	// recalled is set when that was before this start, repeatable when it would
	// be the same the next time.
	recalled, repeatable bool
	// testFiles are those that no decision can reach; see testFiles.
	testFiles []string

	options  Options
	compiler *ast.Compiler
	store    storage.Store
	// txn is held for good: nothing ever writes to the store.
	txn storage.Transaction
	// queries are prepared; an entrypoint that the policy does not have is
	// missing.
	queries map[entrypoint]*query
	// inputs builds the inputs of data.authz.decision.
	inputs inputs
	// documents is the content of the store.
	documents documents
	// patterns keeps compiled regular expressions and globs.
	patterns builtincache.InterQueryValueCache
	// prints is where print() writes to; nil for nowhere.
	prints print.Hook
	plans  planTable
	// decisions are those made before; nil where none are kept. They are the
	// snapshot's own, so that none outlives the policy that made it.
	decisions *cache.Cache[*authz.Decision]
	keys      sync.Pool // of *[]byte, to make keys in
	// beside has an element for each evaluation that runs beside its caller;
	// abandoned counts those that still run after their deadline.
	beside    chan struct{}
	abandoned atomic.Int64
	// slowGrant says why data.token.decision may run long within one step.
	slowGrant string
	// slowAccess says the same of data.authzen.decision.
	slowAccess string
	declared   declared
	heldScopes heldScopes
}

// snapshot makes a loaded policy ready to decide.
func (l *loading) snapshot(ctx context.Context, compiler *ast.Compiler, routes *routeTable, prints bool) (*Snapshot, error) {
	s := &Snapshot{
		revision:  l.content.digest,
		modules:   len(l.modules),
		routes:    routes,
		options:   l.options,
		compiler:  compiler,
		store:     l.store,
		queries:   map[entrypoint]*query{},
		documents: documents{l.data},
		beside:    make(chan struct{}, maxBeside),
		decisions: cache.New[*authz.Decision](l.options.CacheBytes),
	}
	var err error
	if s.txn, err = l.store.NewTransaction(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("open the policy's data: %w", err)
	}

	entries := maxCachedPatterns
	s.patterns = builtincache.NewInterQueryValueCache(ctx, &builtincache.Config{
		InterQueryBuiltinValueCache: builtincache.InterQueryBuiltinValueCacheConfig{MaxNumEntries: &entries},
	})
	if prints {
		s.prints = printer{logger: l.options.Logger, revision: s.revision}
	}

	bindBounded(compiler)
	rules := newAnalyzer(compiler)
	for _, e := range append(entrypoints(), optionalDocuments()...) {
		if len(compiler.GetRules(e.ref())) == 0 {
			if slices.Contains(optionalDocuments(), e) {
				continue
			}
			s.warn(Warning{Code: WarnMissingEntrypoint, Entrypoint: e.String(),
				Message: fmt.Sprintf("the policy has no rule %s: whatever it is asked for is denied", e)})
			continue
		}
		q, err := s.prepare(e.ref())
		if err != nil {
			return nil, err
		}
		if e == documentEntities {
			q.deadlines = entitiesDeadlines
		}
		s.queries[e] = q
	}
	s.analyse(rules, routes)
	s.slowGrant = mayRunLong(rules, entrypointToken.ref())
	s.slowAccess = mayRunLong(rules, entrypointAccess.ref())
	s.analyseEntities(rules)
	s.heldScopes = s.newHeldScopes(rules, routes.patterns)
	s.inputs = newInputs(s.plans.general.reads, routes.patterns)
	if why := s.plans.why; len(why) > 0 { // a warning is given once, so it names the first
		s.warn(Warning{Code: WarnUncacheable, Entrypoint: entrypointAuthz.String(), Message: why[0].String()})
	}
	if s.queries[entrypointAuthz] != nil && !mentionsAllow(l.modules) {
		s.warn(Warning{Code: WarnNeverAllows, Entrypoint: entrypointAuthz.String(),
			Message: "package authz nowhere says allow: every request is denied"})
	}
	if len(routes.patterns) == 0 {
		s.warn(Warning{Code: WarnNoRoutes,
			Message: "data.routes declares no route: every request is undeclared; declare routes in a data file, as in routes: {/items/{id}: {GET: {…}}}"})
	}
	return s, nil
}

// mentionsAllow reports whether a package of authz has the word allow in it, as
// a rule's name, a member's or a reference's.
func mentionsAllow(modules map[string]*ast.Module) bool {
	found := false
	for _, m := range modules {
		if len(m.Package.Path) < 2 || !m.Package.Path[1].Equal(ast.StringTerm("authz")) {
			continue
		}
		ast.WalkTerms(m, func(t *ast.Term) bool {
			switch v := t.Value.(type) {
			case ast.String:
				found = found || v == "allow"
			case ast.Var:
				found = found || v == "allow"
			}
			return found
		})
		for _, r := range m.Rules {
			for _, t := range r.Head.Ref() {
				found = found || strings.Trim(t.Value.String(), `"`) == "allow"
			}
		}
	}
	return found
}

// Revision is the digest of the content that the snapshot was loaded from:
// paths below the directories, and bytes. Equal content has an equal revision.
func (s *Snapshot) Revision() string { return s.revision }

// Match finds the declared pattern of a path on a host, whatever the method. The
// host is spelled as [route.Host] does; the segments are those of a canonical
// target, decoded once.
func (s *Snapshot) Match(host string, segments []string) (route.Match, bool) {
	return s.routes.matcher.Match(host, segments)
}

// Methods are the methods declared for a pattern, sorted, for Allow (RFC 9110
// section 10.2.1). GET implies HEAD. An unknown pattern has none.
func (s *Snapshot) Methods(pattern string) []string {
	return slices.Clone(s.routes.methods[pattern])
}

// Routes are the declared patterns, sorted.
func (s *Snapshot) Routes() []string { return slices.Clone(s.routes.patterns) }

// Modules is the number of Rego files.
func (s *Snapshot) Modules() int { return s.modules }

// Tests sums up the run of the policy's tests.
func (s *Snapshot) Tests() TestCounts { return s.tests }

// PassedBefore reports whether the checks and tests were passed over at this
// load, since exactly this policy has passed them before; and when that was.
func (s *Snapshot) PassedBefore() (at time.Time, before bool) { return s.passedAt, s.recalled }

// Warnings are what was noticed at load and since.
func (s *Snapshot) Warnings() []Warning { return s.warnings.all() }

// warn records a warning, once for each code and entrypoint.
func (s *Snapshot) warn(w Warning) {
	w.At = s.options.Now().UTC()
	if !s.warnings.add(w) {
		return
	}
	s.options.Logger.Warn("policy warning",
		"code", w.Code, "entrypoint", w.Entrypoint, "message", w.Message, "revision", s.revision)
	s.warnings.tell()
}

// deadline is the time that a decision has.
func (s *Snapshot) deadline() time.Duration { return s.options.Deadline }

// timeFor is the time that an evaluation of a query has.
func (s *Snapshot) timeFor(q *query) time.Duration { return q.deadlines * s.deadline() }
