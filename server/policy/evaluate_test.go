package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/stagedoor/stagedoor/server/authz"
)

// bothWays runs a test of a policy that is evaluated in the caller's goroutine,
// and beside it.
func bothWays(t *testing.T, f files, o Options, run func(*testing.T, *Snapshot)) {
	t.Helper()
	o.CacheBytes = -1
	for name, slow := range map[string]string{"here": "", "beside": "for this test"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Load(t.Context(), f.source(), o)
			if err != nil {
				t.Fatal(err)
			}
			s.plans.general.slow = slow
			run(t, s)
		})
	}
}

// loop never ends for a subject with many roles, and allows for one without.
var loop = files{"policies/authz/authz.rego": `package authz

default decision := {"allow": true}

decision := {"allow": false} if {
	some a in input.subject.roles
	some b in input.subject.roles
	some c in input.subject.roles
	concat(a, [b, c]) == "never"
}
`}

func manyRoles() []string {
	roles := make([]string, 10_000)
	for i := range roles {
		roles[i] = fmt.Sprintf("role%d", i)
	}
	return roles
}

// After a deadline, what was used for the evaluation must not spoil the next.
func TestDeadlineEitherWay(t *testing.T) {
	t.Parallel()
	bothWays(t, loop, Options{Deadline: 30 * time.Millisecond}, func(t *testing.T, s *Snapshot) {
		endless := request(manyRoles()...)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					if d, err := s.Decide(t.Context(), endless); !errors.Is(err, ErrDeadline) || d.Allow {
						t.Errorf("Decide = %+v, %v; want ErrDeadline and no decision", d, err)
					}
				}
			})
		}
		wg.Wait()
		s.options.Deadline = patient
		for range 50 {
			if d, err := s.Decide(t.Context(), request()); err != nil || !d.Allow {
				t.Fatalf("Decide = %+v, %v", d, err)
			}
		}
		if got := warningCodes(s.Warnings()); !slices.Contains(got, "deadline data.authz.decision") {
			t.Errorf("warnings %v", got)
		}
	})
}

func TestContextEitherWay(t *testing.T) {
	t.Parallel()
	bothWays(t, loop, Options{Deadline: patient}, func(t *testing.T, s *Snapshot) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if d, err := s.Decide(ctx, request(manyRoles()...)); !errors.Is(err, context.DeadlineExceeded) || d.Allow {
			t.Errorf("Decide = %+v, %v", d, err)
		}
		if d, err := s.Decide(ctx, request()); !errors.Is(err, context.DeadlineExceeded) || d.Allow {
			t.Errorf("with a context that has ended: Decide = %+v, %v", d, err)
		}
		if d, err := s.Decide(t.Context(), request()); err != nil || !d.Allow {
			t.Errorf("with another: Decide = %+v, %v", d, err)
		}
		if got := warningCodes(s.Warnings()); slices.Contains(got, "deadline data.authz.decision") {
			t.Errorf("the caller's end was reported as the policy's: %v", got)
		}
	})
}

// Who was not let run for a while has had no time: the result of a few steps stands,
// however late it comes.
func TestTheResultOfAFewStepsStands(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, answering(`{"allow": regex.match("(a?){100}(a?){100}b", input.subject.username)}`))
	q := s.queries[entrypointAuthz]
	if s.plans.general.slow == "" {
		t.Fatal("regular expressions are taken to be quick")
	}
	s.options.Deadline = time.Nanosecond
	r := request()
	r.Subject = &authz.Subject{Kind: authz.KindAccount, Username: string(slices.Repeat([]byte("a"), 20_000)) + "b"}
	input, err := authzInput(r)
	if err != nil {
		t.Fatal(err)
	}
	e := q.evaluation()
	value, err := e.run(t.Context(), input, r.Now, topdown.NewCancel())
	if err != nil || value == nil {
		t.Fatalf("without a deadline: %v, %v", value, err)
	}
	if again, err := s.evaluate(t.Context(), q, "", input, r.Now); err != nil || again.Compare(value) != 0 {
		t.Errorf("evaluate = %v, %v; want %v", again, err, value)
	}
	if value, err := s.evaluate(t.Context(), q, s.plans.general.slow, input, r.Now); !errors.Is(err, ErrDeadline) || value != nil {
		t.Errorf("beside its caller: evaluate = %v, %v; want ErrDeadline", value, err)
	}
}

// panics is a cache of documents that the engine can't read from.
type panics struct{ documents }

func (panics) Get(ast.Ref) ast.Value { panic("no documents") }

// A panic is an error, and what it happened in is thrown away.
func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple())
	q := s.queries[entrypointAuthz]
	e := q.evaluation()
	e.topdown.WithBaseCache(panics{})
	input, err := authzInput(request("actor"))
	if err != nil {
		t.Fatal(err)
	}
	if value, err := e.run(t.Context(), input, time.Time{}, topdown.NewCancel()); err == nil || value != nil {
		t.Errorf("run = %v, %v; want an error", value, err)
	}
	q.release(e)
	if d, err := s.Decide(t.Context(), request("actor")); err != nil || !d.Allow {
		t.Errorf("Decide = %+v, %v", d, err)
	}
}

// An answer may hold parts of the input and of the data; it stays as it is when
// the evaluation that made it is used again.
func TestAnswersOutliveTheirEvaluation(t *testing.T) {
	t.Parallel()
	f := files{
		"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": true, \"input\": input, \"data\": data.table, \"rule\": rule(input.route)}\n\nrule(x) := [x, input.method]\n",
		"data/table.yaml":           "table: {a: [1, 2]}\n",
	}
	bothWays(t, f, Options{Deadline: patient}, func(t *testing.T, s *Snapshot) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				var values []ast.Value
				var texts []string
				for j := range 50 {
					r := &authz.Request{Method: fmt.Sprint("M", i), Route: fmt.Sprint("/", j)}
					input, err := authzInput(r)
					if err != nil {
						t.Error(err)
						return
					}
					value, err := s.evaluate(t.Context(), s.queries[entrypointAuthz], s.plans.general.slow, input, time.Time{})
					if err != nil || value == nil {
						t.Errorf("evaluate = %v, %v", value, err)
						return
					}
					values = append(values, value)
					texts = append(texts, fmt.Sprintf(`{"allow": true, "data": {"a": [1, 2]}, "input": {"method": "M%d", "route": "/%d"}, "rule": ["/%d", "M%d"]}`, i, j, j, i))
				}
				for j, v := range values {
					if v.String() != texts[j] {
						t.Errorf("%s, want %s", v, texts[j])
					}
				}
			})
		}
		wg.Wait()
	})
}
