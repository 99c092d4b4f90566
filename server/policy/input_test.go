package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// fullRequest has every member set.
func fullRequest() *authz.Request {
	return &authz.Request{
		Method: "GET", Host: "api.example.com", Path: "/items/42", Segments: []string{"items", "42"},
		Route: "/items/{id}", Params: map[string]string{"id": "42"},
		Query:     map[string][]string{"q": {"x", "y"}, "none": {}},
		Headers:   map[string][]string{"x-tenant": {"acme"}},
		Preflight: "DELETE",
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: "01J", Username: "carol", Roles: []string{"r1", "r2"},
			Scopes: []string{"s1"}, Issuer: "https://other.example",
			Attributes: map[string]any{"level": json.Number("7")}},
		Claims:     &authz.Claims{Values: map[string]any{"sub": "01J", "n": json.Number("9007199254740993")}},
		Resource:   map[string]any{"type": "item", "tags": []any{"a"}},
		TokenError: authz.TokenExpired,
		ClientIP:   "203.0.113.7",
		Now:        time.Date(2026, 11, 23, 18, 31, 0, 5, time.FixedZone("", 3600)),
	}
}

func TestInput(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple())
	full := fullRequest()
	prepared := fullRequest()
	prepared.Claims.Prepared = PrepareClaims(prepared.Claims.Values)
	prepared.Claims.Values = nil
	if _, ok := prepared.Claims.Prepared.(*preparedClaims); !ok {
		t.Fatalf("PrepareClaims made a %T", prepared.Claims.Prepared)
	}
	prepared.Subject.Prepared = PrepareSubject(prepared.Subject)
	*prepared.Subject = authz.Subject{Prepared: prepared.Subject.Prepared}
	const want = `{"claims":{"n":9007199254740993,"sub":"01J"},"client_ip":"203.0.113.7","headers":{"x-tenant":["acme"]},"host":"api.example.com","method":"GET","now":"2026-11-23T17:31:00Z","params":{"id":"42"},"path":"/items/42","preflight":"DELETE","query":{"none":[],"q":["x","y"]},"resource":{"tags":["a"],"type":"item"},"route":"/items/{id}","segments":["items","42"],"subject":{"attributes":{"level":7},"disabled":false,"id":"01J","issuer":"https://other.example","kind":"account","roles":["r1","r2"],"scopes":["s1"],"username":"carol"},"token_error":"expired"}`
	for _, tc := range []struct {
		name string
		r    *authz.Request
		want string
	}{
		{"full", full, want},
		{"prepared claims and subject", prepared, want},
		{"empty members are left out", &authz.Request{Method: "GET", Segments: []string{""}}, `{"method":"GET","segments":[""]}`},
		{"an empty subject", &authz.Request{Subject: &authz.Subject{Kind: authz.KindExternal, ID: "x", Disabled: true}, Claims: &authz.Claims{}},
			`{"claims":{},"subject":{"attributes":{},"disabled":true,"id":"x","kind":"external","roles":[],"scopes":[]}}`},
		{"an account carries no scopes of its own", &authz.Request{Subject: &authz.Subject{Kind: authz.KindAccount, ID: "x"}, Claims: &authz.Claims{}},
			`{"claims":{},"subject":{"attributes":{},"disabled":false,"id":"x","kind":"account","roles":[]}}`},
		{"a resource without facts", &authz.Request{Resource: map[string]any{}}, `{"resource":{}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			input, err := s.Input(tc.r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(input)
			if err != nil || string(got) != tc.want {
				t.Errorf("input\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

// A policy that reads a member gets it, whatever else is left out for it.
func TestInputOfAPolicy(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, simple())
	whole, err := authzInput(fullRequest())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"all"}
	for _, k := range whole.(ast.Object).Keys() {
		names = append(names, string(k.Value.(ast.String)))
	}
	if len(names) != 1+15 {
		t.Fatalf("the full request has %v", names)
	}
	for _, name := range names {
		read := readSet{{name, "x"}}
		if name == "all" {
			read = readSet{{}}
		}
		got, err := newInputs(read, s.routes.patterns).authz(fullRequest())
		if err != nil {
			t.Fatal(err)
		}
		if name == "all" {
			if got.Compare(whole) != 0 {
				t.Errorf("a policy that reads everything gets %s, not %s", got, whole)
			}
			continue
		}
		key := ast.StringTerm(name)
		if got, want := got.(ast.Object).Get(key), whole.(ast.Object).Get(key); !got.Equal(want) {
			t.Errorf("a policy that reads %s gets %s, not %s", name, got, want)
		}
	}
	// Through a policy: a rule that is given the input as a whole sees all of it.
	s = mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": true, \"headers\": {\"x-input\": json.marshal(seen)}} if {\n\tseen := input\n\tcount(seen) > 0\n}\n"})
	d, err := s.Decide(t.Context(), fullRequest())
	if err != nil {
		t.Fatal(err)
	}
	var seen any
	decoder := json.NewDecoder(strings.NewReader(d.Headers["x-input"][0]))
	decoder.UseNumber()
	if err := decoder.Decode(&seen); err != nil {
		t.Fatal(err)
	}
	if v, err := ast.InterfaceToValue(seen); err != nil || v.Compare(whole) != 0 {
		t.Errorf("the policy saw %s, want %s", v, whole)
	}
	s = mustLoad(t, files{"policies/authz/authz.rego": "package authz\n\ndecision := {\"allow\": input.client_ip == \"203.0.113.7\", \"headers\": {\"x-path\": input.path}}\n"})
	if d, err := s.Decide(t.Context(), fullRequest()); err != nil || !d.Allow || d.Headers["x-path"][0] != "/items/42" {
		t.Errorf("Decide = %+v, %v", d, err)
	}
}

func TestPrepareSubjectRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	if v := PrepareSubject(&authz.Subject{Attributes: map[string]any{"x": make(chan int)}}); v != nil {
		t.Errorf("PrepareSubject = %v", v)
	}
}

func TestTokenInput(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		r    authz.GrantRequest
		want string
	}{
		{"full", authz.GrantRequest{GrantType: "password", Subject: &authz.Subject{Kind: authz.KindAccount, ID: "1"},
			Client:  &authz.GrantClient{ID: "app", Confidential: true, Grants: []string{"g"}, Scopes: []string{"s"}, Audiences: []string{"u"}, Disabled: true},
			Session: &authz.GrantSession{Scope: []string{"a"}, Audience: []string{"b"}, AuthTime: time.Unix(60, 0)},
			Scope:   []string{"a"}, Audience: []string{"b"}, AMR: []string{"pwd"}, ClientIP: "::1", Now: time.Unix(0, 0)},
			`{"amr":["pwd"],"audience":["b"],"client":{"audiences":["u"],"confidential":true,"disabled":true,"grants":["g"],"id":"app","scopes":["s"]},"client_ip":"::1","grant_type":"password","now":"1970-01-01T00:00:00Z","scope":["a"],"session":{"audience":["b"],"auth_time":"1970-01-01T00:01:00Z","scope":["a"]},"subject":{"attributes":{},"disabled":false,"id":"1","kind":"account","roles":[]}}`},
		{"nothing requested", authz.GrantRequest{GrantType: "password"}, `{"amr":[],"grant_type":"password"}`},
		{"a client without anything", authz.GrantRequest{Client: &authz.GrantClient{}, Session: &authz.GrantSession{}},
			`{"amr":[],"client":{"audiences":[],"confidential":false,"disabled":false,"grants":[],"scopes":[]},"session":{"audience":[],"scope":[]}}`},
		{"an empty scope requested", authz.GrantRequest{Scope: []string{}}, `{"amr":[],"scope":[]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, err := tokenInput(&tc.r)
			if err != nil {
				t.Fatal(err)
			}
			input, err := ast.JSON(v)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(input); err != nil || string(got) != tc.want {
				t.Errorf("input\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}
