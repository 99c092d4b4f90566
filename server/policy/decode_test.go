package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// answering is a policy whose entrypoints answer with a Rego expression.
func answering(expression string) files {
	return files{
		"policies/authz/authz.rego": "package authz\n\ndecision := " + expression + "\n",
		"policies/token/token.rego": "package token\n\ndecision := " + expression + "\n",
	}
}

func TestDecideReadsAnswersStrictly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		answer string
		want   authz.Decision
		wrong  string // part of the warning; empty for none
	}{
		{`{"allow": true}`, authz.Decision{Allow: true}, ""},
		{`{"allow": false, "status": 404}`, authz.Decision{Status: 404}, ""},
		{`{"allow": true, "status": 200}`, authz.Decision{Allow: true}, ""},
		{`{"allow": false, "status": 503}`, authz.Decision{}, ""},
		{`{"allow": false, "reasons": [{"code": "b", "message": "B"}, {"code": "a", "message": "A", "more": 1}], "needs": {"scope": ["y", "x"]}}`,
			authz.Decision{Reasons: []authz.Reason{{Code: "b", Message: "B"}, {Code: "a", Message: "A"}}, Needs: authz.Needs{Scope: []string{"y", "x"}}}, ""},
		{`{"allow": false, "reasons": {{"code": "b", "message": "B"}, {"code": "a", "message": "A"}}, "needs": {"scope": {"y", "x"}}}`,
			authz.Decision{Reasons: []authz.Reason{{Code: "a", Message: "A"}, {Code: "b", Message: "B"}}, Needs: authz.Needs{Scope: []string{"x", "y"}}}, ""},
		{`{"allow": true, "headers": {"X-Tenant": "acme", "x-list": ["a", "b"], "x-none": []}}`,
			authz.Decision{Allow: true, Headers: map[string][]string{"x-tenant": {"acme"}, "x-list": {"a", "b"}, "x-none": {}}}, ""},
		{`{"allow": true, "obligation": "unknown members are the author's"}`, authz.Decision{Allow: true}, ""},

		{`true`, authz.Decision{}, "the answer is a boolean, not an object"},
		{`"allow"`, authz.Decision{}, "the answer is a string"},
		{`["allow"]`, authz.Decision{}, "the answer is an array"},
		{`{"allow"}`, authz.Decision{}, "the answer is a set"},
		{`null`, authz.Decision{}, "the answer is a null"},
		{`{}`, authz.Decision{}, "no member allow"},
		{`{"allow": "true"}`, authz.Decision{}, "allow is a string"},
		{`{"allow": 1}`, authz.Decision{}, "allow is a number"},
		{`{"allow": null}`, authz.Decision{}, "allow is a null"},
		{`{"allow": [true]}`, authz.Decision{}, "allow is an array"},
		{`{"Allow": true}`, authz.Decision{}, "no member allow"},
		{`{"allow": false, "status": "403"}`, authz.Decision{}, "status is a string"},
		{`{"allow": false, "status": 403.5}`, authz.Decision{}, "status is 403.5"},
		{`{"allow": false, "status": 1e400}`, authz.Decision{}, "status is"},
		{`{"allow": true, "reasons": "none"}`, authz.Decision{}, "reasons is a string"},
		{`{"allow": true, "reasons": ["x"]}`, authz.Decision{}, "reasons[0] is a string"},
		{`{"allow": false, "status": 401, "reasons": [{"code": 1, "message": "x"}]}`, authz.Decision{Status: 401}, "reasons[0] has no code"},
		{`{"allow": true, "needs": ["x"]}`, authz.Decision{}, "needs is an array"},
		{`{"allow": true, "needs": {"scope": "x"}}`, authz.Decision{}, "scope is a string"},
		{`{"allow": true, "needs": {"scope": [1]}}`, authz.Decision{}, "scope[0] is a number"},
		{`{"allow": true, "headers": ["x"]}`, authz.Decision{}, "headers is an array"},
		{`{"allow": true, "headers": {"x-a": 1}}`, authz.Decision{}, "x-a is a number"},
		{`{"allow": true, "headers": {"x-a": "b\r\nx-c: d"}}`, authz.Decision{}, "line break"},
		{`{"allow": true, "headers": {"x a": "b"}}`, authz.Decision{}, "can't set"},
		{`{"allow": true, "headers": {"": "b"}}`, authz.Decision{}, "can't set"},
		{`{"allow": true, "headers": {"Authorization": "b"}}`, authz.Decision{}, "can't set"},
		{`{"allow": true, "headers": {"HOST": "b"}}`, authz.Decision{}, "can't set"},
		{`{"allow": true, "headers": {"Transfer-Encoding": "b"}}`, authz.Decision{}, "can't set"},
		{`{"allow": true, "headers": {"X-A": "b", "x-a": "c"}}`, authz.Decision{}, "two spellings"},
	} {
		t.Run(tc.answer, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, answering(tc.answer))
			got, err := s.Decide(t.Context(), request())
			tc.want.Revision = s.Revision()
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("Decide\n got %+v, %v\nwant %+v", got, err, tc.want)
			}
			checkWrong(t, s, entrypointAuthz, tc.wrong)
		})
	}
}

