package policy

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// fakeRecord is a record in memory.
type fakeRecord struct {
	note     []byte
	writes   int
	failRead error
}

func (r *fakeRecord) Read() ([]byte, error) { return r.note, r.failRead }

func (r *fakeRecord) Write(note []byte) error {
	r.note = note
	r.writes++
	return nil
}

// startEngine is a start of a program with a record.
func startEngine(t *testing.T, f files, r Record, change func(*Options)) (*Engine, error) {
	t.Helper()
	o := Options{Deadline: patient, Record: r, Program: "program 1"}
	if change != nil {
		change(&o)
	}
	return New(t.Context(), f.source(), o)
}

// mustStart is startEngine, and reports whether the tests were passed over.
func mustStart(t *testing.T, f files, r Record, change func(*Options)) (e *Engine, recalled bool) {
	t.Helper()
	e, err := startEngine(t, f, r, change)
	if err != nil {
		t.Fatal(err)
	}
	_, recalled = e.Current().PassedBefore()
	return e, recalled
}

// failing is simple with a test that fails.
func failing() files {
	return simple().with("policies/authz/more_test.rego", "package authz_test\n\ntest_wrong if 1 == 2\n")
}

func TestRecalledStart(t *testing.T) {
	t.Parallel()
	r := &fakeRecord{}
	clock := newClock()
	tested := clock.Now()
	first, recalled := mustStart(t, simple(), r, func(o *Options) { o.Now = clock.Now })
	if recalled || first.Status().PassedBefore != nil || r.writes != 1 {
		t.Fatalf("first start: recalled %t, status %+v, %d notes", recalled, first.Status(), r.writes)
	}
	clock.set(10)
	log, out := logger(slog.LevelInfo)
	second, recalled := mustStart(t, simple(), r, func(o *Options) { o.Now, o.Logger = clock.Now, log })
	before, after := first.Status(), second.Status()
	if !recalled || after.PassedBefore == nil || !after.PassedBefore.Equal(tested) {
		t.Fatalf("second start: recalled %t, status %+v", recalled, after)
	}
	if after.Revision != before.Revision || after.Modules != before.Modules || after.Tests != before.Tests || after.Routes != before.Routes {
		t.Errorf("second start: %+v, first %+v", after, before)
	}
	if !strings.Contains(out.String(), "tests_passed_before="+tested.Format("2006-01-02T15:04:05")) || strings.Contains(out.String(), "tests_took") {
		t.Errorf("log\n%s", out)
	}
	if r.writes != 1 {
		t.Errorf("%d notes: what was recalled is noted again", r.writes)
	}
	for _, e := range []*Engine{first, second} {
		for role, want := range map[string]bool{"actor": true, "stranger": false} {
			d, err := e.Current().Decide(t.Context(), request(role))
			if err != nil || d.Allow != want {
				t.Errorf("%s: %+v, %v", role, d, err)
			}
		}
	}
}

// Whatever the outcome depends on, a change of it runs the tests.
func TestChangedIsNotRecalled(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		files   files
		options func(*Options)
	}{
		"rule":    {files: simple().with("policies/token/token.rego", "package token\n\ndecision := {\"allow\": false}\n")},
		"test":    {files: simple().with("policies/authz/authz_test.rego", "package authz_test\n\ntest_nothing if true\n")},
		"data":    {files: simple().with("data/routes.yaml", "routes:\n  /stage: {GET: {roles: [director]}}\n")},
		"name":    {files: simple().with("policies/token/token.rego", "").with("policies/token/tokens.rego", simple()["policies/token/token.rego"])},
		"program": {files: simple(), options: func(o *Options) { o.Program = "program 2" }},
		"network": {files: simple(), options: func(o *Options) { o.AllowNetwork = true }},
		"patience": {files: simple(), options: func(o *Options) {
			o.TestDeadline = time.Minute
		}},
		"unknown program": {files: simple(), options: func(o *Options) { o.Program = "" }},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &fakeRecord{}
			mustStart(t, simple(), r, nil)
			if _, recalled := mustStart(t, change.files, r, change.options); recalled {
				t.Error("the tests were passed over")
			}
		})
	}
}

