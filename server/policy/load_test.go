package policy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each of these has to be refused, with the place and what is wrong there.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	authz := "policies/authz/authz.rego"
	for _, tc := range []struct {
		name string
		f    files
		want Problem // a zero member is not compared, Message by containment
	}{
		{"does not parse", simple().with(authz, "package authz\n\nallow if {\n\tinput.x ==\n}\n"),
			Problem{File: authz, Line: 5, Code: "rego_parse_error"}},
		{"unsafe variable", simple().with(authz, "package authz\n\ndecision if x == 1\n"),
			Problem{File: authz, Line: 3, Code: "rego_unsafe_var_error", Message: "x is unsafe"}},
		{"strict: unused import", simple().with(authz, "package authz\n\nimport data.other\n\ndecision := {\"allow\": false}\n"),
			Problem{File: authz, Line: 3, Code: "rego_compile_error", Message: "unused"}},
		{"type error", simple().with(authz, "package authz\n\ndecision := {\"allow\": false} if count(1) == 1\n"),
			Problem{File: authz, Line: 3, Code: "rego_type_error"}},
		{"recursion", simple().with(authz, "package authz\n\ndecision if b\n\nb if decision\n"),
			Problem{File: authz, Line: 3, Code: "rego_recursion_error"}},
		{"misspelt input.clams", simple().with(authz, "package authz\n\ndecision := {\"allow\": true} if input.clams.sub == \"1\"\n"),
			Problem{File: authz, Line: 3, Code: "rego_type_error", Message: "undefined ref: input.clams", Got: `"clams"`}},
		{"misspelt input in a sub-package", simple().with("policies/authz/deep/x.rego", "package authz.deep\n\nx if input.metod == \"GET\"\n"),
			Problem{File: "policies/authz/deep/x.rego", Line: 3, Code: "rego_type_error", Message: "input.metod"}},
		{"misspelt input of token", simple().with("policies/token/token.rego", "package token\n\ndecision := {\"allow\": input.grant == \"password\"}\n"),
			Problem{File: "policies/token/token.rego", Line: 3, Code: "rego_type_error", Message: "input.grant"}},
		{"annotated package, misspelt", simple().with(authz, "# METADATA\n# title: Ours\npackage authz\n\ndecision := {\"allow\": true} if input.clams.sub == \"1\"\n"),
			Problem{File: authz, Line: 5, Code: "rego_type_error", Message: "input.clams"}},
		{"http.send", simple().with(authz, "package authz\n\ndecision := {\"allow\": http.send({\"method\": \"GET\", \"url\": \"http://localhost\"}).status_code == 200}\n"),
			Problem{File: authz, Line: 3, Code: "rego_type_error", Message: "http.send: it reaches out"}},
		{"net.lookup_ip_addr", simple().with(authz, "package authz\n\ndecision := {\"allow\": count(net.lookup_ip_addr(\"localhost\")) > 0}\n"),
			Problem{File: authz, Line: 3, Code: "rego_type_error", Message: "net.lookup_ip_addr: it reaches out"}},
		{"opa.runtime", simple().with(authz, "package authz\n\ndecision := opa.runtime()\n"),
			Problem{File: authz, Line: 3, Code: "rego_type_error", Message: "opa.runtime: it reaches out"}},
		{"data under a package's path", simple().with("data/authz.yaml", "authz: {decision: {allow: true}}\n"),
			Problem{File: authz, Line: 3, Code: "rego_compile_error", Message: "conflicting rule for data path authz/decision"}},
		{"yaml does not parse", simple().with("data/routes.yaml", "routes:\n  /a:\n\tGET: {}\n"),
			Problem{File: "data/routes.yaml", Line: 3, Code: CodeData}},
		{"json does not parse", simple().with("data/x.json", "{\n  \"a\": 1,\n  b\n}\n"),
			Problem{File: "data/x.json", Line: 3, Code: CodeData}},
		{"data of another type", simple().with("data/x.json", "[1]\n"),
			Problem{File: "data/x.json", Code: CodeData, Message: "must be of type object"}},
		{"data twice", simple().with("data/x.yaml", "routes: 1\n"),
			Problem{Code: CodeData, Message: "conflicting values at data.routes"}},
		{"routes is a list", simple().with("data/routes.yaml", "routes: [/a]\n"),
			Problem{File: "data/routes.yaml", Line: 1, Code: CodeRoutes, Message: "has to be an object"}},
		{"a route is a string", simple().with("data/routes.yaml", "routes:\n  /a: public\n"),
			Problem{File: "data/routes.yaml", Line: 2, Code: CodeRoutes, Message: `route "/a"`}},
		{"a method has no conditions", simple().with("data/routes.yaml", "routes:\n  /a:\n    GET:\n"),
			Problem{File: "data/routes.yaml", Line: 3, Code: CodeRoutes, Message: "GET has to be an object"}},
		{"a method in lower case", simple().with("data/routes.yaml", "routes:\n  /a:\n    get: {}\n"),
			Problem{File: "data/routes.yaml", Line: 3, Code: CodeRoutes, Message: "write GET instead of get"}},
		{"a malformed pattern", simple().with("data/routes.yaml", "routes:\n  /ok: {GET: {}}\n  /a/{b: {GET: {}}\n"),
			Problem{File: "data/routes.yaml", Line: 3, Code: CodeRoutes, Message: "/a/{b"}},
		{"an ambiguous table", simple().with("data/routes.yaml", "routes:\n  /a/{b}: {GET: {}}\n  /a/{c}: {GET: {}}\n"),
			Problem{File: "data/routes.yaml", Code: CodeRoutes, Message: `"/a/{b}" and "/a/{c}" are ambiguous`}},
		{"routes in a directory", simple().with("data/routes.yaml", "").with("data/routes/all.json", "{\n \"/a\": 1}\n"),
			Problem{File: "data/routes/all.json", Line: 2, Code: CodeRoutes}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refusal := mustRefuse(t, tc.f, Options{})
			for _, p := range refusal.Problems {
				if p.Code == "" || p.Message == "" {
					t.Errorf("problem without code or message: %+v", p)
				}
			}
			if refusal.Revision == "" {
				t.Error("no revision")
			}
			if !slices.ContainsFunc(refusal.Problems, func(p Problem) bool {
				return p.Code == tc.want.Code &&
					(tc.want.File == "" || p.File == tc.want.File) &&
					(tc.want.Line == 0 || p.Line == tc.want.Line) &&
					(tc.want.Got == "" || p.Got == tc.want.Got) &&
					strings.Contains(p.Message, tc.want.Message)
			}) {
				t.Errorf("problems\n got %v\nwant %v", refusal, tc.want)
			}
		})
	}
}

