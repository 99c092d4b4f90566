package openapi

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Condition is what a method asks for: nothing (Public), all of the Scopes, or, without
// any, somebody who is known.
type Condition struct {
	Public bool
	Scopes []string // sorted, none twice
}

func (c Condition) equal(other Condition) bool {
	return c.Public == other.Public && slices.Equal(c.Scopes, other.Scopes)
}

// members is the condition as data/routes.yaml has it.
func (c Condition) members() map[string]any {
	switch {
	case c.Public:
		return map[string]any{"public": true}
	case len(c.Scopes) > 0:
		return map[string]any{"scopes": c.Scopes}
	}
	return map[string]any{"authenticated": true}
}

// untranslated says why an operation, or a path, can't be a route, and what to do.
type untranslated struct {
	line           int
	reason, advice string
}

// leftOut turns an error of reading one place into why that place is left out. An
// error of the whole document stays one.
func leftOut(err error) *untranslated {
	if refused, ok := err.(*Error); ok {
		return &untranslated{refused.Line, refused.Message, ""}
	}
	return &untranslated{0, err.Error(), ""}
}

// scheme is what is known of a security scheme.
type scheme struct {
	// bearer is a scheme whose tokens are ours to ask for.
	bearer bool
	// names says that its requirements may be role names (OpenAPI 3.1), not scopes.
	names bool
	what  string
}

// schemes reads components.securitySchemes, those that are asked for.
type schemes struct {
	r     *reader
	nodes *mapping // nil where there are none
	known map[string]scheme
}

// find reads a scheme by its name.
func (s *schemes) find(name string, at *yaml.Node) (scheme, error) {
	if known, ok := s.known[name]; ok {
		return known, nil
	}
	var node *yaml.Node
	if s.nodes != nil {
		node = s.nodes.get(name)
	}
	if node == nil {
		return scheme{}, refuse(at, "names the security scheme %q, which components.securitySchemes does not have", name)
	}
	m, err := s.r.follow(node, fmt.Sprintf("the security scheme %q", name))
	if err != nil {
		return scheme{}, err
	}
	kind, _ := text(m.get("type"))
	found := scheme{what: kind}
	switch kind {
	case "oauth2", "openIdConnect":
		found.bearer = true
	case "http":
		how, _ := text(m.get("scheme"))
		found.what = "http " + how
		if strings.EqualFold(how, "bearer") {
			found.bearer, found.names = true, true
		}
	case "apiKey", "mutualTLS":
	default:
		return scheme{}, refuse(node, "names the security scheme %q, whose type %q is not known", name, kind)
	}
	s.known[name] = found
	return found, nil
}

// condition translates a security member: a list of alternatives, each an object of
// schemes that are all required.
func (s *schemes) condition(node *yaml.Node) (_ Condition, notes []string, _ *untranslated) {
	list, err := s.r.items(node, "security")
	if err != nil {
		return Condition{}, nil, leftOut(err)
	}
	if len(list) == 0 {
		return Condition{Public: true}, nil, nil
	}
	if len(list) > maxAlternatives {
		return Condition{}, nil, leftOut(refuse(node, "security has more than %d alternatives", maxAlternatives))
	}
	var alternatives [][]string
	var refused []string // schemes that can't be asked for here
	public := false
	for _, item := range list {
		m, err := s.r.mapping(item, "an alternative of security")
		if err != nil {
			return Condition{}, nil, leftOut(err)
		}
		if len(m.list) == 0 {
			public = true
			continue
		}
		scopes, cant, more, err := s.alternative(m)
		if err != nil {
			return Condition{}, nil, leftOut(err)
		}
		notes = append(notes, more...)
		if len(cant) > 0 {
			refused = append(refused, cant...)
			continue
		}
		alternatives = append(alternatives, scopes)
	}
	slices.Sort(refused)
	refused = slices.Compact(refused)
	if public {
		if len(list) > 1 {
			return Condition{Public: true}, []string{"its authentication is optional, so anyone may call it"}, nil
		}
		return Condition{Public: true}, nil, nil
	}
	at := resolve(node).Line
	if len(alternatives) == 0 {
		return Condition{}, nil, &untranslated{at, "asks for " + strings.Join(refused, ", ") + ", which can't be asked for here", "give it an oauth2, openIdConnect or http bearer scheme"}
	}
	least := weakest(alternatives)
	if len(least) > 1 {
		return Condition{}, nil, &untranslated{at, "has alternatives of which none includes the other: " + either(least), "ask for one set of scopes; all conditions of a route have to be met"}
	}
	if len(refused) > 0 {
		notes = append(notes, "can't be called with "+strings.Join(refused, ", ")+" here, which the document allows, too")
	}
	return Condition{Scopes: least[0]}, notes, nil
}

// alternative reads one set of schemes: the scopes of all of them, and those schemes
// that can't be asked for.
func (s *schemes) alternative(m *mapping) (scopes, cant, notes []string, _ error) {
	scopes = []string{}
	for _, requirement := range m.list {
		found, err := s.find(requirement.name, requirement.key)
		if err != nil {
			return nil, nil, nil, err
		}
		list, err := s.r.items(requirement.value, "the scopes of "+requirement.name)
		if err != nil {
			return nil, nil, nil, err
		}
		if len(scopes)+len(list) > maxScopes {
			return nil, nil, nil, refuse(requirement.key, "asks for more than %d scopes", maxScopes)
		}
		if !found.bearer {
			cant = append(cant, fmt.Sprintf("%s (%s)", requirement.name, found.what))
			continue
		}
		if found.names && len(list) > 0 {
			notes = append(notes, "what "+requirement.name+" asks for may be meant as roles; it is taken for scopes")
		}
		for _, item := range list {
			scope, ok := text(item)
			if !ok || !isScope(scope) {
				return nil, nil, nil, refuse(item, "asks for %q, which is no scope (RFC 6749 section 3.3)", item.Value)
			}
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), cant, notes, nil
}

// weakest leaves out the sets of scopes that hold all of another one.
func weakest(sets [][]string) [][]string {
	slices.SortStableFunc(sets, func(a, b []string) int { return len(a) - len(b) })
	var least [][]string
	for _, set := range sets {
		if !slices.ContainsFunc(least, func(less []string) bool {
			return !slices.ContainsFunc(less, func(scope string) bool { return !slices.Contains(set, scope) })
		}) {
			least = append(least, set)
		}
	}
	return least
}

// either names the first few alternatives.
func either(sets [][]string) string {
	var names []string
	for i, set := range sets {
		if i == 4 {
			names = append(names, "…")
			break
		}
		names = append(names, strings.Join(set, " "))
	}
	return strings.Join(names, ", or ")
}

// Limits of what is read as one security member.
const (
	maxAlternatives = 64
	maxScopes       = 64
	maxScope        = 128 // bytes; no client can have a longer one
)

// isSecurity reports whether a member is the security, in any spelling that somebody
// may have meant for it.
func isSecurity(name string) bool { return strings.EqualFold(strings.TrimSpace(name), "security") }

// isScope is scope-token of RFC 6749 section 3.3.
func isScope(scope string) bool {
	return scope != "" && len(scope) <= maxScope && !strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}