// checkWrong checks that a wrongly typed answer was reported, or none was.
func checkWrong(t *testing.T, s *Snapshot, e entrypoint, wrong string) {
	t.Helper()
	at := slices.IndexFunc(s.Warnings(), func(w Warning) bool { return w.Code == WarnWrongType && w.Entrypoint == e.String() })
	switch {
	case wrong == "" && at >= 0:
		t.Errorf("warning %q", s.Warnings()[at].Message)
	case wrong != "" && at < 0:
		t.Errorf("no warning of %q", wrong)
	case wrong != "" && !strings.Contains(s.Warnings()[at].Message, wrong):
		t.Errorf("warning %q, want %q in it", s.Warnings()[at].Message, wrong)
	}
}

func TestDecideGrantReadsAnswersStrictly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		answer string
		want   authz.Grant
		wrong  string
	}{
		{`{"allow": true, "scope": ["b", "a", "b"], "lifetime": {"access_token": 1800}, "audience": ["https://api"], "claims": {"tier": "gold", "n": 9007199254740993, "list": [1]}}`,
			authz.Grant{Allow: true, Scope: []string{"a", "b"}, AccessTokenLifetime: 30 * time.Minute, Audience: []string{"https://api"},
				Claims: map[string]any{"tier": "gold", "n": json.Number("9007199254740993"), "list": []any{json.Number("1")}}}, ""},
		{`{"allow": true, "scope": {"b", "a"}, "lifetime": {"access_token": 60 * 30}}`,
			authz.Grant{Allow: true, Scope: []string{"a", "b"}, AccessTokenLifetime: 30 * time.Minute}, ""},
		{`{"allow": true, "scope": []}`, authz.Grant{Allow: true, Scope: []string{}}, ""},
		{`{"allow": false, "reasons": [{"code": "invalid_scope", "message": "no"}]}`,
			authz.Grant{Reasons: []authz.Reason{{Code: "invalid_scope", Message: "no"}}}, ""},

		{`{"allow": "yes"}`, authz.Grant{}, "allow is a string"},
		{`{"allow": true, "scope": "a b"}`, authz.Grant{}, "scope is a string"},
		{`{"allow": true, "scope": ["a b"]}`, authz.Grant{}, "no scope token"},
		{`{"allow": true, "scope": ["é"]}`, authz.Grant{}, "no scope token"},
		{`{"allow": true, "scope": [""]}`, authz.Grant{}, "no scope token"},
		{`{"allow": true, "lifetime": 1800}`, authz.Grant{}, "lifetime is a number"},
		{`{"allow": true, "lifetime": {"access_token": 60, "refresh_token": 3600, "refresh_token_idle": 600}}`,
			authz.Grant{Allow: true, AccessTokenLifetime: time.Minute, RefreshLifetime: time.Hour, RefreshIdle: 10 * time.Minute}, ""},
		{`{"allow": true, "lifetime": {"refresh_token": "1800"}}`, authz.Grant{}, "refresh_token is a string"},
		{`{"allow": true, "lifetime": {"refresh_token": 60, "refresh_token_idle": 0}}`, authz.Grant{RefreshLifetime: time.Minute}, "refresh_token_idle is 0"},
		{`{"allow": true, "lifetime": {"access_token": "1800"}}`, authz.Grant{}, "access_token is a string"},
		{`{"allow": true, "lifetime": {"access_token": 0}}`, authz.Grant{}, "access_token is 0"},
		{`{"allow": true, "lifetime": {"access_token": -5}}`, authz.Grant{}, "access_token is -5"},
		{`{"allow": true, "lifetime": {"access_token": 1e30}}`, authz.Grant{}, "access_token is 1e30"},
		{`{"allow": true, "audience": "x"}`, authz.Grant{}, "audience is a string"},
		{`{"allow": true, "claims": ["x"]}`, authz.Grant{}, "claims is an array"},
		{`{"allow": true, "claims": {1: "x"}}`, authz.Grant{}, "claims has a key"},
	} {
		t.Run(tc.answer, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, answering(tc.answer))
			got, err := s.DecideGrant(t.Context(), &authz.GrantRequest{GrantType: "password"})
			tc.want.Revision = s.Revision()
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("DecideGrant\n got %+v, %v\nwant %+v", got, err, tc.want)
			}
			checkWrong(t, s, entrypointToken, tc.wrong)
		})
	}
}