func TestLoadReportsAllProblems(t *testing.T) {
	t.Parallel()
	f := simple().
		with("policies/authz/authz.rego", "package authz\n\ndecision if input.clams\n\nother if input.metod\n").
		with("data/routes.yaml", "routes: 1\n")
	refusal := mustRefuse(t, f, Options{})
	if len(refusal.Problems) != 3 {
		t.Fatalf("problems %v", refusal)
	}
	for i, want := range []string{"data/routes.yaml:1", "policies/authz/authz.rego:3", "policies/authz/authz.rego:5"} {
		if !strings.HasPrefix(refusal.Problems[i].String(), want) {
			t.Errorf("problem %d is %s, want it at %s", i, refusal.Problems[i], want)
		}
	}
}

// What the schemas say of inputs is no constraint for tests, other packages, or
// authors who say it themselves.
func TestSchemasBindOnlyDecidingPackages(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]files{
		"a test package":    simple().with("policies/authz/more_test.rego", "package authz_test\n\ntest_x if not input.clams\n"),
		"another package":   simple().with("policies/other/other.rego", "package other\n\nx if input.clams\n"),
		"a longer name":     simple().with("policies/authzen/authzen.rego", "package authzen\n\nx if input.resource.id\n"),
		"the author's own":  simple().with("policies/authz/own.rego", "package authz\n\n# METADATA\n# schemas:\n#   - input: {type: object, properties: {clams: {type: string}}}\nx if input.clams == \"1\"\n"),
		"an unknown schema": simple().with("policies/other/own.rego", "# METADATA\n# schemas:\n#   - input: schema.mine\npackage other\n\nx if input.clams\n"),
		"several files":     simple().with("policies/authz/two.rego", "# METADATA\n# title: two\npackage authz\n\nx if input.method == \"GET\"\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustLoad(t, f)
		})
	}
}

