package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/stagedoor/stagedoor/server/authz"
)

// A cached decision is the one that an evaluation would have made, whatever the
// policy reads, and after each reload.
func TestCachedDecisionsAreThoseOfAnEvaluation(t *testing.T) {
	const policies, requests = 50, 6
	dir := t.TempDir()
	write(t, dir, generatedPolicy(rand.New(rand.NewPCG(7, 0))))
	source := Dir(dir, "")
	engine, err := New(t.Context(), source, Options{Deadline: never})
	if err != nil {
		t.Fatal(err)
	}
	var hits, compared uint64
	for seed := range uint64(policies) {
		random := rand.New(rand.NewPCG(7, seed))
		text := generatedPolicy(random)
		write(t, dir, text)
		if err := engine.Reload(t.Context()); err != nil {
			if strings.Contains(err.Error(), "rego_") {
				continue // made at random, it does not compile
			}
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		compared++
		plain, err := Load(t.Context(), source, Options{CacheBytes: -1, Deadline: never})
		if err != nil {
			t.Fatal(err)
		}
		cached := engine.Current()
		for range requests {
			for _, r := range variants(random, generatedRequest(random)) {
				want, wantErr := plain.Decide(t.Context(), r)
				got, gotErr := cached.Decide(t.Context(), r)
				if random.IntN(8) == 0 {
					compareWithOPA(t, plain, r, want, wantErr)
				}
				wantScopes, wantErr2 := plain.Scopes(t.Context(), r)
				if gotScopes, err := cached.Scopes(t.Context(), r); gotScopes != wantScopes || (err == nil) != (wantErr2 == nil) {
					t.Fatalf("seed %d: kept scopes %q, %v; evaluated %q, %v\n%s", seed, gotScopes, err, wantScopes, wantErr2, text)
				}
				if !reflect.DeepEqual(got, want) || (gotErr == nil) != (wantErr == nil) {
					input, _ := plain.Input(r)
					t.Fatalf("seed %d: cached %+v, %v; evaluated %+v, %v\ninput %v\nreads %v\n%s",
						seed, got, gotErr, want, wantErr, input, cached.planFor(t.Context(), r.Route, r.Method).reads, text)
				}
			}
		}
		hits += cached.CacheStats().Hits
	}
	if compared < policies/2 || hits < compared*requests {
		t.Errorf("%d policies compared, %d hits: too few to show anything", compared, hits)
	}
}

// compareWithOPA asks OPA itself, as its library's users do.
func compareWithOPA(t *testing.T, s *Snapshot, r *authz.Request, got authz.Decision, gotErr error) {
	t.Helper()
	input, err := authzInput(r)
	if err != nil {
		t.Fatal(err)
	}
	results, err := rego.New(rego.Query("data.authz.decision"), rego.Compiler(s.compiler), rego.Store(s.store), rego.ParsedInput(input)).Eval(t.Context())
	if (err == nil) != (gotErr == nil) {
		t.Fatalf("OPA says %v, we say %v", err, gotErr)
	}
	if err != nil || len(results) == 0 {
		if got.Allow {
			t.Fatal("OPA has no answer, we allow")
		}
		return
	}
	answer, err := ast.InterfaceToValue(results[0].Expressions[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	want, err := decodeDecision(answer)
	want.Revision = s.revision
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("OPA decides %+v (%v), we %+v", want, err, got)
	}
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	for name, text := range map[string]string{
		"authz.rego": text,
		"data.yaml": `
routes:
  /a: {GET: {owner: true, scopes: [s]}, POST: {scopes: [s]}}
  /b/{id}: {GET: {public: true}, DELETE: {roles: [r]}}
tab: {one: 1, two: {one: 2}, r: [s]}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// generatedPolicy reads the input in many ways, and shows in its answer what it
// found there.
func generatedPolicy(random *rand.Rand) string {
	var b strings.Builder
	b.WriteString(`package authz

decision := {"allow": allow, "status": 403, "reasons": reasons}

declared := data.routes[input.route].GET if input.method == "HEAD"

else := data.routes[input.route][input.method]

default allow := false

reasons contains {"code": "found", "message": json.marshal(found)}

scopes contains crypto.sha256(json.marshal(found)) if allow

scopes contains "found" if found

f(x) := x.one

g(x) if not x.one

h(x) := [x, input.claims.other] if x != 1

else := "none"

`)
	number := func() string { return []string{"1", "1.0", "1e0", "10e-1"}[random.IntN(4)] }
	fmt.Fprintf(&b, "level[%s] := input.subject.username if input.subject.attributes.one\n\nlevel[k] := \"other\" if some k in [2, 3]\n\n", number())
	fmt.Fprintf(&b, "deep[%s].name := input.token_error\n\ndeep[k].name := \"other\" if some k in [2, 3]\n\n", number())
	// refs have any type, so that nothing below is refused by the type checker.
	refs := []string{
		"input.subject.attributes.one", "input.subject.attributes.two", "input.subject.attributes", "input.claims.one",
		"input.claims.two", "input.claims.two.one", "input.claims", "input.resource.one", "input.resource.two", "input.resource",
		"input.claims[input.params.id]", "input.subject.attributes[input.token_error]", "object.get(input.claims, \"one\", 7)",
		"data.tab[input.params.id]",
	}
	texts := []string{"input.subject.id", "input.subject.username", "input.subject.kind", "input.token_error", "input.host", "input.path",
		"input.client_ip", "input.params.id", "input.query.q[0]", `input.headers["x-h"][0]`, "input.preflight", "input.segments[0]", "input.subject.roles[_]"}
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	ref := func() string {
		if random.IntN(4) == 0 {
			return pick(texts)
		}
		return pick(refs)
	}
	body := func(depth int) string {
		conditions := []func() string{
			func() string { return "not " + ref() },
			func() string { return "c := " + pick(refs) + "; not c.one" },
			func() string { return "c := " + pick(refs) + "; c.one == 1" },
			func() string { return "c := " + ref() + "; d := c; d != false" },
			func() string { return "[s | s := " + pick(refs) + ".one] == [1]" },
			func() string { return "count({k | some k, _ in " + pick(refs) + "}) == 1" },
			func() string { return "every v in [" + ref() + "] { v == 1 }" },
			func() string { return "g(" + pick(refs) + ")" },
			func() string { return "f(" + pick(refs) + ") == 1" },
			func() string { return "h(" + ref() + ") == \"none\"" },
			func() string { return "walk(" + pick(refs) + ", [_, 1])" },
			func() string { return "input.subject.disabled" },
			func() string { return "not input.subject.disabled" },
			func() string { return "declared.owner == true; " + pick(texts) + " == \"x\"" },
			func() string { return "not declared.owner; " + ref() },
			func() string { return "declared == {\"public\": true}" },
			func() string { return pick(texts) + " in {\"x\", \"y\"}" },
			func() string { return ref() + " == " + ref() },
			func() string { return "some s in declared.scopes; s in split(" + pick(texts) + ", \" \")" },
			func() string { return "data.tab[" + pick(texts) + "] == 1" },
			func() string { return "{\"one\": v} = " + pick(refs) + "; v != 2" },
			func() string { return "is_object(" + pick(refs) + ")" },
			func() string { return "level[" + number() + "] == \"x\"" },
			func() string { return "not deep[" + number() + "].name == \"x\"" },
			func() string { return "some k; " + "input.claims[k] == " + ref() },
		}
		if depth == 0 && random.IntN(6) == 0 {
			conditions = append(conditions[:0],
				func() string { return "q with input.claims.one as " + ref() },
				func() string { return "q with input.claims as " + pick(refs) },
				func() string { return "q with data.tab.one as " + ref() },
				func() string { return "q with input.method as \"POST\"" },
				func() string { return "q with data.routes as {input.route: {\"GET\": {\"owner\": true}}}" },
			)
		}
		var lines []string
		for range 1 + random.IntN(2) {
			lines = append(lines, strings.Split(conditions[random.IntN(len(conditions))](), "; ")...)
		}
		// Two conditions may both want a variable.
		text := strings.Join(lines, "\n\t")
		if strings.Count(text, "c := ") > 1 || strings.Count(text, "some k; ") > 1 || strings.Count(text, "\nsome k") > 1 || strings.Count(text, "some s") > 1 {
			text = lines[len(lines)-1]
			if strings.HasPrefix(text, "not c") || strings.HasPrefix(text, "c.") || strings.HasPrefix(text, "d ") || strings.HasPrefix(text, "s in") || strings.HasPrefix(text, "input.claims[k]") {
				text = "input.subject"
			}
		}
		return text
	}
	value := func() string {
		return pick([]string{ref(), "{\"v\": " + ref() + "}", "[x | x := " + ref() + "]", "\"yes\"", "h(" + ref() + ")", "{x | x := " + ref() + "}"})
	}
	fmt.Fprintf(&b, "q if {\n\tdata.tab.one == 1\n\t%s\n}\n\nq if {\n\tdeclared.owner\n\t%s\n}\n\n", body(1), body(1))
	fmt.Fprintf(&b, "default found := \"nothing\"\n\nfound := %s if {\n\t%s\n} else := %s if {\n\t%s\n}\n\n", value(), body(0), value(), body(0))
	for range 1 + random.IntN(3) {
		fmt.Fprintf(&b, "allow if {\n\t%s\n}\n\n", body(0))
	}
	fmt.Fprintf(&b, "deny contains %q if {\n\t%s\n}\n\nallow if not deny[\"a\"]\n", pick([]string{"a", "b"}), body(0))
	return b.String()
}

func generatedRequest(random *rand.Rand) *authz.Request {
	text := func() string { return []string{"", "x", "y", "one", "two"}[random.IntN(5)] }
	r := &authz.Request{
		Method: []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"}[random.IntN(5)], Host: text(), Path: "/" + text(), Route: []string{"", "/a", "/a", "/b/{id}"}[random.IntN(4)],
		Segments: []string{text()}, Preflight: text(), TokenError: authz.TokenError(text()), ClientIP: text(),
		Params: map[string]string{"id": text()}, Query: map[string][]string{"q": {text()}}, Headers: map[string][]string{"x-h": {text()}},
		Resource: generatedObject(random),
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: text(), Username: text(), Disabled: random.IntN(2) == 0,
			Roles: []string{text()}, Attributes: generatedObject(random)},
		Claims: &authz.Claims{Values: generatedObject(random)},
	}
	return r
}

func generatedValue(random *rand.Rand, depth int) any {
	values := []any{nil, false, true, json.Number("1"), json.Number("2"), "x", "one", "", []any{}, []any{json.Number("1")}, map[string]any{}}
	if i := random.IntN(len(values) + 2); i < len(values) || depth == 0 {
		return values[i%len(values)]
	}
	return map[string]any{"one": generatedValue(random, depth-1)}
}

func generatedObject(random *rand.Rand) map[string]any {
	object := map[string]any{}
	for _, name := range []string{"one", "two", "other", "x"} {
		if random.IntN(3) > 0 {
			object[name] = generatedValue(random, 2)
		}
	}
	return object
}

// variants are a request, itself again, and others that differ from it in one
// member of the input each, or in two.
func variants(random *rand.Rand, r *authz.Request) []*authz.Request {
	list := []*authz.Request{r, r}
	all := changes()
	for _, c := range all {
		list = append(list, c.of(r))
	}
	for range 8 {
		v := all[random.IntN(len(all))].of(r)
		if v.Subject != nil && v.Claims != nil {
			list = append(list, all[random.IntN(len(all))].of(v))
		}
	}
	names := []string{"two", "other", "x"}
	for _, value := range []any{nil, false, generatedValue(random, 2), deleted{}} {
		name := names[random.IntN(len(names))]
		for _, c := range []change{
			{make: func(v *authz.Request) { v.Claims = &authz.Claims{Values: changed(v.Claims.Values, name, value)} }},
			{make: func(v *authz.Request) { v.Resource = changed(v.Resource, name, value) }},
			{make: func(v *authz.Request) { v.Subject.Attributes = changed(v.Subject.Attributes, name, value) }},
		} {
			list = append(list, c.of(r))
		}
	}
	return list
}

// deleted stands for a member that is taken away.
type deleted struct{}

func changed(object map[string]any, name string, value any) map[string]any {
	copied := map[string]any{}
	for k, v := range object {
		copied[k] = v
	}
	if _, gone := value.(deleted); gone {
		delete(copied, name)
	} else {
		copied[name] = value
	}
	return copied
}

// never is a deadline that no test meets.
const never = 1 << 40

func TestSubjectsShareDecisionsThatDontReadThem(t *testing.T) {
	s, err := Load(t.Context(), Dir("../../policies", "../../data"), Options{Deadline: patient})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(route, method, id string) {
		t.Helper()
		values := map[string]any{"sub": id, "jti": "j" + id, "scope": "items:read items:write"}
		_, err := s.Decide(context.Background(), &authz.Request{
			Method: method, Route: route, Path: route, Resource: map[string]any{"owner": "01"},
			Subject: &authz.Subject{Kind: authz.KindAccount, ID: id, Username: "u" + id, Roles: []string{"client"}},
			Claims:  &authz.Claims{Values: values, Prepared: PrepareClaims(values)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		route, method string
		entries       int64
	}{
		{"/items/", "GET", 1},
		{"/items/", "HEAD", 1},
		{"/items/", "POST", 1},
		{"/admin-only", "GET", 1},
		{"/users/me", "GET", 1},
		{"/livez", "GET", 1},
		{"/items/{id}", "DELETE", 3}, // it asks for the owner
	} {
		before := s.CacheStats().Entries
		for _, id := range []string{"01", "02", "03"} {
			ask(tc.route, tc.method, id)
		}
		if n := s.CacheStats().Entries - before; n != tc.entries {
			t.Errorf("%s %s: three subjects made %d entries, want %d", tc.method, tc.route, n, tc.entries)
		}
	}
	if s.ReadsResource(t.Context(), "/items/", "GET") || !s.ReadsResource(t.Context(), "/items/{id}", "DELETE") {
		t.Error("a resource is read exactly where a route asks for its owner")
	}
}

// What is kept of prepared claims is what is written anew of others, whichever
// paths were asked for before.
func TestKeysOfPreparedClaimsAreThoseOfOthers(t *testing.T) {
	t.Parallel()
	values := map[string]any{"scope": "a b", "roles": []any{"x"}, "n": nil, "long": strings.Repeat("x", 2*maxKeptKey), "in": map[string]any{"side": true}}
	prepared := &authz.Request{Claims: &authz.Claims{Values: values, Prepared: PrepareClaims(values)}}
	plain := &authz.Request{Claims: &authz.Claims{Values: values}}
	sets := []readSet{
		{{"claims", "scope"}}, {{"claims", "roles"}}, {{"claims", "scope"}, {"claims", "roles"}}, {{"claims", "scope", "roles"}},
		{{"claims", "absent"}}, {{"claims", "n"}}, {{"claims", "long"}}, {{"claims", "in", "side"}}, {{"claims"}},
	}
	keys := map[string]int{}
	for _, again := range []int{0, 0, 1, 1, 2, 3, 0, 2, 4, 5, 6, 6, 7, 8, 7, 0} {
		write := keyWriters(sets[again])
		if len(write) != 1 {
			t.Fatalf("%v: %d writers", sets[again], len(write))
		}
		got, want := write[0]([]byte("before"), prepared), write[0]([]byte("before"), plain)
		if string(got) != string(want) {
			t.Errorf("%v: %q, want %q", sets[again], got, want)
		}
		keys[string(got)] = again
	}
	if got, want := string(keyWriters(sets[0])[0](nil, &authz.Request{})), string([]byte{kindAbsent}); got != want {
		t.Errorf("no claims: %q, want %q", got, want)
	}
	if len(keys) < 8 { // {"scope", "roles"} leads nowhere, as "absent" does
		t.Errorf("only %d keys are different", len(keys))
	}
}
