package policy

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	carol := &authz.Request{
		Method: "GET", Path: "/x", Now: time.Now(), Subject: &authz.Subject{Kind: authz.KindAccount, ID: "1", Roles: []string{"a"}},
		Claims: &authz.Claims{Values: map[string]any{"scope": "x y"}},
	}
	for _, test := range []struct{ name, rule, want, warning string }{
		{"no rule", ``, "", ""},
		{"a set", `scopes contains s if some s in split(input.claims.scope, " ")`, "x y", ""},
		{"a list", `scopes := ["b", "a", "b"]`, "a b", ""},
		{"undefined", `scopes := ["a"] if input.method == "PUT"`, "", WarnUndefined},
		{"a text", `scopes := "a b"`, "", WarnWrongType},
		{"two scopes in one", `scopes := ["a b"]`, "", WarnWrongType},
		{"a number", `scopes := [1]`, "", WarnWrongType},
		{"a conflict", "scopes := [`a`] if input.method\n\nscopes := [`b`] if input.path", "", WarnEvaluation},
	} {
		for _, cached := range []int64{-1, 0} {
			s, err := Load(t.Context(), simple().with("policies/authz/scopes.rego", "package authz\n\n"+test.rule+"\n").source(), Options{CacheBytes: cached, Deadline: patient})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := s.Scopes(t.Context(), carol)
				if got != test.want || (err != nil) != (test.warning == WarnEvaluation) {
					t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
				}
			}
			if test.warning != "" && !warned(s, test.warning, "data.authz.scopes") {
				t.Errorf("%s: warnings %v", test.name, s.Warnings())
			}
		}
	}
}

// TestScopesAreKeptForThoseWhomThePolicyCannotTellApart, and for nobody else.
func TestScopesAreKeptForThoseWhomThePolicyCannotTellApart(t *testing.T) {
	t.Parallel()
	s, err := Load(t.Context(), simple().with("policies/authz/scopes.rego",
		"package authz\n\nscopes contains s if {\n\tsome s in split(input.claims.scope, \" \")\n\ts in data.carried[input.subject.roles[_]]\n}\n").
		with("data/carried.yaml", "carried: {a: [x], b: [x, y]}\n").source(), Options{Deadline: patient})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, c := range []struct{ role, scope, want string }{{"a", "x y", "x"}, {"b", "x y", "x y"}, {"b", "x", "x"}, {"c", "x y", ""}} {
			got, err := s.Scopes(t.Context(), &authz.Request{
				Method: "GET", Now: time.Now(), Subject: &authz.Subject{Kind: authz.KindAccount, ID: "1", Roles: []string{c.role}},
				Claims: &authz.Claims{Values: map[string]any{"scope": c.scope}},
			})
			if err != nil || got != c.want {
				t.Errorf("%+v: %q, %v", c, got, err)
			}
		}
	}
}
