package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// fakeClock is a clock that a test sets.
type fakeClock struct{ now atomic.Pointer[time.Time] }

func newClock() *fakeClock {
	c := &fakeClock{}
	c.set(0)
	return c
}

func (c *fakeClock) set(minutes int) time.Time {
	t := time.Date(2026, 11, 23, 12, minutes, 0, 0, time.UTC)
	c.now.Store(&t)
	return t
}

func (c *fakeClock) Now() time.Time { return *c.now.Load() }

const broken = "package authz\n\ndecision := {\"allow\": tru}\n"

func TestEngineReload(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	name := filepath.Join(dir, "policies", "authz", "authz.rego")
	clock, told := newClock(), newStatuses()
	log, out := logger(slog.LevelInfo)
	e, err := New(t.Context(), source, Options{Logger: log, Now: clock.Now, Deadline: patient, OnStatus: told.tell})
	if err != nil {
		t.Fatal(err)
	}
	first := e.Current()
	start := clock.Now()

	// Nothing changed: nothing happens.
	if err := e.Reload(t.Context()); err != nil || e.Current() != first || len(told.all()) != 1 {
		t.Fatalf("Reload of the same = %v; %d statuses", err, len(told.all()))
	}

	// A policy that does not compile: the old one stays, the status says why.
	failedAt := clock.set(1)
	writeFile(t, name, broken)
	err = e.Reload(t.Context())
	var refusal *LoadError
	if !errors.As(err, &refusal) || e.Current() != first {
		t.Fatalf("Reload of a broken policy = %v", err)
	}
	status := e.Status()
	want := Problem{File: name, Line: 3, Column: 23, Code: "rego_unsafe_var_error", Message: "var tru is unsafe"}
	if f := status.LastError; f == nil || !f.At.Equal(failedAt) || !f.Since.Equal(failedAt) || f.Revision == "" ||
		!reflect.DeepEqual(f.Problems, []Problem{want}) {
		t.Fatalf("last error %+v, want %+v", status.LastError, want)
	}
	if status.Revision != first.Revision() || !status.ActivatedAt.Equal(start) {
		t.Errorf("status %+v", status)
	}
	if !strings.Contains(out.String(), name) || !strings.Contains(out.String(), "line=3") || !strings.Contains(out.String(), "tru is unsafe") {
		t.Errorf("log\n%s", out)
	}

	// Watching does not try the same again; asking for it does.
	clock.set(2)
	if err := e.reload(t.Context(), false); !errors.As(err, &refusal) || !e.Status().LastError.At.Equal(failedAt) {
		t.Errorf("second look = %v, at %s", err, e.Status().LastError.At)
	}
	again := clock.set(3)
	if err := e.Reload(t.Context()); !errors.As(err, &refusal) {
		t.Errorf("Reload again = %v", err)
	}
	if f := e.Status().LastError; !f.At.Equal(again) || !f.Since.Equal(failedAt) {
		t.Errorf("at %s since %s", f.At, f.Since)
	}

	// Broken otherwise: still since the first time.
	clock.set(4)
	writeFile(t, name, "package")
	if err := e.Reload(t.Context()); !errors.As(err, &refusal) || !e.Status().LastError.Since.Equal(failedAt) {
		t.Errorf("Reload of another broken policy = %v, since %s", err, e.Status().LastError.Since)
	}

	// Back to what is live: no error, no new snapshot.
	clock.set(5)
	writeFile(t, name, simple()["policies/authz/authz.rego"])
	if err := e.Reload(t.Context()); err != nil || e.Current() != first || e.Status().LastError != nil || !e.Status().ActivatedAt.Equal(start) {
		t.Errorf("Reload of the live policy = %v, %+v", err, e.Status())
	}

	// A new policy.
	activated := clock.set(6)
	writeFile(t, filepath.Join(dir, "data", "routes.yaml"), "routes:\n  /new: {GET: {roles: [actor]}}\n")
	if err := e.Reload(t.Context()); err != nil || e.Current() == first || !e.Status().ActivatedAt.Equal(activated) {
		t.Errorf("Reload of a new policy = %v, %+v", err, e.Status())
	}
	if got := e.Current().Routes(); !slices.Equal(got, []string{"/new"}) {
		t.Errorf("routes %v", got)
	}

	// The directory is gone: that is an error, too.
	rename(t, filepath.Join(dir, "policies"), filepath.Join(dir, "gone"))
	if err := e.Reload(t.Context()); !errors.Is(err, os.ErrNotExist) || e.Status().LastError.Problems[0].Code != CodeSource {
		t.Errorf("Reload without a directory = %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	e, err := New(t.Context(), simple().with("policies/authz/authz.rego", broken).source(), Options{})
	var refusal *LoadError
	if e != nil || !errors.As(err, &refusal) || !strings.Contains(err.Error(), "policies/authz/authz.rego:3: rego_unsafe_var_error") {
		t.Errorf("New = %v, %v", e, err)
	}
}

// A test that failed names file, line, test, expected and got, in status and log.
func TestEngineReportsFailingTests(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	log, out := logger(slog.LevelInfo)
	e, err := New(t.Context(), source, Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "policies", "authz", "more_test.rego")
	writeFile(t, name, "package authz_test\n\ntest_status if {\n\tdata.authz.decision.status == 401 with input as {}\n}\n")
	if err := e.Reload(t.Context()); err == nil {
		t.Fatal("a policy that fails its tests was activated")
	}
	want := Problem{File: name, Line: 4, Column: 2, Code: CodeTestFailed, Test: "data.authz_test.test_status",
		Message: "test data.authz_test.test_status failed", Expected: "401", Got: "403"}
	if got := e.Status().LastError.Problems; !reflect.DeepEqual(got, []Problem{want}) {
		t.Errorf("problems %+v, want %+v", got, want)
	}
	for _, part := range []string{"test=data.authz_test.test_status", "expected=401", "got=403", "line=4", "file=" + name} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in the log\n%s", part, out)
		}
	}
}

