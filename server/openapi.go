package server

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync/atomic"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/server/openapi"
	"github.com/stagedoor/stagedoor/server/policy"
)

// apiDocument is the OpenAPI document whose routes are part of the policy's data.
type apiDocument struct {
	name    string
	builtIn func(pattern string) string
	// imported is what it was when it was last read, be that live or not.
	imported atomic.Pointer[openapi.Import]
}

// newAPIDocument is the document that the configuration names; nil where it names none.
func newAPIDocument(cfg *Config) (*apiDocument, error) {
	if cfg.OpenAPI == "" {
		return nil, nil
	}
	builtIn, err := policy.UnderBuiltIn(BuiltInRoutes(cfg.Demo))
	return &apiDocument{name: cfg.OpenAPI, builtIn: builtIn}, err
}

// source is the document as data of the policy.
func (d *apiDocument) source() policy.Source { return policy.File(d.name).Derive(d.derive) }

func (d *apiDocument) derive(_ string, text []byte) (policy.Derived, error) {
	imported, err := openapi.Read(text, openapi.Options{BuiltIn: d.builtIn})
	if err != nil {
		refused := &policy.FileError{Err: err}
		var at *openapi.Error
		if errors.As(err, &at) {
			refused.Line, refused.Err = at.Line, errors.New(at.Message)
		}
		return policy.Derived{}, refused
	}
	d.imported.Store(imported)
	document, err := imported.JSON()
	if err != nil {
		return policy.Derived{}, err
	}
	derived := policy.Derived{
		Data: document, Routes: map[string]int{},
		ListAll: fmt.Sprintf("`stagedoor policy import %s` lists them all", quoted(d.name)),
	}
	for _, r := range imported.Routes {
		if len(r.Methods) > 0 {
			derived.Routes[r.Pattern] = r.Line
		}
	}
	for _, item := range imported.Left {
		derived.Left = append(derived.Left, policy.Problem{Line: item.Line, Message: item.String()})
	}
	return derived, nil
}

// validOpenAPI accepts a file that can be data, beside an upstream that can serve it.
func (c *Config) validOpenAPI() error {
	if c.OpenAPI == "" {
		return nil
	}
	info, err := os.Stat(c.OpenAPI)
	switch ext := filepath.Ext(c.OpenAPI); {
	case err != nil:
		return &ConfigError{Option: "openapi", Err: err}
	case !info.Mode().IsRegular():
		return invalid("openapi", "%s is not a file", c.OpenAPI)
	case ext != ".yaml" && ext != ".yml" && ext != ".json":
		return invalid("openapi", "%s has to be named .yaml, .yml or .json", c.OpenAPI)
	case c.Upstream == "" && c.Data == "" && c.Policies == "":
		return errNoUpstream
	}
	return nil
}

var errNoUpstream = invalid("openapi", "no upstream serves the document's routes: name the service, as in --upstream http://127.0.0.1:9000, or declare it in data/upstreams.yaml")

// hasUpstream reports whether an upstream gets any of the document's routes.
func (d *apiDocument) hasUpstream(snapshot *policy.Snapshot) bool {
	routes := d.imported.Load().Routes
	return len(routes) == 0 || slices.ContainsFunc(routes, func(r openapi.Route) bool { return snapshot.Upstream(r.Pattern) != nil })
}

// source is what the policy is loaded from. Beside a document, the embedded
// routes are only those that the server itself serves: the others are a demo's.
func (s *Server) source() (policy.Source, error) {
	if s.document == nil {
		return PolicySource(s.cfg.Policies, s.cfg.Data)
	}
	embedded := policy.FS(nil, data.FS).Derive(onlyRoutes(BuiltInRoutes(s.cfg.Demo)))
	source, err := policySource(s.cfg.Policies, s.cfg.Data, embedded)
	if err != nil {
		return policy.Source{}, err
	}
	return policy.Join(source, s.document.source()), nil
}

// onlyRoutes leaves out of routes.yaml what is not among the patterns.
func onlyRoutes(patterns []string) policy.Derive {
	return func(name string, text []byte) (policy.Derived, error) {
		if path.Base(filepath.ToSlash(name)) != "routes.yaml" {
			return policy.Derived{Data: text}, nil
		}
		var document struct {
			Routes map[string]any `yaml:"routes"`
		}
		if err := yaml.Unmarshal(text, &document); err != nil {
			return policy.Derived{}, fmt.Errorf("reading the embedded routes: %w", err)
		}
		for pattern := range document.Routes {
			if !slices.Contains(patterns, pattern) {
				delete(document.Routes, pattern)
			}
		}
		left, err := yaml.Marshal(document)
		return policy.Derived{Data: left}, err
	}
}
