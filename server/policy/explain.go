package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxText is how much of an expression or value a message shows, in bytes.
const maxText = 400

// explanation says where a test failed, and on what.
type explanation struct {
	line, column  int
	expected, got string
}

// explain runs failed tests again, on a compiler that keeps the values of both
// sides of a comparison and without the index that skips a rule that can't hold,
// and watches where each fails last. What it can't explain is left out.
func (l *loading) explain(ctx context.Context, failed []*tester.Result) map[*tester.Result]explanation {
	tracer := &failTracer{tests: failed, found: map[*tester.Result]explanation{}}
	c := l.compiler().WithEnablePrintStatements(true).WithRewriteTestRules(true)
	if c.Compile(l.modules); c.Failed() {
		return nil
	}
	for _, r := range failed {
		// Tests of one name have a numbered suffix, which is the tester's own.
		name, _, _ := strings.Cut(r.Name, "#")
		ref, err := ast.ParseRef(r.Package + "." + name)
		if err != nil {
			continue
		}
		q, err := rego.New(rego.Compiler(c), rego.Store(l.store),
			rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(ref)))),
		).PrepareForEval(ctx)
		if err != nil {
			continue
		}
		// It is the trace that counts, not the result.
		_, _ = q.Eval(ctx, rego.EvalQueryTracer(tracer), rego.EvalRuleIndexing(false))
	}
	return tracer.found
}

// failTracer remembers the last expression that failed in each test's own body.
type failTracer struct {
	tests []*tester.Result
	found map[*tester.Result]explanation
}

// Enabled implements topdown.QueryTracer.
func (t *failTracer) Enabled() bool { return true }

// Config implements topdown.QueryTracer.
func (t *failTracer) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements topdown.QueryTracer.
func (t *failTracer) TraceEvent(e topdown.Event) {
	if e.Op != topdown.FailOp || e.QueryID == 0 || e.Location == nil {
		return
	}
	expr, ok := e.Node.(*ast.Expr)
	if !ok || expr.IsEvery() {
		return
	}
	test := t.at(e.Location)
	if test == nil {
		return
	}
	t.found[test] = explainFailure(e, expr)
}

// at finds the test whose text a location lies in.
func (t *failTracer) at(loc *ast.Location) *tester.Result {
	for _, r := range t.tests {
		if r.Location.File != loc.File {
			continue
		}
		if last, _ := r.Location.End(); loc.Row >= r.Location.Row && loc.Row <= last {
			return r
		}
	}
	return nil
}

// explainFailure says what an expression wanted and what it found.
func explainFailure(e topdown.Event, expr *ast.Expr) explanation {
	base := expr.BaseCogeneratedExpr()
	x := explanation{line: e.Location.Row, column: e.Location.Col}
	if base.Location != nil {
		x.line, x.column = base.Location.Row, base.Location.Col
		x.expected = shorten(string(base.Location.Text))
	}
	if base.Negated {
		x.got = "true"
		return x
	}
	if base.IsEquality() || base.IsAssignment() {
		left, right := base.Operand(0), base.Operand(1)
		got, expected := valueOf(e, left), valueOf(e, right)
		// A constant is what is expected, on whichever side it stands; of two
		// values it is the right one.
		if isConstant(left) && !isConstant(right) {
			got, expected = expected, got
		}
		x.got, x.expected = got, expected
		return x
	}
	if base.IsCall() {
		var values []string
		for _, operand := range base.Operands() {
			if _, isVar := operand.Value.(ast.Var); isVar && operand.Location != nil {
				values = append(values, fmt.Sprintf("%s = %s", shorten(string(operand.Location.Text)), valueOf(e, operand)))
			}
		}
		x.got = strings.Join(values, ", ")
	}
	if x.got == "" {
		x.got = "false or undefined"
	}
	return x
}

// isConstant reports whether a term is written out in the policy.
func isConstant(t *ast.Term) bool {
	return t.IsGround() && !containsRef(t)
}

func containsRef(t *ast.Term) bool {
	found := false
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Ref, ast.Var, ast.Call:
			found = true
		}
		return found
	})
	return found
}

// valueOf is the value that a term had when the event happened.
func valueOf(e topdown.Event, t *ast.Term) string {
	value := e.Plug(t)
	if value == nil || containsRef(value) {
		return "undefined"
	}
	return shorten(value.String())
}

// shorten brings a text onto one line of bounded length.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + " …"
	}
	return s
}