// The declaration that brings the schemas in must not be seen by the policy.
func TestSchemasLeaveMetadataAlone(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple().with("policies/authz/chain.rego", "package authz\n\nchain := count(rego.metadata.chain())\n"))
	got, err := s.Eval(t.Context(), "authz.chain", nil)
	if err != nil || got != json.Number("1") {
		t.Errorf("chain = %v, %v; want 1, as stock OPA says", got, err)
	}
}

func TestLoadAllowNetwork(t *testing.T) {
	t.Parallel()
	f := simple().with("policies/other/other.rego", "package other\n\nx := opa.runtime()\n")
	if _, err := Load(t.Context(), f.source(), Options{AllowNetwork: true}); err != nil {
		t.Error(err)
	}
}

func TestLoadReportsFailingTests(t *testing.T) {
	t.Parallel()
	const name = "policies/authz/more_test.rego"
	for _, tc := range []struct{ name, text, line, expected, got string }{
		{"equality", "d := {\"status\": 401}\n\ntest_x if {\n\ttrue\n\td.status == 403\n}\n", "7", "403", "401"},
		{"constant first", "d := {\"status\": 401}\n\ntest_x if 403 == d.status\n", "5", "403", "401"},
		{"call", "test_x if count([1, 2]) == 3\n", "3", "3", "2"},
		{"objects", "test_x if {\n\tgot := {\"a\": {1, 2}}\n\twant := {\"a\": {1}}\n\tgot == want\n}\n", "6", `{"a": {1}}`, `{"a": {1, 2}}`},
		{"undefined", "test_x if data.nowhere.x == 1\n", "3", "1", "undefined"},
		{"negation", "d := true\n\ntest_x if not d\n", "5", "not d", "true"},
		{"comparison", "test_x if {\n\tx := 3\n\tx < 2\n}\n", "5", "x < 2", "x = 3"},
		{"every", "test_x if {\n\tevery x in [1, 5] {\n\t\tx == 1\n\t}\n}\n", "5", "1", "5"},
		{"false", "test_x := false\n", "3", "true", "false or undefined"},
		{"with", "test_x if data.authz.decision.status == 200 with input as {\"method\": \"GET\"}\n", "3", "200", "403"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refusal := mustRefuse(t, simple().with(name, "package authz_test\n\n"+tc.text), Options{})
			if len(refusal.Problems) != 1 {
				t.Fatalf("problems %v", refusal)
			}
			p := refusal.Problems[0]
			if p.Code != CodeTestFailed || p.Test != "data.authz_test.test_x" || p.File != name {
				t.Errorf("problem %+v", p)
			}
			if got := strings.SplitN(p.String(), ":", 3)[1]; got != tc.line || p.Expected != tc.expected || p.Got != tc.got {
				t.Errorf("line %s, expected %s, got %s; want line %s, expected %s, got %s", got, p.Expected, p.Got, tc.line, tc.expected, tc.got)
			}
		})
	}
}

func TestLoadReportsCasesAndOutput(t *testing.T) {
	t.Parallel()
	refusal := mustRefuse(t, simple().with("policies/authz/more_test.rego", `package authz_test

test_table[name] if {
	some name, n in {"one": 1, "two": 2, "three": 3}
	print("case", name)
	n == 1
}
`), Options{})
	if p := refusal.Problems[0]; !strings.Contains(p.Message, "in the cases three, two") || !strings.Contains(p.Message, "case two") {
		t.Errorf("problem %s", p)
	}
}

func TestLoadTestDeadline(t *testing.T) {
	t.Parallel()
	refusal := mustRefuse(t, simple().with("policies/authz/authz_test.rego", "").with("policies/authz/slow_test.rego", `package authz_test

test_slow if {
	count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i == j]) == 0
}
`), Options{TestDeadline: 200 * time.Millisecond})
	p := refusal.Problems[0]
	if p.Code != CodeTestTimeout || p.Test != "data.authz_test.test_slow" || p.Line != 3 || !strings.Contains(p.Message, "200ms") {
		t.Errorf("problem %+v", p)
	}
}

func TestLoadTestError(t *testing.T) {
	t.Parallel()
	refusal := mustRefuse(t, simple().with("policies/authz/conflict_test.rego", `package authz_test

f(_) := 1

f(_) := 2

test_conflict if f(0) == 1
`), Options{})
	if p := refusal.Problems[0]; p.Code != CodeTestError || p.Test != "data.authz_test.test_conflict" || !strings.Contains(p.Message, "conflict") {
		t.Errorf("problem %+v", p)
	}
}

