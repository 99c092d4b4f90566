package policy

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// accessPolicy is the simple policy with a package authzen of its own.
func accessPolicy(rules string) files {
	return simple().with("policies/authzen/authzen.rego", "package authzen\n\n"+rules+"\n")
}

func loadAccess(t *testing.T, rules string, o Options) *Snapshot {
	t.Helper()
	s, err := Load(t.Context(), accessPolicy(rules).source(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func warned(s *Snapshot, code, about string) bool {
	return slices.ContainsFunc(s.Warnings(), func(w Warning) bool { return w.Code == code && w.Entrypoint == about })
}

func TestDecideAccess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, rules string
		allow       bool
		warning     string
	}{
		{"true", "decision := true", true, ""},
		{"false", "decision := false", false, ""},
		{"allow", `decision := {"allow": true}`, true, ""},
		{"allow is false", `decision := {"allow": false, "reasons": [{"code": "a", "message": "b"}]}`, false, ""},
		{"a string", `decision := "true"`, false, "wrong_type"},
		{"a number", `decision := 1`, false, "wrong_type"},
		{"allow is a string", `decision := {"allow": "true"}`, false, "wrong_type"},
		{"no allow", `decision := {"decision": true}`, false, "wrong_type"},
		{"reasons are a string", `decision := {"allow": true, "reasons": "x"}`, false, "wrong_type"},
		{"context is a string", `decision := {"allow": true, "context": "x"}`, false, "wrong_type"},
		{"undefined", `decision if input.action.name == "burn"`, false, "undefined"},
		{"another name", `allow := true`, false, "missing_entrypoint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := loadAccess(t, test.rules, Options{})
			got, err := s.DecideAccess(t.Context(), &authz.AccessRequest{})
			if err != nil || got.Allow != test.allow || got.Revision != s.Revision() {
				t.Errorf("%+v, %v", got, err)
			}
			if test.warning != "" && !warned(s, test.warning, "data.authzen.decision") {
				t.Errorf("warnings %v", s.Warnings())
			}
			if test.warning == "" && len(s.Warnings()) > 0 {
				t.Errorf("warnings %v", s.Warnings())
			}
		})
	}
}

func TestAccessInputIsTheCallersQuestion(t *testing.T) {
	t.Parallel()
	s := loadAccess(t, `decision := {"allow": false, "reasons": [{"code": "x", "message": "y"}], "context": {"input": input}}`, Options{})
	for _, text := range []string{
		`{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"page","id":"p"}}`,
		`{"subject":{"type":"","id":""},"action":{"name":""},"resource":{"type":"","id":""}}`,
		`{"subject":{"type":"u","id":"a","properties":{}},"action":{"name":"n","properties":{"soft":true}},` +
			`"resource":{"type":"t","id":"p","properties":{"big":12345678901234567890,"none":null,"deep":[{"a":["b"]}]}},"context":{"time":1.50}}`,
	} {
		var question struct {
			Subject, Resource authz.Entity
			Action            authz.Action
			Context           map[string]any
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&question); err != nil {
			t.Fatal(err)
		}
		r := authz.AccessRequest{Subject: question.Subject, Resource: question.Resource, Action: question.Action, Context: question.Context}
		got, err := s.DecideAccess(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Reasons, []authz.Reason{{Code: "x", Message: "y"}}) {
			t.Errorf("reasons %v", got.Reasons)
		}
		var want any
		decoder = json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Context["input"], want) {
			t.Errorf("the policy saw\n%v, want\n%v", got.Context["input"], want)
		}
	}
}

