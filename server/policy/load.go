package policy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// Defaults of [Options].
const (
	DefaultDeadline     = 100 * time.Millisecond
	DefaultTestDeadline = 10 * time.Second
	DefaultQuietPeriod  = 100 * time.Millisecond
	DefaultPollInterval = 2 * time.Second
	DefaultCacheBytes   = 32 << 20
)

// Options set how policies are loaded, watched and evaluated. The zero value is
// safe and complete.
type Options struct {
	// Logger gets activations, refusals and warnings, and at debug level what
	// the policy prints; nil discards. Whether debug is enabled is looked at
	// when a policy is loaded: without it, print() costs nothing.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Deadline bounds one evaluation; 0 means 100 ms. An evaluation that takes
	// longer is cancelled and its request refused with [ErrDeadline].
	Deadline time.Duration
	// TestDeadline bounds the run of all tests of a policy; 0 means 10 s.
	TestDeadline time.Duration
	// QuietPeriod is how long the directories have to be at rest before they are
	// loaded; 0 means 100 ms. Writing that never ends is loaded every twenty
	// quiet periods.
	QuietPeriod time.Duration
	// PollInterval is how often the directories are looked at even though the
	// operating system reported no change, since it does not report all (network
	// file systems, exhausted watches); 0 means 2 s, a negative one never.
	PollInterval time.Duration
	// CacheBytes bounds the decisions that a snapshot keeps, in bytes; 0 means 32
	// MiB, a negative one keeps none. Only decisions that nothing but the request
	// can change are kept; see [Snapshot.Uncacheable].
	CacheBytes int64
	// AllowNetwork lets the policy use http.send, net.lookup_ip_addr,
	// opa.runtime and remote JSON schemas.
	AllowNetwork bool
	// Record lets a start pass over the checks and tests of content that has
	// passed them before; nil runs them at every start. Program identifies the
	// running program, for what one has found is not true of another: a build's
	// own id. Without it nothing is recorded.
	Record  Record
	Program string
	// BuiltIn are the patterns that the server itself serves: a table that would
	// send a part of them to an upstream is refused.
	BuiltIn []string
	// Upstream is the URL of an upstream that serves every declared route which
	// neither the server nor an upstream of data.upstreams does; empty for none.
	Upstream string
	// NoAssertions says why the server can't sign assertions, so that a table which
	// asks for them is refused; empty where it can.
	NoAssertions string
	// OnStatus is told each new status, one call at a time. It should return
	// soon, and not reload: it may be called from within a reload or, for a
	// warning, a decision.
	OnStatus func(Status)
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Deadline <= 0 {
		o.Deadline = DefaultDeadline
	}
	if o.TestDeadline <= 0 {
		o.TestDeadline = DefaultTestDeadline
	}
	if o.QuietPeriod <= 0 {
		o.QuietPeriod = DefaultQuietPeriod
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.PollInterval == 0 {
		o.PollInterval = DefaultPollInterval
	}
	return o
}

// Load reads a source, compiles it strictly, checks it against the schemas of
// the inputs and runs its tests. A policy that is refused is a *[LoadError].
// Loading changes nothing anywhere, so it serves to check a policy, too.
func Load(ctx context.Context, source Source, options Options) (*Snapshot, error) {
	c, err := source.read(ctx)
	if err != nil {
		return nil, readError(ctx, err)
	}
	return load(ctx, c, options.withDefaults(), nil)
}

// readError is the error of Load for a source that can't be read.
func readError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &LoadError{Problems: []Problem{sourceProblem(err)}, cause: err}
}

// loading is a content on its way to become a snapshot.
type loading struct {
	options      Options
	content      *content
	capabilities *ast.Capabilities
	modules      map[string]*ast.Module
	documents    map[string]any
	data         ast.Object
	store        storage.Store
}

