package policy

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// narrowing is a policy with two routes, and a rule that calls a closed one.
func narrowing(t *testing.T, o Options, rules string) *Snapshot {
	t.Helper()
	s, err := Load(t.Context(), files{
		"policies/authz/authz.rego": "package authz\n\ndefault decision := {\"allow\": false}\n\ndecision := {\"allow\": true} if ok\n\n" + rules + "\n",
		"data/routes.yaml":          "routes:\n  /owned: {GET: {owner: true, scopes: [s]}, POST: {}}\n  /open: {GET: {public: true}}\n",
		"data/many.yaml":            "many: [" + strings.Repeat("1, ", 5000) + "1]\n",
	}.source(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What a policy reads for one route and another.
func TestNarrowing(t *testing.T) {
	t.Parallel()
	const declared = "declared := data.routes[input.route][input.method]\n\n"
	for _, tc := range []struct{ name, rules, owned, open string }{
		{"through a rule", declared + "ok if {\n\tdeclared.owner\n\tinput.claims.one == 1\n}", "[input.claims.one]", "[]"},
		{"through a rule, negated", declared + "ok if {\n\tnot declared.owner\n\tinput.claims.one == 1\n}", "[]", "[input.claims.one]"},
		{"inline", "ok if {\n\tdata.routes[input.route][input.method].owner\n\tinput.claims.one == 1\n}", "[input.claims.one]", "[]"},
		{"inline, negated", "ok if {\n\tnot data.routes[input.route][input.method].owner\n\tinput.claims.one == 1\n}", "[]", "[input.claims.one]"},
		{"by a variable", "ok if {\n\td := data.routes[input.route][input.method]\n\td.owner == true\n\tinput.claims.one == 1\n}", "[input.claims.one]", "[]"},
		{"by a variable twice", "ok if {\n\tx := input.route\n\tx = data.owned\n\tinput.claims.one == 1\n}", "[]", "[]"},
		{"by membership", "ok if {\n\tinput.route in {\"/owned\", \"/x\"}\n\tinput.claims.one == 1\n}", "[input.claims.one]", "[]"},
		{"what comes before", "ok if {\n\tinput.claims.one == 1\n\tdata.routes[input.route].GET.owner\n\tinput.claims.two == 1\n}",
			"[input.claims.one input.claims.two]", "[input.claims.one]"},
		{"an else", declared + "ok if declared.owner\n\nelse if input.claims.one == 1", "[]", "[input.claims.one]"},
		{"an else behind variables", "ok if data.routes[input.route].GET.owner\n\nelse if input.claims.one == 1", "[input.claims.one]", "[input.claims.one]"},
		{"a variable with many values", "ok if {\n\tsome s in data.routes[input.route].GET.scopes\n\tinput.claims.one == s\n}", "[input.claims.one]", "[input.claims.one]"},
		{"compared with a variable that is not known", "ok if {\n\tx := input.claims.one\n\tx == data.routes[input.route].GET.owner\n\tinput.claims.two == 1\n}",
			"[input.claims.one input.claims.two]", "[input.claims.one]"},
		{"a builtin that is not quick", "ok if {\n\tregex.match(\"^/owned\", input.route)\n\tinput.claims.one == 1\n}", "[input.claims.one]", "[input.claims.one]"},
		{"one in another rule", "ok if {\n\towned\n\tinput.claims.one == 1\n}\n\nowned if regex.match(\"^/owned\", input.route)", "[input.claims.one]", "[input.claims.one]"},
		{"a step that can't be stopped", "ok if {\n\tpaired\n\tinput.claims.one == 1\n}\n\npaired if data.routes[_].GET.owner == data.routes[_].GET.scopes", "[input.claims.one]", "[input.claims.one]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := narrowing(t, Options{Deadline: patient}, tc.rules)
			for route, want := range map[string]string{"/owned": tc.owned, "/open": tc.open} {
				if got := fmt.Sprint(s.planFor(t.Context(), route, "GET").reads); got != want {
					t.Errorf("%s reads %s, want %s", route, got, want)
				}
			}
		})
	}
}

// allows asks for each of some usernames.
func allows(t *testing.T, s *Snapshot, route string, want map[string]bool) {
	t.Helper()
	for range 2 {
		for who, allow := range want {
			d, err := s.Decide(t.Context(), &authz.Request{Method: "GET", Route: route, Subject: &authz.Subject{Kind: authz.KindAccount, ID: who, Username: who}})
			if err != nil || d.Allow != allow {
				t.Errorf("%s on %s: allow %v, %v; want %v", who, route, d.Allow, err, allow)
			}
		}
	}
}

// Under `with`, a route's declaration is not what data says.
func TestNoNarrowingUnderWith(t *testing.T) {
	t.Parallel()
	s := narrowing(t, Options{Deadline: patient}, `ok if strict with data.routes as {"/open": {"GET": {"owner": true}}}

declared := data.routes[input.route][input.method]

strict if {
	declared.owner
	input.subject.username == "alice"
}`)
	allows(t, s, "/open", map[string]bool{"alice": true, "mallory": false})
}

// A function's argument may have another value than the one that a closed
// expression would give it, so that the else counts.
func TestAnArgumentIsNotBelievedToMatch(t *testing.T) {
	t.Parallel()
	s := narrowing(t, Options{Deadline: patient}, `ok if f("/other")

f(r) if r = input.route

else if input.subject.username == "alice"`)
	allows(t, s, "/open", map[string]bool{"alice": true, "mallory": false})
}

// Where a branch's head can be undefined, the else counts although its body holds.
// The compiler moves whatever can be undefined into the body; this does not count
// on that.
func TestAHeadThatReadsIsNotTheLast(t *testing.T) {
	t.Parallel()
	body := []*expression{{}}
	read := func(name string) *expression { return &expression{reads: []inputPath{{name}}} }
	for name, tc := range map[string]struct {
		head *expression
		want string
	}{
		"a constant":     {&expression{}, "[]"},
		"a member":       {read("host"), "[input.host input.path]"},
		"another rule's": {&expression{calls: []*ruleReads{{branches: []branch{{head: read("host")}}}}}, "[input.host input.path]"},
	} {
		from := &expression{calls: []*ruleReads{{branches: []branch{{body: body, head: tc.head}, {head: read("path")}}}}}
		s := &specialiser{from: from, closed: map[*expression]closedExpression{body[0]: {ground: true}}}
		r := s.walk(func(*expression, closedExpression) verdict { return succeeds })
		if got := fmt.Sprint(r.reads); got != tc.want {
			t.Errorf("%s: reads %s, want %s", name, got, tc.want)
		}
	}
}

// endless is closed, and takes as long as it may.
const endless = `ok if {
	tedious
	input.claims.one == 1
}

ok if input.claims.two == 2

tedious if {
	some a in data.many
	some b in data.many
	a < b
	b < a
}`

// Whoever is first to ask for a route is not held up, nor are those after him.
func TestNarrowingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := narrowing(t, Options{Deadline: math.MaxInt64}, endless)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	start := time.Now()
	if p := s.planFor(ctx, "/owned", "GET"); p != s.plans.general {
		t.Errorf("the plan reads %v", p.reads)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := s.plans.routes["/owned"]["GET"]; r.made.Load() != nil || r.failed != 0 || r.busy.Load() {
		t.Error("the next request is not asked to try again")
	}
}

func TestNarrowingHasABudget(t *testing.T) {
	t.Parallel()
	s := narrowing(t, Options{Deadline: time.Millisecond}, endless)
	r := s.plans.routes["/owned"]["GET"]
	for i := range maxNarrowings {
		if r.made.Load() != nil {
			t.Fatalf("given up after %d", i)
		}
		if p := s.planFor(t.Context(), "/owned", "GET"); p != s.plans.general {
			t.Fatalf("the plan reads %v", p.reads)
		}
	}
	if r.made.Load() != s.plans.general {
		t.Error("it is tried for ever")
	}
}

func TestNobodyWaitsForAPlan(t *testing.T) {
	t.Parallel()
	s := narrowing(t, Options{Deadline: patient}, "ok if {\n\tdata.routes[input.route].GET.owner\n\tinput.claims.one == 1\n}")
	r := s.plans.routes["/open"]["GET"]
	r.busy.Store(true) // somebody is about it
	if p := s.planFor(t.Context(), "/open", "GET"); p != s.plans.general {
		t.Errorf("the plan reads %v", p.reads)
	}
	r.busy.Store(false)
	if p := s.planFor(t.Context(), "/open", "GET"); p == s.plans.general || p != s.planFor(t.Context(), "/open", "GET") {
		t.Errorf("the plan reads %v", p.reads)
	}
}

func TestAPanicFallsBackToTheGeneralPlan(t *testing.T) {
	t.Parallel()
	s := narrowing(t, Options{Deadline: patient}, "ok if data.routes[input.route].GET.owner")
	s.plans.narrow.from = nil
	for range maxNarrowings + 1 {
		if p := s.planFor(t.Context(), "/open", "GET"); p != s.plans.general {
			t.Fatalf("the plan reads %v", p.reads)
		}
	}
}
