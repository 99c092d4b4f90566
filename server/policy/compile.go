package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxCompileErrors is how many errors one compilation reports.
const maxCompileErrors = 50

// outward lists the builtins with which a policy reaches out of itself.
var outward = []string{"http.send", "net.lookup_ip_addr", "opa.runtime"}

func reachesOut(builtin string) bool { return slices.Contains(outward, builtin) }

// capabilities is what a policy may use of OPA.
func capabilities(allowNetwork bool) *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	if allowNetwork {
		return caps
	}
	caps.Builtins = slices.DeleteFunc(slices.Clone(caps.Builtins), func(b *ast.Builtin) bool {
		return reachesOut(b.Name)
	})
	// Neither may a JSON schema refer to a remote one. Empty is "no host",
	// nil would be "any".
	caps.AllowNet = []string{}
	return caps
}

// compiler is a compiler with the settings that every compilation shares, which
// are those of `opa test`.
func (l *loading) compiler() *ast.Compiler {
	return ast.NewCompiler().
		SetErrorLimit(maxCompileErrors).
		WithPathConflictsCheck(dataFinder(l.documents)).
		WithCapabilities(l.capabilities).
		WithUseTypeCheckAnnotations(true)
}

// check compiles strictly and checks the types of inputs. Its result is thrown
// away: the schemas come in through annotations, which a policy can read
// (rego.metadata.chain), and what runs has to be what stock OPA would run.
func (l *loading) check() error {
	modules, schemas, err := withSchemas(l.modules)
	if err != nil {
		return err
	}
	c := l.compiler().
		WithStrict(true).
		WithEnablePrintStatements(true).
		WithSchemas(schemas)
	if c.Compile(modules); c.Failed() {
		return c.Errors
	}
	return nil
}

// compile compiles what decisions are made with.
func (l *loading) compile(prints bool) (*ast.Compiler, error) {
	c := l.compiler().WithEnablePrintStatements(prints)
	if c.Compile(l.modules); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}

// callsPrint reports whether any module calls print().
func callsPrint(modules map[string]*ast.Module) bool {
	found := false
	for _, m := range modules {
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			if e.IsCall() && e.Operator().String() == ast.Print.Name {
				found = true
			}
			return found
		})
	}
	return found
}

// dataFinder tells the compiler which paths hold data, so that a rule and a
// document of the same name are refused.
func dataFinder(documents map[string]any) func(path []string) (bool, error) {
	return func(path []string) (bool, error) {
		if len(path) == 0 {
			return false, nil
		}
		node := documents
		for _, key := range path {
			value, ok := node[key]
			if !ok {
				return false, nil
			}
			if node, ok = value.(map[string]any); !ok {
				return true, nil
			}
		}
		return true, nil
	}
}