func TestAccessWithoutAnAnswerIsAnError(t *testing.T) {
	t.Parallel()
	forever := `decision if {
	some i in numbers.range(1, 3000)
	some j in numbers.range(1, 3000)
	i * j == -1
}

entities := {"actions": [i | some i in numbers.range(1, 3000); some j in numbers.range(1, 3000); i * j == -1]}`
	s := loadAccess(t, forever, Options{Deadline: time.Millisecond})
	if got, err := s.DecideAccess(t.Context(), &authz.AccessRequest{}); !errors.Is(err, ErrDeadline) || got.Allow {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := s.Entities(t.Context()); !errors.Is(err, ErrDeadline) || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if !warned(s, WarnDeadline, "data.authzen.decision") || !warned(s, WarnDeadline, "data.authzen.entities") {
		t.Errorf("warnings %v", s.Warnings())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.DecideAccess(ctx, &authz.AccessRequest{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWithoutPackageAuthzenAllIsDenied(t *testing.T) {
	t.Parallel()
	s, err := Load(t.Context(), simple().with("policies/authzen/authzen.rego", "").source(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.DecideAccess(t.Context(), &authz.AccessRequest{})
	if err != nil || got.Allow || !warned(s, WarnMissingEntrypoint, "data.authzen.decision") {
		t.Errorf("%+v, %v, warnings %v", got, err, s.Warnings())
	}
	if e, err := s.Entities(t.Context()); err != nil || !reflect.DeepEqual(e, &authz.Entities{}) {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestEntities(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, rule string
		want       authz.Entities
		wrong      bool
	}{
		{"objects", `{"subjects": {"user": {"b": {}, "a": {"x": 1}}}, "resources": {"page": {}}, "actions": {"write": {}, "read": {}}}`,
			authz.Entities{Subjects: map[string][]string{"user": {"a", "b"}}, Resources: map[string][]string{"page": nil}, Actions: []string{"read", "write"}}, false},
		{"lists and sets", `{"subjects": {"user": ["b", "a", "b"]}, "resources": {"page": {"q", "p"}}, "actions": ["write", "read"]}`,
			authz.Entities{Subjects: map[string][]string{"user": {"a", "b"}}, Resources: map[string][]string{"page": {"p", "q"}}, Actions: []string{"read", "write"}}, false},
		{"nothing", `{}`, authz.Entities{}, false},
		{"more than is known", `{"more": 1, "actions": []}`, authz.Entities{}, false},
		{"a string", `"x"`, authz.Entities{}, true},
		{"subjects without a type", `{"subjects": ["a"]}`, authz.Entities{}, true},
		{"ids that are numbers", `{"subjects": {"user": [1]}}`, authz.Entities{}, true},
		{"a type that is a number", `{"subjects": {1: ["a"]}}`, authz.Entities{}, true},
		{"actions that are a string", `{"actions": "read"}`, authz.Entities{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := loadAccess(t, "decision := true\n\nentities := "+test.rule, Options{})
			got, err := s.Entities(t.Context())
			if err != nil || !reflect.DeepEqual(got, &test.want) {
				t.Errorf("%+v, %v", got, err)
			}
			if warned(s, WarnWrongType, "data.authzen.entities") != test.wrong {
				t.Errorf("warnings %v", s.Warnings())
			}
			if again, _ := s.Entities(t.Context()); again != got {
				t.Error("found out twice")
			}
		})
	}
}

// A misspelt member is found before the policy goes live.
func TestAccessInputIsTypeChecked(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"decision if input.subjct.id", "decision if input.subject.nam", "decision if input.now"} {
		if _, err := Load(t.Context(), accessPolicy(rule).source(), Options{}); err == nil {
			t.Errorf("%s was loaded", rule)
		}
	}
}

func TestEntitiesThatReadTheInput(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]bool{
		"entities := data.things":                                          false,
		"entities := {\"actions\": [\"read\"]}":                            false,
		"entities[\"subjects\"] := {input.subject.type: [\"a\"]}":          true,
		"entities := {\"actions\": names}\n\nnames := [input.action.name]": true,
	} {
		s := loadAccess(t, "decision := true\n\n"+rules, Options{})
		if got := warned(s, WarnReadsInput, "data.authzen.entities"); got != want {
			t.Errorf("%s: warnings %v", rules, s.Warnings())
		}
	}
}

// What is shared by questions is made into a value once, and never taken for another's.
func TestQuestionsThatShareProperties(t *testing.T) {
	t.Parallel()
	s := loadAccess(t, `decision := {"allow": true, "context": {"seen": [input.subject.properties.a, input.resource.properties.a, input.context.a]}}`, Options{})
	questions := s.AccessQuestions()
	shared := map[string]any{"a": "shared"}
	for i := range 50 {
		own := map[string]any{"a": json.Number(strconv.Itoa(i))}
		got, err := questions.Decide(t.Context(), &authz.AccessRequest{
			Subject: authz.Entity{Properties: shared}, Resource: authz.Entity{Properties: own}, Context: shared,
		})
		want := map[string]any{"seen": []any{"shared", own["a"], "shared"}}
		if err != nil || !reflect.DeepEqual(got.Context, want) {
			t.Fatalf("%v, %v, want %v", got.Context, err, want)
		}
	}
	if len(questions.made) != 51 {
		t.Errorf("%d values were made", len(questions.made))
	}
}
