package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy/schema"
)

// change is a request's change in one member of the input.
type change struct {
	path string // of the member, or of what of it changes
	to   string
	make func(*authz.Request) // the request and its subject may be changed in place
}

// changes are those of every member: to another value, and to absent, null, false
// or empty where there is such a thing.
func changes() []change {
	var list []change
	add := func(path, to string, make func(*authz.Request)) { list = append(list, change{path, to, make}) }
	text := func(path string, set func(*authz.Request, string)) {
		add(path, "another", func(r *authz.Request) { set(r, "another") })
		add(path, "absent", func(r *authz.Request) { set(r, "") })
	}
	text("method", func(r *authz.Request, s string) { r.Method = s })
	add("method", "POST", func(r *authz.Request) { r.Method = "POST" })
	text("host", func(r *authz.Request, s string) { r.Host = s })
	text("path", func(r *authz.Request, s string) { r.Path = s })
	add("segments", "another", func(r *authz.Request) { r.Segments = []string{"another"} })
	add("segments", "empty text", func(r *authz.Request) { r.Segments = []string{""} })
	add("segments", "absent", func(r *authz.Request) { r.Segments = nil })
	text("route", func(r *authz.Request, s string) { r.Route = s })
	add("route", "declared", func(r *authz.Request) { r.Route = "/b/{id}" })
	for _, id := range []string{"another", ""} {
		add("params.id", id, func(r *authz.Request) { r.Params = map[string]string{"id": id} })
	}
	add("params.id", "gone", func(r *authz.Request) { r.Params = map[string]string{"other": "x"} })
	add("params", "absent", func(r *authz.Request) { r.Params = nil })
	lists := func(name, member string, set func(*authz.Request, map[string][]string)) {
		for to, values := range map[string][]string{"another": {"another"}, "empty text": {""}, "empty": {}, "two": {"x", "y"}} {
			add(name+"."+member, to, func(r *authz.Request) { set(r, map[string][]string{member: values}) })
		}
		add(name+"."+member, "gone", func(r *authz.Request) { set(r, map[string][]string{"other": {"x"}}) })
		add(name, "absent", func(r *authz.Request) { set(r, nil) })
	}
	lists("query", "q", func(r *authz.Request, m map[string][]string) { r.Query = m })
	lists("headers", "x-h", func(r *authz.Request, m map[string][]string) { r.Headers = m })
	text("preflight", func(r *authz.Request, s string) { r.Preflight = s })
	text("subject.kind", func(r *authz.Request, s string) { r.Subject.Kind = authz.SubjectKind(s) })
	text("subject.id", func(r *authz.Request, s string) { r.Subject.ID = s })
	text("subject.username", func(r *authz.Request, s string) { r.Subject.Username = s })
	add("subject.roles", "another", func(r *authz.Request) { r.Subject.Roles = []string{"another"} })
	add("subject.roles", "empty", func(r *authz.Request) { r.Subject.Roles = nil })
	add("subject.scopes", "another", func(r *authz.Request) { r.Subject.Scopes = []string{"another"} })
	add("subject.scopes", "empty", func(r *authz.Request) { r.Subject.Scopes = []string{} })
	add("subject.scopes", "absent", func(r *authz.Request) { r.Subject.Scopes = nil })
	text("subject.issuer", func(r *authz.Request, s string) { r.Subject.Issuer = s })
	add("subject.disabled", "the other", func(r *authz.Request) { r.Subject.Disabled = !r.Subject.Disabled })
	add("subject", "absent", func(r *authz.Request) { r.Subject = nil })
	object := func(path string, get func(*authz.Request) map[string]any, set func(*authz.Request, map[string]any)) {
		for to, value := range map[string]any{"null": nil, "false": false, "true": true, "number": json.Number("7"),
			"empty text": "", "list": []any{}, "object": map[string]any{}, "gone": deleted{}} {
			add(path+".one", to, func(r *authz.Request) { set(r, changed(get(r), "one", value)) })
		}
		add(path, "empty", func(r *authz.Request) { set(r, map[string]any{}) })
	}
	object("subject.attributes", func(r *authz.Request) map[string]any { return r.Subject.Attributes },
		func(r *authz.Request, m map[string]any) { r.Subject.Attributes = m })
	object("claims", func(r *authz.Request) map[string]any { return r.Claims.Values },
		func(r *authz.Request, m map[string]any) { r.Claims = &authz.Claims{Values: m} })
	object("resource", func(r *authz.Request) map[string]any { return r.Resource },
		func(r *authz.Request, m map[string]any) { r.Resource = m })
	add("claims", "absent", func(r *authz.Request) { r.Claims = nil })
	add("resource", "absent", func(r *authz.Request) { r.Resource = nil })
	text("token_error", func(r *authz.Request, s string) { r.TokenError = authz.TokenError(s) })
	text("client_ip", func(r *authz.Request, s string) { r.ClientIP = s })
	add("now", "another", func(r *authz.Request) { r.Now = time.Unix(1, 0) })
	add("now", "absent", func(r *authz.Request) { r.Now = time.Time{} })
	return list
}

// of makes the changed request.
func (c change) of(r *authz.Request) *authz.Request {
	v := *r
	if r.Subject != nil {
		s := *r.Subject
		v.Subject = &s
	}
	c.make(&v)
	return &v
}

