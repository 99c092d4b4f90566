package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// A request can't choose the query, the package or the snapshot (OPA
// CVE-2025-46569): what a caller sends is a value in the input, whatever it
// looks like.
func TestRequestCannotChooseTheQuery(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple().with("policies/open/open.rego", "package open\n\ndecision := {\"allow\": true}\n"))
	for _, text := range []string{
		"data.open.decision", `/stage"]; data.open.decision; x["`, "../open/decision", "data", "input", "true }", "/stage\n", "__proto__",
	} {
		r := request()
		r.Path, r.Route, r.Method, r.Host = text, text, text, text
		r.Params = map[string]string{text: text}
		r.Query = map[string][]string{text: {text}}
		r.Segments = []string{text}
		r.Claims.Values["sub"] = text
		if d, err := s.Decide(t.Context(), r); err != nil || d.Allow {
			t.Errorf("%q: Decide = %+v, %v; want a denial", text, d, err)
		}
	}
}

// A claim named __proto__, deep nesting, 10,000 roles, a number past 2^53:
// decided or refused, never a crash.
func TestStrangeInputsAreDecided(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{"policies/authz/authz.rego": `package authz

default decision := {"allow": false}

decision := {"allow": true} if input.claims["__proto__"].admin == "yes"

decision := {"allow": true} if input.claims.id == 9007199254740993

decision := {"allow": true} if "role9999" in input.subject.roles

decision := {"allow": true} if {
	walk(input.claims.deep, [_, "bottom"])
}
`})
	decoded := func(text string) map[string]any {
		var m map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	const depth = 9_990 // encoding/json goes to 10,000
	for _, tc := range []struct {
		name   string
		claims map[string]any
		roles  int
		want   bool
	}{
		{"a claim named __proto__", decoded(`{"__proto__": {"admin": "yes"}}`), 0, true},
		{"__proto__ sets no other member", decoded(`{"__proto__": {"id": 9007199254740993}}`), 0, false},
		{"a number past 2^53", decoded(`{"id": 9007199254740993}`), 0, true},
		{"its neighbour", decoded(`{"id": 9007199254740992}`), 0, false},
		{"a number with a long exponent", decoded(`{"id": 1e9999}`), 0, false},
		{"10,000 roles", map[string]any{}, 10_000, true},
		{"9,999 roles", map[string]any{}, 9_999, false},
		{"deep nesting", decoded(`{"deep": ` + strings.Repeat("[", depth) + `"bottom"` + strings.Repeat("]", depth) + `}`), 0, true},
		{"deep nesting of objects", decoded(`{"deep": ` + strings.Repeat(`{"a":`, depth) + `1` + strings.Repeat("}", depth) + `}`), 0, false},
		{"a string that is not UTF-8", map[string]any{"id": "\xff\xfe"}, 0, false},
	} {
		for _, form := range []string{"plain", "prepared"} {
			t.Run(tc.name+"/"+form, func(t *testing.T) {
				t.Parallel()
				roles := make([]string, tc.roles)
				for i := range roles {
					roles[i] = fmt.Sprintf("role%d", i)
				}
				r := request(roles...)
				r.Claims = &authz.Claims{Values: tc.claims}
				if form == "prepared" {
					r.Claims.Prepared = PrepareClaims(tc.claims)
				}
				d, err := s.Decide(t.Context(), r)
				if err != nil || d.Allow != tc.want {
					t.Errorf("Decide = %+v, %v; want allow %v", d, err, tc.want)
				}
			})
		}
	}
}

// OPA knows no such number, so nothing can be decided.
func TestNumberPastEveryRangeIsRefused(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, answering(`{"allow": true}`))
	r := request()
	r.Claims = &authz.Claims{Values: map[string]any{"id": json.Number("1e999999999")}}
	if d, err := s.Decide(t.Context(), r); err == nil || d.Allow {
		t.Errorf("Decide = %+v, %v; want an error", d, err)
	}
	refusal := mustRefuse(t, simple().with("data/x.json", `{"x": {"y": [1e999999999]}}`), Options{})
	if p := refusal.Problems[0]; p.Code != CodeData || !strings.Contains(p.Message, "data.x: invalid number") {
		t.Errorf("problem %+v", p)
	}
}

