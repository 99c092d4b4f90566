package policy

import "testing"

// Which policies are evaluated in the caller's goroutine.
func TestMayRunLong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, body, more, slow string }{
		{"equality", `input.method == "GET"`, "", ""},
		{"quick builtins", `startswith(input.path, "/x")`, "", ""},
		{"a regular expression", `regex.match("a*", input.path)`, "", "it calls regex.match"},
		{"in another rule", `longer`, `longer if glob.match("*", [], input.path)`, "it calls glob.match"},
		{"in an else", `longer`, "longer if input.method == \"GET\"\n\nelse if json.is_valid(input.path)", "it calls json.is_valid"},
		{"in a function", `longer(input.path)`, `longer(x) if regex.match("a*", x)`, "it calls regex.match"},
		{"in a comprehension", `{x | some x in input.segments; regex.match("a*", x)} == set()`, "", "it calls regex.match"},
		{"below every", `every x in input.segments { regex.match("a*", x) }`, "", "it calls regex.match"},
		{"in place of another", `longer with startswith as regex.match`, `longer if startswith("a*", input.path)`, "it calls regex.match"},
		{"behind a variable", `some name; data.authz.sub[name] == 7`, "sub.longer := 7 if walk(input, [_, 1])", "it calls walk"},
		{"in a rule that is not reached", `input.method == "GET"`, `longer if regex.match("a*", input.path)`, ""},
		{"nested loops", `some x in input.segments; some y in input.segments; x != y`, "", ""},
		{"pairs in one step", `input.segments[_] == input.subject.roles[_]`, "", "it pairs collections"},
		{"pairs in a comprehension", `[1 | input.segments[_] == input.subject.roles[_]] == []`, "", "it pairs collections"},
		{"pairs below every", `every x in input.segments { x != "a"; input.segments[_] == input.subject.roles[_] }`, "", "it pairs collections"},
		{"pairs in another rule", `longer`, `longer if input.segments[_] == input.subject.roles[_]`, "it pairs collections"},
		{"comprehensions beside each other", `[x | x := input.segments[_]] == [x | x := input.subject.roles[_]]`, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": true} if {\n\t" + tc.body + "\n}\n\n" + tc.more + "\n"})
			if got := s.plans.general.slow; got != tc.slow {
				t.Errorf("slow = %q, want %q", got, tc.slow)
			}
		})
	}
}

// The shipped policy needs no goroutine.
func TestShippedPolicyIsQuick(t *testing.T) {
	t.Parallel()
	s := uncached(t)
	if s.plans.general.slow != "" || s.slowGrant != "" {
		t.Errorf("authz: %s, token: %s", s.plans.general.slow, s.slowGrant)
	}
}