// A note of something good lets nothing bad through, at a start or a reload.
func TestFailingIsNotRecalled(t *testing.T) {
	t.Parallel()
	var refusal *LoadError
	r := &fakeRecord{}
	if _, err := startEngine(t, failing(), r, nil); !errors.As(err, &refusal) || r.writes != 0 {
		t.Fatalf("start with a failing test = %v, %d notes", err, r.writes)
	}
	mustStart(t, simple(), r, nil)
	for range 2 {
		if _, err := startEngine(t, failing(), r, nil); !errors.As(err, &refusal) || refusal.Problems[0].Code != CodeTestFailed {
			t.Fatalf("start with a failing test, after one that passed = %v", err)
		}
	}
	// Of strict compilation and of types likewise.
	for name, text := range map[string]string{
		"unused variable": "package authz\n\nx if { y := 1 }\n",
		"unknown member":  "package authz\n\nx := input.no_such_member\n",
	} {
		if _, err := startEngine(t, simple().with("policies/authz/x.rego", text), r, nil); !errors.As(err, &refusal) {
			t.Errorf("%s: start = %v", name, err)
		}
	}
	if r.writes != 1 {
		t.Errorf("%d notes, want the one of what passed", r.writes)
	}
}

func TestReloadNeverRecalls(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	r := &fakeRecord{}
	o := Options{Deadline: patient, Record: r, Program: "program 1"}
	if _, err := New(t.Context(), source, o); err != nil {
		t.Fatal(err)
	}
	good := r.note
	e, err := New(t.Context(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, recalled := e.Current().PassedBefore(); !recalled {
		t.Fatal("the second start ran the tests")
	}
	failing().write(t, dir)
	if err := e.Reload(t.Context()); err == nil {
		t.Fatal("a reload took what fails its tests")
	}
	if r.writes != 1 {
		t.Fatalf("%d notes, want one: what failed was noted", r.writes)
	}
	writeFile(t, dir+"/policies/authz/more_test.rego", "package authz_test\n\ntest_right if 1 == 1\n")
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, recalled := e.Current().PassedBefore(); recalled || e.Current().Tests().Passed != 3 || r.writes != 2 {
		t.Errorf("reload: recalled %t, %+v, %d notes", recalled, e.Current().Tests(), r.writes)
	}
	// Even what the record knows is tested.
	r.note = good
	if err := os.Remove(dir + "/policies/authz/more_test.rego"); err != nil {
		t.Fatal(err)
	}
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, recalled := e.Current().PassedBefore(); recalled {
		t.Error("a reload passed over the tests")
	}
}

// A test that may end otherwise the next time runs each time.
func TestUnrepeatableIsNotRecorded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want int // notes
	}{
		"clock in a test":     {"package authz_test\n\ntest_late if time.now_ns() > 0\n", 0},
		"clock in a rule":     {"package authz\n\nlate if time.now_ns() > 0\n", 0},
		"clock within":        {"package authz_test\n\ntest_late if every x in [n | n := [time.now_ns()][_]] { x > 0 }\n", 0},
		"clock replaced":      {"package authz_test\n\ntest_late if time.now_ns() == 5 with time.now_ns as 5\n", 0},
		"randomness":          {"package authz_test\n\ntest_dice if rand.intn(\"x\", 6) < 6\n", 0},
		"uuid":                {"package authz_test\n\ntest_id if uuid.rfc4122(\"x\") != \"\"\n", 0},
		"certificates expire": {"package authz_test\n\ntest_cert if is_array(crypto.x509.parse_and_verify_certificates(\"x\"))\n", 0},
		"time zones change":   {"package authz_test\n\ntest_zone if time.clock([0, \"Europe/Berlin\"])[0] == 1\n", 0},
		"a fixed time":        {"package authz_test\n\ntest_time if time.parse_rfc3339_ns(\"1970-01-01T00:00:00Z\") == 0\n", 1},
		"a word in a string":  {"package authz_test\n\ntest_word if \"time.now_ns\" != \"\"\n", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &fakeRecord{}
			f := simple().with("policies/authz/more_test.rego", test.text)
			mustStart(t, f, r, nil)
			if _, recalled := mustStart(t, f, r, nil); recalled != (test.want == 1) || r.writes == 0 != (test.want == 0) {
				t.Errorf("recalled %t, %d notes, want %d", recalled, r.writes, test.want)
			}
		})
	}
}

