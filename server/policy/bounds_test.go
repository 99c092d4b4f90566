package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

// What would be huge is an error, and not undefined: "not" of it must not hold.
func TestAmplifiersAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 30_000)
	for _, tc := range []struct{ name, body, query, err string }{
		{"concat", `concat(q, split(q, "")) != ""`, long, "concat"},
		{"concat, nothing between", `concat("", [q | some _ in split(q, "")]) != ""`, long, "concat"},
		{"concat of a set", `concat(q, {x | some x in ["a", "b"]}) != ""`, long + long, ""},
		{"concat, ordinary", `concat(" or ", split(q, "")) == "a or b"`, "ab", ""},
		{"sprintf, a format", `sprintf(q, ["x"]) != ""`, strings.Repeat("%999999d", 100), "sprintf"},
		{"sprintf, a star", `sprintf(q, [999999, "x"]) != ""`, strings.Repeat("%[1]*[2]d", 100), "sprintf"},
		{"sprintf, again and again", `sprintf(q, [q]) != ""`, strings.Repeat("%[1]s", 6_000), "sprintf"},
		{"sprintf, a long list", `sprintf("%v", [[q | some _ in split(q, "")]]) != ""`, long, "sprintf"},
		{"sprintf, ordinary", `sprintf("%s has %d: %v", [q, 3, {"a": [1]}]) == "ab has 3: {\"a\": [1]}"`, "ab", ""},
		{"sprintf, numbers beside a percent", `sprintf("call 0800123456: %s, 100%%", [q]) == "call 0800123456: ab, 100%"`, "ab", ""},
		{"replace", `replace(q, "", q) != ""`, long, "replace"},
		{"replace, ordinary", `replace(q, "a", "bb") == "bbb"`, "ab", ""},
		{"replace_n", `strings.replace_n({"a": q}, q) != ""`, long, "strings.replace_n"},
		{"replace_n, ordinary", `strings.replace_n({"a": "b", "b": "a"}, q) == "ba"`, "ab", ""},
		{"lsh", `bits.lsh(1, to_number(q)) != 0`, "99999999999", "bits.lsh"},
		{"lsh, ordinary", `bits.lsh(1, to_number(q)) == 256`, "8", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for form, body := range map[string]string{"": "\t" + tc.body, "not": "\tnot no\n}\n\nno if {\n\t" + tc.body} {
				s := mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": ok}\n\ndefault ok := false\n\nq := input.query.q[0]\n\nok if {\n" + body + "\n}\n"})
				d, err := s.Decide(t.Context(), &authz.Request{Query: map[string][]string{"q": {tc.query}}})
				if tc.err == "" {
					if err != nil || d.Allow != (form == "") {
						t.Errorf("%s: %+v, %v", form, d, err)
					}
				} else if err == nil || d.Allow || errors.Is(err, ErrDeadline) || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s: allow %v, %v; want an error of %s", form, d.Allow, err, tc.err)
				}
			}
		})
	}
}

// A text that is a number to some only is none.
func TestTextsThatAreNumbers(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": ok}\n\ndefault ok := false\n\nok if to_number(input.query.q[0]) < 100\n"})
	for text, number := range map[string]bool{
		"1": true, "-1.50": true, "+7": true, "007": true, ".5": true, "5.": true, "1e-3": true, "1E+1": true, "1e-999": true, strings.Repeat("0", 64): true,
		"": false, "a": false, "inf": false, "nan": false, "1e": false, "1_0": false, "0x1p-2": false, "0x1p-99999999": false, "1e-1000": false, "1e-99999999": false,
		"0." + strings.Repeat("0", 30_000) + "1": false, strings.Repeat("0", 65): false, "1\n": false,
	} {
		d, err := s.Decide(t.Context(), &authz.Request{Query: map[string][]string{"q": {text}}})
		if err != nil || d.Allow != number {
			t.Errorf("%.40q: %v, %v; want %v", text, d.Allow, err, number)
		}
	}
}

// A rule may stand in for a builtin, bounded or not.
func TestBoundedBuiltinsCanBeReplaced(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{"policies/authz/authz.rego": `package authz

decision := {"allow": joined == ["x", "a-b", "a", "c-d"], "joined": joined}

joined := [x, y, z, w] if {
	x := line with concat as other
	y := line
	z := line with concat as "a"
	w := formatted with sprintf as concat
}

line := concat("-", ["a", "b"])

formatted := sprintf("-", ["c", "d"])

other(_, _) := "x"
`})
	if d, err := s.Decide(t.Context(), &authz.Request{}); err != nil || !d.Allow {
		got, err2 := s.Eval(t.Context(), "authz.joined", nil)
		t.Errorf("%+v, %v; %v, %v", d, err, got, err2)
	}
	if s.plans.general.slow != "it calls concat" {
		t.Errorf("slow = %q: the one that stands in is not bounded", s.plans.general.slow)
	}
}

// A slow builtin slows down those routes only that can reach it.
func TestSlownessIsARoutes(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, files{
		"policies/authz/authz.rego": `package authz

declared := data.routes[input.route][input.method]

default decision := {"allow": false}

decision := {"allow": true} if declared.public

decision := {"allow": true} if {
	declared.pattern
	regex.match("^a+$", input.query.q[0])
}
`,
		"data/routes.yaml": "routes: {/a: {GET: {public: true}}, /b: {GET: {pattern: true}}}\n",
	})
	for _, tc := range []struct {
		route string
		slow  bool
	}{{"/a", false}, {"/b", true}, {"", true}, {"/c", true}} {
		if got := s.planFor(t.Context(), tc.route, "GET").slow; (got != "") != tc.slow {
			t.Errorf("%q: %q", tc.route, got)
		}
		want := tc.route == "/a" || tc.route == "/b"
		if d, err := s.Decide(t.Context(), &authz.Request{Method: "GET", Route: tc.route, Query: map[string][]string{"q": {"aaa"}}}); err != nil || d.Allow != want {
			t.Errorf("%q: %+v, %v", tc.route, d, err)
		}
	}
}