// load turns a content into a snapshot. What has passed before is not checked
// and tested again; before is nil for all other content.
func load(ctx context.Context, c *content, o Options, before *passed) (s *Snapshot, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, &LoadError{Revision: c.digest, Problems: []Problem{{
				Code: CodePanic, Message: fmt.Sprintf("the policy engine panicked while loading: %v", p)}}}
		}
	}()
	if twice := c.declaredTwice(); len(twice) > 0 {
		return nil, (&loading{content: c}).refused(nil, twice...)
	}
	if before != nil {
		c = c.without(before.TestFiles)
	}
	l, err := parse(c, o)
	if err != nil {
		return nil, l.refused(err)
	}
	routes, routeProblems := l.routes()
	if before == nil {
		if err := l.check(); err != nil {
			return nil, l.refused(err, routeProblems...)
		}
	}
	if len(routeProblems) > 0 {
		return nil, l.refused(nil, routeProblems...)
	}
	run := &testRun{}
	if before == nil {
		if run, err = l.test(ctx, TestOptions{}); err != nil {
			return nil, l.refused(err)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if failed := run.problems(); len(failed) > 0 {
		return nil, l.refused(nil, failed...)
	}
	modules := len(l.modules)

	compiler := run.compiler
	repeatable := unrepeatable(l.modules, l.capabilities.Builtins) == ""
	var tests []string
	if compiler != nil {
		tests = testFiles(compiler.Modules)
	}
	prints := o.Logger.Enabled(ctx, slog.LevelDebug)
	if l.forget(tests) || compiler == nil || (!prints && callsPrint(l.modules)) {
		if compiler, err = l.compile(prints); err != nil {
			return nil, l.refused(err)
		}
	}
	if s, err = l.snapshot(ctx, compiler, routes, prints); err != nil {
		return nil, l.refused(err)
	}
	if before != nil {
		s.tests, s.passedAt, s.recalled = before.Tests, before.At, true
		s.modules += len(before.TestFiles)
	} else {
		s.tests, s.passedAt = run.counts(), o.Now().UTC()
		s.repeatable, s.testFiles = repeatable, tests
		s.modules = modules
	}
	for _, w := range c.warnings {
		s.warn(w)
	}
	if s.tests.Total == 0 {
		s.warn(Warning{Code: WarnNoTests, Message: "the policy has no tests: nothing checks a change before it is live; add rules named test_… to packages named …_test"})
	}
	return s, nil
}

// parse reads modules and data out of a content, exactly as `opa test` does.
func parse(c *content, o Options) (*loading, error) {
	l := &loading{options: o, content: c, capabilities: capabilities(o.AllowNetwork)}
	paths := make([]string, len(c.roots))
	for i, r := range c.roots {
		paths[i] = loaderPath(r)
	}
	loaded, err := loader.NewFileLoader().
		WithFS(newMemFS(c)).
		WithProcessAnnotation(true).
		WithCapabilities(l.capabilities).
		Filtered(paths, func(_ string, info fs.FileInfo, depth int) bool {
			return depth > 0 && hidden(info.Name())
		})
	if err != nil {
		return l, err
	}
	l.modules = loaded.ParsedModules()
	l.documents = loaded.Documents
	if l.data, err = dataObject(l.documents); err != nil {
		return l, err
	}
	// Values are read as OPA's own, without any conversion.
	l.store = inmem.NewFromASTObject(l.data)
	return l, nil
}

// forgettable is the part of a policy's text that its tests have to be for it to be
// compiled once more without them: one in so many. What a snapshot holds is held for
// as long as it decides, several times over (the garbage collector lets the heap grow
// by what lives); compiling costs time, at each reload.
const forgettable = 3

// forget leaves out the files of tests that have passed, unless that is not worth it.
func (l *loading) forget(tests []string) bool {
	all, some := 0, 0
	for _, f := range l.content.files {
		if l.modules[f.name] == nil {
			continue
		}
		all += len(f.data)
		if slices.Contains(tests, f.name) {
			some += len(f.data)
		}
	}
	if some == 0 || some*forgettable < all {
		return false
	}
	for _, name := range tests {
		delete(l.modules, name)
	}
	return true
}

// dataObject converts the data once, for all evaluations.
func dataObject(documents map[string]any) (ast.Object, error) {
	m := make(members, 0, len(documents))
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		v, err := ast.InterfaceToValue(documents[name])
		if err != nil {
			return nil, fmt.Errorf("data.%s: %w", name, err)
		}
		m.value(ast.StringTerm(name), v)
	}
	return ast.NewObject(m...), nil
}

// refused is the error for a content that does not become a snapshot.
func (l *loading) refused(err error, more ...Problem) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &LoadError{Revision: l.content.digest, cause: err}
	if err != nil {
		e.Problems = problems(err)
	}
	e.Problems = append(e.Problems, more...)
	for i := range e.Problems {
		if f := l.content.find(e.Problems[i].File); f != nil {
			e.Problems[i].locateJSON(f.data)
		}
	}
	sortProblems(e.Problems)
	return e
}

// find returns the file with the name that the loader knows it by; nil where
// there is none.
func (c *content) find(name string) *file {
	for i := range c.files {
		if c.files[i].name == name {
			return &c.files[i]
		}
	}
	return nil
}

// entrypoint is a rule that decides.
type entrypoint string

// The entrypoints. They are named here and nowhere else, so that no request can
// choose a query.
const (
	entrypointAuthz  entrypoint = "authz.decision"
	entrypointToken  entrypoint = "token.decision"
	entrypointAccess entrypoint = "authzen.decision"

	// documentEntities decides nothing: it says what there is to search.
	documentEntities entrypoint = "authzen.entities"
	// documentScopes neither: it says which scopes upstreams are told.
	documentScopes entrypoint = "authz.scopes"
)

// entrypoints are those that a policy should have.
func entrypoints() []entrypoint {
	return []entrypoint{entrypointAuthz, entrypointToken, entrypointAccess}
}

// optionalDocuments are those that a policy may have besides.
func optionalDocuments() []entrypoint { return []entrypoint{documentEntities, documentScopes} }

// ref is the entrypoint's reference, such as data.authz.decision.
func (e entrypoint) ref() ast.Ref {
	ref := ast.Ref{ast.DefaultRootDocument}
	for part := range strings.SplitSeq(string(e), ".") {
		ref = append(ref, ast.StringTerm(part))
	}
	return ref
}

func (e entrypoint) String() string { return fmt.Sprintf("data.%s", string(e)) }