func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	good := &fakeRecord{}
	mustStart(t, simple(), good, nil)
	var parsed passed
	if err := json.Unmarshal(good.note, &parsed); err != nil {
		t.Fatal(err)
	}
	change := func(change func(*passed)) []byte {
		p := parsed
		change(&p)
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, r := range map[string]*fakeRecord{
		"empty":       {},
		"cut off":     {note: good.note[:len(good.note)/2]},
		"no JSON":     {note: []byte("passed")},
		"no key":      {note: change(func(p *passed) { p.Key = "" })},
		"other key":   {note: change(func(p *passed) { p.Key = strings.Repeat("0", len(p.Key)) })},
		"failures":    {note: change(func(p *passed) { p.Tests.Failed = 1 })},
		"a rule left": {note: change(func(p *passed) { p.TestFiles = []string{"policies/authz/authz.rego"} })},
		"unreadable":  {note: good.note, failRead: errors.New("no")},
	} {
		e, recalled := mustStart(t, simple(), r, nil)
		if recalled || e.Current().Tests().Passed != 2 {
			t.Errorf("%s: recalled %t, %+v", name, recalled, e.Current().Tests())
		}
	}
	// A test file that is needed, left out by a forged note: the start is no worse
	// than without a note.
	needed := simple().with("policies/authz/help_test.rego", "package help_test\n\nhelp(x) := x\n").
		with("policies/authz/helped.rego", "package authz\n\nhelped := data.help_test.help(1)\n")
	r := &fakeRecord{}
	mustStart(t, needed, r, nil)
	if err := json.Unmarshal(r.note, &parsed); err != nil {
		t.Fatal(err)
	}
	r.note = change(func(p *passed) { p.TestFiles = []string{"policies/authz/help_test.rego"} })
	if _, recalled := mustStart(t, needed, r, nil); recalled {
		t.Error("a note that breaks the policy was believed")
	}
}

func TestTestFiles(t *testing.T) {
	t.Parallel()
	all := []string{"policies/authz/authz_test.rego", "policies/authz/more_test.rego"}
	more := simple().with("policies/authz/more_test.rego", "package more_test\n\nx := data.authz_test.routes\n")
	tests := map[string]struct {
		files files
		want  []string
	}{
		"tests":                  {more, all},
		"none":                   {simple().with("policies/authz/authz_test.rego", ""), nil},
		"rules in a test file":   {more.with("policies/authz/more_test.rego", "package authz\n\nx := 1\n"), all[:1]},
		"tests in another file":  {more.with("policies/authz/other.rego", "package other_test\n\ntest_x if true\n"), all},
		"referred to":            {more.with("policies/authz/x.rego", "package authz\n\nx := data.more_test.x\n"), nil},
		"imported":               {more.with("policies/authz/x.rego", "package authz\n\nimport data.more_test as m\n\nx := m.x\n"), nil},
		"through a variable":     {more.with("policies/authz/x.rego", "package a\n\ny := data.b[input.path].x\n").with("policies/authz/more_test.rego", "package b.more_test\n\nx := 1\n"), nil},
		"replaced":               {more.with("policies/authz/x.rego", "package authz\n\nx := 1 if 1 == 1 with data.more_test.x as 2\n"), nil},
		"a part in another file": {more.with("policies/authz/x.rego", "package more_test\n\ny := 1\n"), nil},
		"below":                  {more.with("policies/authz/x.rego", "package more_test.y\n\ny := 1\n"), nil},
		"above":                  {more.with("policies/authz/x.rego", "package a\n\ny := data.b\n").with("policies/authz/more_test.rego", "package b.more_test\n\nx := 1\n"), nil},
		"beside":                 {more.with("policies/authz/x.rego", "package a\n\ny := data.b.c\n").with("policies/authz/more_test.rego", "package b.more_test\n\nx := 1\n"), all},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			modules := map[string]*ast.Module{}
			for name, text := range test.files {
				if text != "" && strings.HasSuffix(name, ".rego") {
					modules[name] = ast.MustParseModule(text)
				}
			}
			c := ast.NewCompiler()
			if c.Compile(modules); c.Failed() {
				t.Fatal(c.Errors)
			}
			if got := testFiles(c.Modules); !slices.Equal(got, test.want) {
				t.Errorf("testFiles = %q, want %q", got, test.want)
			}
		})
	}
}