// Claims are shared by the requests of a token.
func TestPreparedClaimsAreShared(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": true} if {\n\tcount(object.keys(input.claims)) == 100\n\tjson.marshal(input.claims) != \"\"\n\tinput.claims.k50 == [50]\n}\n"})
	values := map[string]any{}
	for i := range 100 {
		values[fmt.Sprintf("k%d", i)] = []any{i}
	}
	claims := &authz.Claims{Values: values, Prepared: PrepareClaims(values)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r := request()
				r.Claims = claims
				if d, err := s.Decide(t.Context(), r); err != nil || !d.Allow {
					t.Errorf("Decide = %+v, %v", d, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestPrepareClaimsRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	claims := map[string]any{"x": make(chan int)}
	if v := PrepareClaims(claims); v != nil {
		t.Errorf("PrepareClaims = %v", v)
	}
	s := mustLoad(t, answering(`{"allow": true}`))
	for name, r := range map[string]*authz.Request{
		"claims":     {Claims: &authz.Claims{Values: claims}},
		"attributes": {Subject: &authz.Subject{Attributes: claims}},
		"resource":   {Resource: claims},
	} {
		if d, err := s.Decide(t.Context(), r); err == nil || d.Allow {
			t.Errorf("%s: Decide = %+v, %v; want an error", name, d, err)
		}
	}
}

// A policy that loops over a large input, or a regular expression that never
// ends: cancelled at its deadline, denied, reported.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a loop over a large input": "some a in input.subject.roles\n\tsome b in input.subject.roles\n\tsome c in input.subject.roles\n\tconcat(a, [b, c]) == \"never\"",
		"a comprehension":           "count([1 | some a in input.subject.roles; some b in input.subject.roles; some c in input.subject.roles]) < 0",
		"a range":                   "count(numbers.range(1, 1000000000000)) < 0",
		"regular expressions":       "some a in input.subject.roles\n\tsome b in input.subject.roles\n\tregex.match(`(a*)*(a|a)*b`, concat(a, [b, \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\"]))",
		"a walk":                    "walk(input, [p, _])\n\twalk(input, [q, _])\n\tp == array.concat(q, [\"never\"])",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := files{"policies/authz/authz.rego": "package authz\n\ndefault decision := {\"allow\": true}\n\ndecision := {\"allow\": false} if {\n\t" + body + "\n}\n"}
			s, err := Load(t.Context(), f.source(), Options{Deadline: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			roles := make([]string, 10_000)
			for i := range roles {
				roles[i] = fmt.Sprintf("role%d", i)
			}
			for range 2 {
				d, err := s.Decide(t.Context(), request(roles...))
				if !errors.Is(err, ErrDeadline) || d.Allow {
					t.Fatalf("Decide = %+v, %v; want ErrDeadline and no decision", d, err)
				}
			}
			if got := warningCodes(s.Warnings()); !slices.Contains(got, "deadline data.authz.decision") {
				t.Errorf("warnings %v", got)
			}
		})
	}
}

func TestDecideEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": true} if count(numbers.range(1, 1000000000000)) > 0\n"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if d, err := s.Decide(ctx, request()); !errors.Is(err, context.DeadlineExceeded) || d.Allow {
		t.Errorf("Decide = %+v, %v", d, err)
	}
	if got := warningCodes(s.Warnings()); slices.Contains(got, "deadline data.authz.decision") {
		t.Errorf("the caller's end was reported as the policy's: %v", got)
	}
}

func TestDecideEvaluationError(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": true} if input.method == \"GET\"\n\ndecision := {\"allow\": false} if input.route == \"/stage\"\n"})
	if d, err := s.Decide(t.Context(), request()); err == nil || d.Allow || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("Decide = %+v, %v; want the conflict as an error", d, err)
	}
	if got := warningCodes(s.Warnings()); !slices.Contains(got, "evaluation_error data.authz.decision") {
		t.Errorf("warnings %v", got)
	}
}