// changing is a request that every change makes another.
func changing() *authz.Request {
	object := func() map[string]any { return map[string]any{"one": json.Number("1"), "two": "x"} }
	return &authz.Request{
		Method: "GET", Host: "host", Path: "/a", Segments: []string{"a"}, Route: "/a", Params: map[string]string{"id": "x"},
		Query: map[string][]string{"q": {"x"}}, Headers: map[string][]string{"x-h": {"x"}}, Preflight: "GET",
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: "1", Username: "alice", Roles: []string{"r"}, Scopes: []string{"s"}, Issuer: "i", Attributes: object()},
		Claims:  &authz.Claims{Values: object()}, Resource: object(), TokenError: authz.TokenExpired, ClientIP: "::1", Now: time.Unix(0, 0),
	}
}

// A policy that reads a member, and one that reads the part of it that changes,
// decide by its value and not by a decision on another.
func TestDecisionsFollowEachMember(t *testing.T) {
	t.Parallel()
	all := changes()
	paths := map[string]bool{}
	for _, c := range all {
		parts := strings.Split(c.path, ".")
		for i := range parts {
			paths[strings.Join(parts[:i+1], ".")] = true
		}
	}
	const data = "routes:\n  /a: {GET: {public: true}, POST: {public: true}}\n  /b/{id}: {GET: {public: true}}\n"
	for path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			found := "input." + strings.ReplaceAll(path, ".x-h", `["x-h"]`)
			s := mustLoad(t, files{"data/routes.yaml": data, "policies/authz/authz.rego": `package authz

decision := {"allow": false, "status": 403, "reasons": [{"code": "found", "message": json.marshal(found)}]}

default found := "absent"

found := ` + found + "\n"})
			ask := func(r *authz.Request) string {
				d, err := s.Decide(t.Context(), r)
				if err != nil || len(d.Reasons) != 1 {
					t.Fatalf("Decide = %+v, %v", d, err)
				}
				return d.Reasons[0].Message
			}
			base := changing()
			before := ask(base)
			for _, c := range all {
				// A change in a part changes the whole; one of the whole takes its parts away.
				changes := strings.HasPrefix(c.path+".", path+".") || strings.HasPrefix(path+".", c.path+".")
				if after := ask(c.of(base)); (after != before) != changes {
					t.Errorf("%s to %s: %s became %s", c.path, c.to, before, after)
				}
			}
		})
	}
}

// Every member of the question has a row, and the schema describes each.
func TestTheTablesAreComplete(t *testing.T) {
	t.Parallel()
	text, err := schema.FS.ReadFile("authz.json")
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]object `json:"properties"`
	}
	var described object
	if err := json.Unmarshal(text, &described); err != nil {
		t.Fatal(err)
	}
	compare := func(what string, table []string, described object, question reflect.Type, without string) {
		var want, fields []string
		for name := range described.Properties {
			want = append(want, name)
		}
		for i := range question.NumField() {
			if name := question.Field(i).Name; name != without {
				fields = append(fields, strings.ToLower(name))
			}
		}
		got := make([]string, len(table))
		for i, name := range table {
			got[i] = strings.ReplaceAll(name, "_", "")
		}
		for _, list := range [][]string{table, want, got, fields} {
			slices.Sort(list)
		}
		if !slices.Equal(table, want) {
			t.Errorf("the table of the %s has %v, the schema %v", what, table, want)
		}
		if !slices.Equal(got, fields) {
			t.Errorf("the table of the %s has %v, the type %v", what, got, fields)
		}
	}
	compare("request", names(requestMembers), described, reflect.TypeFor[authz.Request](), "")
	compare("subject", names(subjectMembers), described.Properties["subject"], reflect.TypeFor[authz.Subject](), "Prepared")
}

func names[From any](table []*member[From]) []string {
	var list []string
	for _, row := range table {
		list = append(list, row.name)
	}
	return list
}

// No two values that a path may lead to have one key, be they what encoding/json
// decodes or what a loader made.
func TestKeysTellValuesApart(t *testing.T) {
	t.Parallel()
	within := func(value any) map[string]any { return map[string]any{"one": value} }
	two := map[string]string{"two": "x"} // which no JSON is
	for _, tc := range []struct {
		path   []string
		values []map[string]any
	}{
		{nil, []map[string]any{
			nil, {}, within(nil), within(false), within(true), within(""), within("x"), within("1"), within(json.Number("1")),
			within([]any{}), within([]any{nil}), within([]any{"x"}), within(map[string]any{}), within(map[string]any{"x": nil}),
			{"one": "x", "two": "y"}, {"one": "xtwo", "y": ""},
		}},
		{[]string{"one"}, []map[string]any{
			{}, within(nil), within(false), within(""), within("x"), within([]any{}), within(map[string]any{}), within(two),
		}},
		{[]string{"one", "two"}, []map[string]any{
			{}, within(map[string]any{"two": nil}), within(map[string]any{"two": "x"}), within(map[string]any{"two": two}), within(two),
		}},
	} {
		seen := map[string]map[string]any{}
		for _, v := range tc.values {
			key := string(appendWithin(nil, tc.path, v))
			if other, known := seen[key]; known {
				t.Errorf("%v: %v and %v have one key", tc.path, other, v)
			}
			seen[key] = v
		}
	}
}
