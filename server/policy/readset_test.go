package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// corpus is a collection of policies that read their input in every way that was
// thought of.
type corpus struct {
	Data    map[string]any    `json:"data"`
	Modules map[string]string `json:"modules"`
	Cases   []struct {
		Name string `json:"name"`
		Rego string `json:"rego"`
	} `json:"cases"`
}

// Two inputs that agree on the read set get the same answer.
func TestReadSetsAreSound(t *testing.T) {
	text, err := os.ReadFile("testdata/readset-corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var c corpus
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Cases) < 95 {
		t.Fatalf("the corpus has %d cases", len(c.Cases))
	}
	for i, tc := range c.Cases {
		t.Run(tc.Name, func(t *testing.T) {
			p := compileCorpus(t, &c, tc.Rego)
			random := rand.New(rand.NewPCG(1, uint64(i)))
			answers, shared := map[string]string{}, 0
			for range 4000 {
				input := corpusInput(random)
				key := p.key(input)
				answer := p.answer(t, input)
				before, known := answers[key]
				if known && before != answer {
					t.Fatalf("reads %v; inputs that agree on these got %s and %s, the second for %v", p.reads, before, answer, input)
				}
				if known {
					shared++
				}
				answers[key] = answer
			}
			if shared == 0 && !slices.ContainsFunc(p.reads, func(p inputPath) bool { return len(p) == 0 }) {
				t.Errorf("reads %v; no two of the inputs agreed", p.reads)
			}
		})
	}
}

type corpusPolicy struct {
	compiler *ast.Compiler
	data     map[string]any
	reads    readSet
	query    ast.Body
}

func compileCorpus(t *testing.T, c *corpus, rego string) *corpusPolicy {
	t.Helper()
	modules := map[string]*ast.Module{}
	for name, text := range c.Modules {
		modules[name] = ast.MustParseModule(text)
	}
	main, err := ast.ParseModuleWithOpts("main", rego, ast.ParserOptions{ProcessAnnotation: true})
	if err != nil {
		t.Fatal(err)
	}
	modules["main"] = main
	p := &corpusPolicy{compiler: ast.NewCompiler(), data: c.Data, query: ast.MustParseBody("x = data.t.decision")}
	if p.compiler.Compile(modules); p.compiler.Failed() {
		t.Fatal(p.compiler.Errors)
	}
	a := newAnalyzer(p.compiler)
	p.reads = walk(a.entry(ast.MustParseRef("data.t.decision")), nil).reads
	return p
}

func (p *corpusPolicy) answer(t *testing.T, input map[string]any) string {
	store := inmem.NewFromObject(p.data)
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(t.Context(), txn)
	answer := "undefined"
	err = topdown.NewQuery(p.query).WithCompiler(p.compiler).WithStore(store).WithTransaction(txn).
		WithInput(ast.NewTerm(ast.MustInterfaceToValue(input))).
		Iter(t.Context(), func(r topdown.QueryResult) error {
			answer = r["x"].String()
			return nil
		})
	if err != nil {
		return "error"
	}
	return answer
}

func (p *corpusPolicy) key(input map[string]any) string {
	var key []byte
	for _, path := range p.reads {
		key = appendWithin(key, path, input)
	}
	return string(key)
}

// corpusInput has few different values, so that many inputs agree.
func corpusInput(random *rand.Rand) map[string]any {
	pick := func(values ...any) any { return values[random.IntN(len(values))] }
	number := func(n int) any { return json.Number(fmt.Sprint(n)) }
	a := map[string]any{}
	for _, name := range []string{"b", "d", "banned"} {
		if random.IntN(3) > 0 {
			a[name] = pick(number(1), number(2), nil, false, true)
		}
	}
	input := map[string]any{
		"a": pick(a, a, a, nil, false, "text"),
		"c": pick(number(1), number(2), nil, false),
		"m": pick("x", "b", number(1), false),
		"k": pick("x", "y", "b", "m", "q", nil),
		"l": pick([]any{number(1), number(2)}, []any{number(1)}, []any{}, false),
	}
	for _, name := range []string{"a", "c", "m", "k", "l"} {
		if random.IntN(5) == 0 {
			delete(input, name)
		}
	}
	return input
}

