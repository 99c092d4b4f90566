package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/policy/schema"
)

// inputSchemas says which package (with its sub-packages) gets which file of
// package schema as the schema of its input.
var inputSchemas = map[string]string{
	"authz":   "authz.json",
	"token":   "token.json",
	"authzen": "authzen.json",
}

// withSchemas returns copies of the modules in which every package that is
// asked for decisions declares the schema of its input, and the schemas. It
// writes what an author could write as METADATA, so an author's own declaration
// for a package, document or rule stays in force.
func withSchemas(modules map[string]*ast.Module) (map[string]*ast.Module, *ast.SchemaSet, error) {
	set := ast.NewSchemaSet()
	refs := map[string]ast.Ref{}
	for pkg, name := range inputSchemas {
		raw, err := schema.FS.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read the input schema of package %s: %w", pkg, err)
		}
		var parsed any
		if err := json.Unmarshal(raw, &parsed); err != nil {
			return nil, nil, fmt.Errorf("read the input schema of package %s: %w", pkg, err)
		}
		refs[pkg] = ast.Ref{ast.SchemaRootDocument, ast.StringTerm(strings.TrimSuffix(name, ".json"))}
		set.Put(refs[pkg], parsed)
	}

	out := make(map[string]*ast.Module, len(modules))
	byPackage := map[string][]*ast.Module{}
	var inherited []ast.Ref // packages below which the author declares input
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m := modules[name].Copy()
		out[name] = m
		for _, a := range m.Annotations {
			a.Schemas = slices.DeleteFunc(slices.Clone(a.Schemas), func(s *ast.SchemaAnnotation) bool {
				// A schema of the author's own, which only `opa check --schema`
				// has; without it, stock OPA passes over the declaration, too.
				return s.Schema != nil && set.Get(s.Schema) == nil
			})
			if a.Scope == "subpackages" && declaresInput(a) {
				inherited = append(inherited, m.Package.Path)
			}
		}
		if decided(m.Package) != "" {
			key := m.Package.Path.String()
			byPackage[key] = append(byPackage[key], m)
		}
	}
	for _, parts := range byPackage {
		if slices.ContainsFunc(inherited, parts[0].Package.Path.HasPrefix) {
			continue
		}
		declareInput(parts, refs[decided(parts[0].Package)])
	}
	return out, set, nil
}

// decided returns the key of inputSchemas for a package; "" where it has none,
// and for packages of tests.
func decided(pkg *ast.Package) string {
	if len(pkg.Path) < 2 {
		return ""
	}
	for _, term := range pkg.Path[1:] {
		if name, ok := term.Value.(ast.String); !ok || strings.HasSuffix(string(name), "_test") {
			return ""
		}
	}
	name := string(pkg.Path[1].Value.(ast.String))
	if _, ok := inputSchemas[name]; !ok {
		return ""
	}
	return name
}

// declareInput declares the schema of input in one of a package's modules. A
// package may have one package annotation only, so an existing one is added to.
func declareInput(parts []*ast.Module, ref ast.Ref) {
	declaration := &ast.SchemaAnnotation{Path: ast.InputRootRef, Schema: ref}
	for _, m := range parts {
		for _, a := range m.Annotations {
			if a.Scope != "package" {
				continue
			}
			if !declaresInput(a) {
				a.Schemas = append(a.Schemas, declaration)
			}
			return
		}
	}
	m := parts[0]
	a := &ast.Annotations{
		Scope:    "package",
		Schemas:  []*ast.SchemaAnnotation{declaration},
		Location: m.Package.Location,
	}
	m.Annotations = append(m.Annotations, a.Copy(m.Package))
}

// declaresInput reports whether an annotation says what input looks like.
func declaresInput(a *ast.Annotations) bool {
	return slices.ContainsFunc(a.Schemas, func(s *ast.SchemaAnnotation) bool {
		return s.Path.Equal(ast.InputRootRef)
	})
}
