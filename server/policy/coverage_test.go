package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestTest(t *testing.T) {
	t.Parallel()
	f := files{
		"policies/authz/authz.rego": `package authz

default decision := {"allow": false}

decision := {"allow": true} if {
	input.method == "GET"
	input.host == "a"
}

unused if {
	input.path == "/"
}
`,
		"policies/authz/authz_test.rego": `package authz_test

import data.authz

test_get if {
	print("asked")
	authz.decision.allow with input as {"method": "GET", "host": "a"}
}

test_fails if authz.decision == {"allow": true} with input as {}

todo_test_later if false
`,
	}
	report, err := Test(t.Context(), f.source(), Options{}, TestOptions{Coverage: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range report.Tests {
		got = append(got, r.Name+" "+string(r.Outcome))
	}
	want := []string{"data.authz_test.test_get passed", "data.authz_test.test_fails failed", "data.authz_test.todo_test_later skipped"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("tests %v, want %v", got, want)
	}
	if report.OK() || report.Counts.Total != 3 || report.Counts.Passed != 1 || report.Counts.Failed != 1 || report.Counts.Skipped != 1 {
		t.Errorf("counts %+v, OK %v", report.Counts, report.OK())
	}
	if report.Tests[0].Output != "asked" || report.Tests[0].Line != 5 || report.Tests[0].File != "policies/authz/authz_test.rego" {
		t.Errorf("result %+v", report.Tests[0])
	}
	if p := report.Tests[1].Problem; p == nil || p.Expected != `{"allow": true}` || p.Got != `{"allow": false}` || p.Line != 10 {
		t.Errorf("problem %+v", p)
	}
	c := report.Coverage
	if c == nil || len(c.Files) != 2 || c.Percent <= 0 || c.Percent >= 100 || c.CoveredLines == 0 || c.NotCoveredLines == 0 {
		t.Fatalf("coverage %+v", c)
	}
	if a := c.Files[0]; a.File != "policies/authz/authz.rego" || !reflect.DeepEqual(a.NotCovered, []LineRange{{10, 11}}) {
		t.Errorf("coverage of the policy %+v", a)
	}

	one, err := Test(t.Context(), f.source(), Options{}, TestOptions{Run: "test_get$"})
	if err != nil || len(one.Tests) != 1 || !one.OK() || one.Coverage != nil {
		t.Errorf("one test: %+v, %v", one, err)
	}
	if _, err := Test(t.Context(), f.source(), Options{}, TestOptions{Run: "("}); err == nil || !strings.Contains(err.Error(), "select tests") {
		t.Errorf("a broken selection: %v", err)
	}
	var refusal *LoadError
	if _, err := Test(t.Context(), f.with("policies/authz/x.rego", "package").source(), Options{}, TestOptions{}); !errors.As(err, &refusal) {
		t.Errorf("a policy that does not parse: %v", err)
	}
	none, err := Test(t.Context(), files{}.source(), Options{}, TestOptions{Coverage: true})
	if err != nil || !none.OK() || none.Coverage == nil || none.Coverage.Percent != 100 {
		t.Errorf("no policy: %+v, %v", none, err)
	}
}

func TestLineRangeString(t *testing.T) {
	t.Parallel()
	for r, want := range map[LineRange]string{{7, 7}: "7", {7, 9}: "7-9"} {
		if got := r.String(); got != want {
			t.Errorf("%v is %s", r, got)
		}
	}
}