func TestReadSet(t *testing.T) {
	for _, tc := range []struct{ name, rego, want string }{
		{"members", "decision := [input.a.b, input.a.d, input.c]", "[input.a.b input.a.d input.c]"},
		{"one that covers another", "decision := [input.a.b, input.a]", "[input.a]"},
		{"cut at a variable", "decision := input.a[input.k].x", "[input.a input.k]"},
		{"cut at a number", "decision := input.l[0].x", "[input.l]"},
		{"a replaced member", "decision := z if { z := q with input.m as 1 }\nq := input.c", "[input.c input.m]"},
		{"a replaced member below another", "decision := z if { z := q with input.a.b as 1 }\nq := input.c", "[input.a input.c]"},
		{"rules that are not reached", "decision := level.x\nlevel.x := input.c\nlevel.y := input.a", "[input.c]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := compileCorpus(t, &corpus{}, "package t\n\n"+tc.rego)
			if got := fmt.Sprint(p.reads); got != tc.want {
				t.Errorf("reads %s, want %s", got, tc.want)
			}
		})
	}
}

// A key that is no text finds its rule however it is spelled, for whatever the
// rules are looked through.
func TestKeysOfAnySpellingAreReached(t *testing.T) {
	s := mustLoad(t, files{"policies/authz/authz.rego": `package authz

default decision := {"allow": false}

decision := {"allow": true} if level[1.0] > 0

level[1] := time.now_ns() if regex.match("a*", input.path)

level[n] := 0 if some n in [2, 3]
`})
	if len(s.Uncacheable()) == 0 {
		t.Error("the clock is not seen")
	}
	if s.plans.general.slow == "" {
		t.Error("regex.match is not seen")
	}
}

func TestUncacheablePoliciesNameTheLine(t *testing.T) {
	rule := func(body string) string {
		return "package authz\n\ndecision := {\"allow\": true} if {\n\t" + body + "\n}\n"
	}
	for _, tc := range []struct{ name, body, what string }{
		{"the clock", "time.now_ns() > 0", "time.now_ns"},
		{"randomness", `rand.intn("a", 10) > 5`, "rand.intn"},
		{"an id", `uuid.rfc4122("a") != ""`, "uuid.rfc4122"},
		{"a token's expiry", `io.jwt.decode_verify("a", {"secret": "b"})`, "io.jwt.decode_verify"},
		{"a certificate's expiry", `crypto.x509.parse_and_verify_certificates("a")`, "crypto.x509.parse_and_verify_certificates"},
		{"the request's time", `input.now != ""`, "input.now"},
		{"the input as a whole", `walk(input, [_, "a"])`, "input as a whole"},
		{"under another name", "i := input\n\ti.claims.one", "input as a whole"},
		{"by a path that is a list", `object.get(input, ["claims", "one"], 1) == 1`, "input as a whole"},
		{"a function's replacement", "to_number(\"1\") > 0 with to_number as uuid.rfc4122", "uuid.rfc4122"},
		{"nothing", "input.method == \"GET\"", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Load(t.Context(), files{"policies/authz/authz.rego": rule(tc.body), "data/routes.yaml": "routes: {/: {GET: {public: true}}}\n"}.source(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			problems := s.Uncacheable()
			if tc.what == "" {
				if len(problems) != 0 {
					t.Errorf("got %v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Line != 4 || !strings.HasSuffix(problems[0].File, "authz.rego") || !strings.Contains(problems[0].Message, " "+tc.what+",") {
				t.Errorf("got %v", problems)
			}
			if !slices.ContainsFunc(s.Warnings(), func(w Warning) bool { return w.Code == WarnUncacheable && strings.Contains(w.Message, "authz.rego:4") }) {
				t.Errorf("warnings %v", s.Warnings())
			}
		})
	}
}