func TestStatusIsJSON(t *testing.T) {
	t.Parallel()
	dir, source := simple().with("policies/token/token.rego", "").dirs(t)
	e, err := New(t.Context(), source, Options{Now: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "policies", "authz", "authz.rego"), broken)
	_ = e.Reload(t.Context())
	text, err := json.Marshal(e.Status())
	if err != nil {
		t.Fatal(err)
	}
	var back Status
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, e.Status()) {
		t.Errorf("read back %+v, %v; want %+v", back, err, e.Status())
	}
	for _, member := range []string{`"revision"`, `"activated_at"`, `"modules":3`, `"tests"`, `"warnings"`, `"last_error"`, `"at"`, `"since"`, `"problems"`, `"file"`, `"line":3`, `"code"`, `"message"`} {
		if !strings.Contains(string(text), member) {
			t.Errorf("no %s in %s", member, text)
		}
	}
}

// A warning that a decision causes is told, and in the status, once.
func TestEngineTellsWarningsOfDecisions(t *testing.T) {
	t.Parallel()
	told := newStatuses()
	e, err := New(t.Context(), answering(`"yes"`).source(), Options{Deadline: patient, OnStatus: told.tell})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if d, err := e.Current().Decide(t.Context(), request()); err != nil || d.Allow {
			t.Fatalf("Decide = %+v, %v", d, err)
		}
	}
	all := told.all()
	if len(all) != 2 {
		t.Fatalf("%d statuses, want the activation and one warning", len(all))
	}
	if got := warningCodes(all[1].Warnings); !slices.Contains(got, "wrong_type data.authz.decision") {
		t.Errorf("warnings %v", got)
	}
}

// versioned is a policy whose rules and data both say which version they are.
func versioned(n int) files {
	return files{
		"policies/authz/authz.rego": fmt.Sprintf("package authz\n\ndecision := {\"allow\": data.version == %d, \"headers\": {\"x-rules\": \"%d\", \"x-data\": sprintf(\"%%d\", [data.version])}}\n", n, n),
		"data/version.yaml":         fmt.Sprintf("version: %d\nroutes:\n  /v%d: {GET: {}}\n", n, n),
	}
}

// Reload while under load: no request decided by half of two policies; none
// dropped.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	dir, source := versioned(0).dirs(t)
	e, err := New(t.Context(), source, Options{Deadline: patient})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var decided atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := e.Current()
				d, err := s.Decide(t.Context(), &authz.Request{Method: "GET"})
				rules, data := d.Headers["x-rules"], d.Headers["x-data"]
				if err != nil || !d.Allow || !slices.Equal(rules, data) || d.Revision != s.Revision() {
					t.Errorf("Decide = %+v, %v: half of two policies", d, err)
					return
				}
				if _, ok := s.Match("", []string{"v" + rules[0]}); !ok {
					t.Errorf("rules %s beside the routes %v", rules, s.Routes())
					return
				}
				decided.Add(1)
			}
		})
	}
	const reloads = 30
	for n := 1; n <= reloads; n++ {
		before := decided.Load()
		versioned(n).write(t, dir)
		if err := e.Reload(t.Context()); err != nil {
			t.Errorf("Reload %d: %v", n, err)
		}
		if n%3 == 0 { // one that is refused in between
			writeFile(t, filepath.Join(dir, "policies", "authz", "authz.rego"), broken)
			if err := e.Reload(t.Context()); err == nil {
				t.Error("a broken policy was activated")
			}
		}
		for decided.Load() == before && !t.Failed() {
			// Let each version decide something.
		}
	}
	close(stop)
	wg.Wait()
	if got := e.Current().Routes(); !slices.Equal(got, []string{fmt.Sprintf("/v%d", reloads)}) {
		t.Errorf("live at the end: %v", got)
	}
}

// Reloads at the same time are one after the other, and the last content wins.
func TestConcurrentReloads(t *testing.T) {
	t.Parallel()
	dir, source := versioned(0).dirs(t)
	told := newStatuses()
	e, err := New(t.Context(), source, Options{Deadline: patient, OnStatus: told.tell})
	if err != nil {
		t.Fatal(err)
	}
	versioned(1).write(t, dir)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := e.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := e.Current().Routes(); !slices.Equal(got, []string{"/v1"}) {
		t.Errorf("live: %v", got)
	}
	if n := len(told.all()); n != 2 {
		t.Errorf("%d statuses: the same content was activated more than once", n)
	}
}