// Time is the request's, so that a decision can be made again.
func TestDecideTimeIsTheRequests(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, answering(`{"allow": time.now_ns() == time.parse_rfc3339_ns(input.now)}`))
	for range 3 {
		if d, err := s.Decide(t.Context(), request()); err != nil || !d.Allow {
			t.Errorf("Decide = %+v, %v", d, err)
		}
	}
}

func TestEval(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple().with("policies/other/other.rego", "package other\n\nsum := input.a + input.b\n\nset := {2, 1}\n"))
	input := map[string]any{"a": json.Number("1"), "b": 2}
	for _, tc := range []struct {
		document string
		input    any
		want     any
		err      string
	}{
		{"other.sum", input, json.Number("3"), ""},
		{"data.other.sum", input, json.Number("3"), ""},
		{"other.set", nil, []any{json.Number("1"), json.Number("2")}, ""},
		{"routes", nil, nil, ""},
		{"other.sum", nil, nil, "undefined"},
		{"nothing.here", nil, nil, "undefined"},
		{"other[x]", nil, nil, "is no document"},
		{"a b", nil, nil, "is no document"},
		{"", nil, nil, "is no document"},
	} {
		got, err := s.Eval(t.Context(), tc.document, tc.input)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("Eval(%q) = %v, %v; want an error with %q", tc.document, got, err, tc.err)
			}
			continue
		}
		if err != nil || tc.want != nil && !reflect.DeepEqual(got, tc.want) {
			t.Errorf("Eval(%q) = %v, %v; want %v", tc.document, got, err, tc.want)
		}
	}
	if _, err := s.Eval(t.Context(), "nothing.here", nil); !errors.Is(err, ErrUndefined) {
		t.Errorf("Eval of nothing = %v, want ErrUndefined", err)
	}
	// What eval shows for an input is what is decided.
	in, err := s.Input(request("actor"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Eval(t.Context(), "authz.decision", in)
	if err != nil || !maps.Equal(got.(map[string]any), map[string]any{"allow": true}) {
		t.Errorf("Eval of the entrypoint = %v, %v", got, err)
	}
}

// One call of a builtin can't be interrupted; its caller is answered all the same.
func TestDeadlineWithinOneBuiltin(t *testing.T) {
	t.Parallel()
	f := files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": regex.match(`(a?){1000}(a?){1000}b`, input.subject.username)}\n"}
	s, err := Load(t.Context(), f.source(), Options{Deadline: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	r.Subject = &authz.Subject{Kind: authz.KindAccount, Username: strings.Repeat("a", 50_000)}
	if d, err := s.Decide(t.Context(), r); !errors.Is(err, ErrDeadline) || d.Allow {
		t.Fatalf("Decide = %+v, %v; want ErrDeadline and no decision", d, err)
	}
	if n := s.abandoned.Load(); n != 1 {
		t.Errorf("%d evaluations go on, want 1", n)
	}
	// All slots are taken: who comes waits for one until its deadline, or is refused
	// at once where none can be hoped for.
	for len(s.beside) < maxBeside {
		s.beside <- struct{}{}
	}
	r.Subject.Username = "a"
	if _, err := s.Decide(t.Context(), r); !errors.Is(err, ErrDeadline) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("all slots taken: %v, want ErrDeadline", err)
	}
	s.options.Deadline = patient
	s.abandoned.Store(maxBeside)
	if _, err := s.Decide(t.Context(), r); !errors.Is(err, ErrDeadline) || !strings.Contains(err.Error(), "still running") {
		t.Errorf("all of them beyond their deadlines: %v, want ErrDeadline", err)
	}
	// One that ends lets the next one run.
	s.abandoned.Store(0)
	<-s.beside
	if d, err := s.Decide(t.Context(), r); err != nil || d.Allow {
		t.Errorf("a slot is free: %+v, %v", d, err)
	}
}
