package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// It answers as the engine's own cache does, whatever is asked in which order,
// and again after it was emptied.
func TestRuleCacheIsTheEnginesCache(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	arguments := []*ast.Term{
		ast.StringTerm("a"), ast.StringTerm("b"), ast.NumberTerm("1"), ast.NumberTerm("1.0"), ast.NullTerm(), ast.BooleanTerm(false),
		ast.MustParseTerm(`["a", 1]`), ast.MustParseTerm(`{"a": ["b"]}`), ast.MustParseTerm(`{"a"}`), ast.MustParseTerm(`{"b", "a"}`),
	}
	var c ruleCache
	for round := range 60 {
		own := topdown.NewVirtualCache()
		depth, variety := 0, 1+random.IntN(100)
		ref := func() ast.Ref {
			r := ast.MustParseRef(fmt.Sprintf("data.p.r%d", random.IntN(variety)))
			for range random.IntN(3) {
				r = r.Append(arguments[random.IntN(len(arguments))])
			}
			return r
		}
		for step := range 1500 {
			switch n := random.IntN(40); {
			case n == 0:
				c.Push()
				own.Push()
				depth++
			case n == 1 && depth > 0:
				c.Pop()
				own.Pop()
				depth--
			case n < 10:
				r := ref()
				var value *ast.Term
				if random.IntN(4) > 0 {
					value = ast.IntNumberTerm(step)
				}
				c.Put(r, value)
				own.Put(r, value)
				// The engine uses a reference's memory again.
				clear(r)
			default:
				r := ref()
				got, undefined := c.Get(r)
				want, wantUndefined := own.Get(r)
				if got != want || undefined != wantUndefined {
					t.Fatalf("round %d, step %d: Get(%s) = %v, %v; want %v, %v", round, step, r, got, undefined, want, wantUndefined)
				}
			}
			if step%100 == 0 {
				if got, want := refTexts(c.Keys()), refTexts(own.Keys()); !slices.Equal(got, want) {
					t.Fatalf("round %d, step %d: Keys = %v, want %v", round, step, got, want)
				}
			}
		}
		c.reset()
	}
}

func refTexts(refs []ast.Ref) []string {
	texts := make([]string, len(refs))
	for i, r := range refs {
		texts[i] = strings.ReplaceAll(r.String(), "1.0", "1") // one and the same key
	}
	slices.Sort(texts)
	return texts
}

// Data are read without the store exactly as with it.
func TestDocuments(t *testing.T) {
	t.Parallel()
	f := files{
		"data/x.json": `{"x": {"list": [10, [20]], "0": "zero", "object": {"1": "one", "true": "yes", "": "empty"}, "null": null, "no": false}}`,
		"policies/authz/authz.rego": `package authz

decision := {"allow": true}
`,
	}
	s := mustLoad(t, f)
	without := mustLoad(t, f)
	without.documents = documents{ast.NewObject()}
	keys := []string{`"list"`, `0`, `1`, `"0"`, `"1"`, `"object"`, `true`, `"true"`, `""`, `null`, `"null"`, `"no"`, `-1`, `0.5`, `["list"]`, `"nowhere"`}
	documents := []string{"data", "data.x"}
	for _, a := range keys {
		for _, b := range keys {
			documents = append(documents, fmt.Sprintf("data.x[%s]", a), fmt.Sprintf("data.x[%s][%s]", a, b), fmt.Sprintf("data.x.list[%s][%s]", a, b))
		}
	}
	for _, document := range documents {
		answer := func(s *Snapshot) string {
			ref, err := ast.ParseRef(document)
			if err != nil {
				t.Fatal(err)
			}
			q, err := s.prepare(ref)
			if err != nil {
				return "refused"
			}
			value, err := s.evaluate(t.Context(), q, "", nil, s.options.Now())
			return fmt.Sprint(value, err)
		}
		if got, want := answer(s), answer(without); got != want {
			t.Errorf("%s = %s, want %s", document, got, want)
		}
	}
}