// A policy that allows nothing is a policy: it is loaded, denies, and is
// reported.
func TestLoadWarnsOfPoliciesThatAllowNothing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		f    files
		want []string
	}{
		{"empty directories", files{},
			[]string{"missing_entrypoint data.authz.decision", "missing_entrypoint data.authzen.decision", "missing_entrypoint data.token.decision", "no_routes", "no_tests"}},
		{"no allow rule, no tests", files{"policies/authz/a.rego": "package authz\n\ndecision := {\"status\": 403}\n"},
			[]string{"missing_entrypoint data.authzen.decision", "missing_entrypoint data.token.decision", "never_allows data.authz.decision", "no_routes", "no_tests", "wrong_type data.authz.decision"}},
		{"entrypoint of another name", simple().with("policies/authz/authz.rego", "package authz\n\nverdict := {\"allow\": true}\n").with("policies/authz/authz_test.rego", ""),
			[]string{"missing_entrypoint data.authz.decision", "no_tests"}},
		{"data in place of a rule", simple().with("policies/authz/authz.rego", "").with("policies/authz/authz_test.rego", "").with("data/authz.yaml", "authz: {decision: {allow: true}}\n"),
			[]string{"missing_entrypoint data.authz.decision", "no_tests"}},
		{"a string", simple().with("policies/authz/authz.rego", "package authz\n\ndecision := \"allow\"\n").with("policies/authz/authz_test.rego", ""),
			[]string{"no_tests", "wrong_type data.authz.decision"}},
		{"undefined", simple().with("policies/authz/authz.rego", "package authz\n\ndecision := {\"allow\": true} if input.method == \"BREW\"\n").with("policies/authz/authz_test.rego", ""),
			[]string{"no_tests", "undefined data.authz.decision"}},
		{"nothing wrong", simple(), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, tc.f)
			for range 3 { // each warning once
				d, err := s.Decide(t.Context(), request("stagehand"))
				if err != nil || d.Allow || d.Revision != s.Revision() {
					t.Errorf("Decide = %+v, %v; want a denial", d, err)
				}
			}
			if got := warningCodes(s.Warnings()); !slices.Equal(got, tc.want) {
				t.Errorf("warnings %v, want %v", got, tc.want)
			}
			if _, ok := s.Match("", []string{"nowhere"}); ok {
				t.Error("an undeclared path matched")
			}
		})
	}
}

func TestSnapshotRoutes(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple().with("data/routes.yaml", "routes:\n  /a: {summary: an a, POST: {}, GET: {}}\n  /b/{id}: {PUT: {}}\n  /c: {HEAD: {}, GET: {}}\n"))
	if got := s.Routes(); !slices.Equal(got, []string{"/a", "/b/{id}", "/c"}) {
		t.Errorf("routes %v", got)
	}
	for pattern, want := range map[string][]string{
		"/a": {"GET", "HEAD", "POST"}, "/b/{id}": {"PUT"}, "/c": {"GET", "HEAD"}, "/d": nil,
	} {
		if got := s.Methods(pattern); !slices.Equal(got, want) {
			t.Errorf("methods of %s: %v, want %v", pattern, got, want)
		}
	}
	m, ok := s.Match("", []string{"b", "7"})
	if !ok || m.Pattern != "/b/{id}" || m.Params["id"] != "7" {
		t.Errorf("Match = %+v, %v", m, ok)
	}
}

func TestPrintReachesTheDebugLog(t *testing.T) {
	t.Parallel()
	f := simple().with("policies/authz/authz.rego", "package authz\n\ndecision := {\"allow\": true} if print(\"deciding\", input.method)\n").with("policies/authz/authz_test.rego", "")
	for _, tc := range []struct {
		level slog.Level
		want  bool
	}{{slog.LevelDebug, true}, {slog.LevelInfo, false}} {
		log, out := logger(tc.level)
		s, err := Load(t.Context(), f.source(), Options{Logger: log, Deadline: patient})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := s.Decide(t.Context(), request()); err != nil || !d.Allow {
			t.Fatalf("Decide = %+v, %v", d, err)
		}
		if got := strings.Contains(out.String(), `message="deciding GET" file=policies/authz/authz.rego line=3`); got != tc.want {
			t.Errorf("at %s the print is logged: %v, want %v\n%s", tc.level, got, tc.want, out)
		}
	}
}

func TestLoadCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, simple().source(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Load with a context that ended = %v", err)
	}
}
