package policy

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// files are a source's files by path: those below policies/ and data/ go to
// the one and the other directory.
type files map[string]string

// simple is a small policy that is complete: route table, entrypoints, tests.
func simple() files {
	return files{
		"policies/authz/authz.rego": `package authz

default decision := {"allow": false, "status": 403}

decision := {"allow": true} if {
	some role in data.routes[input.route][input.method].roles
	role in input.subject.roles
}
`,
		"policies/authz/authz_test.rego": `package authz_test

import data.authz

routes := {"/stage": {"GET": {"roles": ["actor"]}}}

test_actor_passes if {
	authz.decision.allow with input as {"route": "/stage", "method": "GET", "subject": {"roles": ["actor"]}}
		with data.routes as routes
}

test_stranger_denied if {
	not authz.decision.allow with input as {"route": "/stage", "method": "GET"}
		with data.routes as routes
}
`,
		"policies/token/token.rego": `package token

decision := {"allow": true, "scope": input.scope, "lifetime": {"access_token": 1800}}
`,
		"policies/authzen/authzen.rego": `package authzen

default decision := false

decision if input.subject.id == input.resource.properties.owner
`,
		"data/routes.yaml": "routes:\n  /stage: {GET: {roles: [actor]}}\n  /stage/{id}: {GET: {roles: [actor]}, DELETE: {roles: [director]}}\n",
	}
}

// with returns the files with some replaced; an empty text removes one.
func (f files) with(name, text string) files {
	f = maps.Clone(f)
	f[name] = text
	if text == "" {
		delete(f, name)
	}
	return f
}

// fs is the files as an embedded source.
func (f files) source() Source {
	policies, data := fstest.MapFS{}, fstest.MapFS{}
	for name, text := range f {
		file := &fstest.MapFile{Data: []byte(text)}
		if rel, ok := strings.CutPrefix(name, "policies/"); ok {
			policies[rel] = file
		} else {
			data[strings.TrimPrefix(name, "data/")] = file
		}
	}
	return FS(policies, data)
}

// write puts the files below dir.
func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		writeFile(t, filepath.Join(dir, name), f[name])
	}
}

// dirs writes the files into a new directory and is the source of them.
func (f files) dirs(t *testing.T) (string, Source) {
	t.Helper()
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "policies"))
	mkdir(t, filepath.Join(dir, "data"))
	f.write(t, dir)
	return dir, Dir(filepath.Join(dir, "policies"), filepath.Join(dir, "data"))
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceFile writes a file in one step, so that a watcher never sees half of it,
// however slow the machine is.
func replaceFile(t *testing.T, name, text string) {
	t.Helper()
	aside := filepath.Join(filepath.Dir(name), "."+filepath.Base(name))
	writeFile(t, aside, text)
	rename(t, aside, name)
}

func symlink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// patient is the deadline of evaluations in tests that are not about it.
const patient = 10 * time.Second

func mustLoad(t *testing.T, f files) *Snapshot {
	t.Helper()
	s, err := Load(t.Context(), f.source(), Options{Deadline: patient})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustRefuse loads a policy that has to be refused.
func mustRefuse(t *testing.T, f files, o Options) *LoadError {
	t.Helper()
	_, err := Load(t.Context(), f.source(), o)
	refusal, ok := err.(*LoadError)
	if !ok {
		t.Fatalf("Load = %v, want a *LoadError", err)
	}
	return refusal
}

// warningCodes are the codes of a snapshot's warnings, with their entrypoints.
func warningCodes(list []Warning) []string {
	var codes []string
	for _, w := range list {
		codes = append(codes, strings.TrimSpace(w.Code+" "+w.Entrypoint))
	}
	slices.Sort(codes)
	return codes
}

// request is one that simple allows to an actor.
func request(roles ...string) *authz.Request {
	return &authz.Request{
		Method: "GET", Path: "/stage", Segments: []string{"stage"}, Route: "/stage",
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: "1", Roles: roles},
		Claims:  &authz.Claims{Values: map[string]any{"sub": "1"}},
		Now:     time.Date(2026, 11, 23, 17, 31, 0, 0, time.UTC),
	}
}

// statuses hands on what an engine tells.
type statuses struct {
	c    chan struct{}
	mu   sync.Mutex
	list []Status
}

func newStatuses() *statuses { return &statuses{c: make(chan struct{}, 1)} }

func (s *statuses) tell(status Status) {
	s.mu.Lock()
	s.list = append(s.list, status)
	s.mu.Unlock()
	select {
	case s.c <- struct{}{}:
	default:
	}
}

func (s *statuses) all() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// wait waits until the latest status is as wanted.
func (s *statuses) wait(t *testing.T, what string, wanted func(Status) bool) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if all := s.all(); len(all) > 0 && wanted(all[len(all)-1]) {
			return all[len(all)-1]
		}
		select {
		case <-s.c:
		case <-ctx.Done():
			t.Fatalf("no status where %s; the latest: %+v", what, s.all())
		}
	}
}

// watched starts an engine that watches.
func watched(t *testing.T, source Source, o Options) (*Engine, *statuses) {
	t.Helper()
	told := newStatuses()
	o.OnStatus = told.tell
	o.Deadline = patient
	if o.QuietPeriod == 0 {
		o.QuietPeriod = 20 * time.Millisecond
	}
	if o.PollInterval == 0 {
		o.PollInterval = -1 // it is the notifications that have to work
	}
	e, err := New(t.Context(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch = %v, want nil at the end of its context", err)
		}
	})
	return e, told
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func logger(level slog.Level) (*slog.Logger, *logBuffer) {
	b := &logBuffer{}
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level})), b
}
