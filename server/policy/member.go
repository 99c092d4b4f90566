package policy

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// member is one member of the policy's input. The tables of members are the only
// place that says what there is: the input is built by them, and the key of a
// cached decision is written by them. So what a policy can see is in its key, and
// a name that no table has is absent from every input.
type member[From any] struct {
	name string
	term *ast.Term // the name, made once
	// value is the member in the engine's own form; nil leaves it out.
	value func(in inputs, from From) (*ast.Term, error)
	// key makes what writes the member, or what of it a path leads to. That may
	// write more: it tells more requests apart than it must, never fewer.
	key func(path []string) keyWriter[From]
	// always is set where the value can't be made of everything. It is made even if
	// the policy does not read it, so that what is no JSON is an error and not left
	// out.
	always bool
}

// keyWriter appends to the key of a decision.
type keyWriter[From any] func(key []byte, from From) []byte

// requestMembers are the members of the input of data.authz.decision. An empty
// one is left out, so that a policy sees it as undefined.
var requestMembers = []*member[*authz.Request]{
	textMember("method", func(r *authz.Request) string { return r.Method }),
	textMember("host", func(r *authz.Request) string { return r.Host }),
	textMember("path", func(r *authz.Request) string { return r.Path }),
	{
		name: "segments", term: ast.StringTerm("segments"),
		value: func(_ inputs, r *authz.Request) (*ast.Term, error) {
			if len(r.Segments) == 0 {
				return nil, nil
			}
			return ast.NewTerm(stringsValue(r.Segments)), nil
		},
		key: whole(func(key []byte, r *authz.Request) []byte { return appendTexts(key, r.Segments) }),
	},
	textMember("route", func(r *authz.Request) string { return r.Route }),
	mapMember("params", ast.InternedTerm, appendFullText, func(r *authz.Request) map[string]string { return r.Params }),
	mapMember("query", stringsTerm, appendTexts, func(r *authz.Request) map[string][]string { return r.Query }),
	mapMember("headers", stringsTerm, appendTexts, func(r *authz.Request) map[string][]string { return r.Headers }),
	textMember("preflight", func(r *authz.Request) string { return r.Preflight }),
	{
		name: "subject", term: ast.StringTerm("subject"),
		value: func(_ inputs, r *authz.Request) (*ast.Term, error) {
			if r.Subject == nil {
				return nil, nil
			}
			return term(subjectValue(r.Subject))
		},
		key: func(path []string) keyWriter[*authz.Request] {
			write := subjectKey(path)
			return func(key []byte, r *authz.Request) []byte {
				if r.Subject == nil {
					return append(key, kindAbsent)
				}
				return write(key, r.Subject)
			}
		},
		always: true,
	},
	{
		name: "claims", term: ast.StringTerm("claims"),
		value: func(_ inputs, r *authz.Request) (*ast.Term, error) {
			if r.Claims == nil {
				return nil, nil
			}
			return term(claimsValue(r.Claims))
		},
		key:    func(path []string) keyWriter[*authz.Request] { return claimsKey(path) },
		always: true,
	},
	{
		name: "resource", term: ast.StringTerm("resource"),
		value: func(in inputs, r *authz.Request) (*ast.Term, error) {
			if r.Resource == nil {
				return nil, nil
			}
			v, err := in.object(r.Resource)
			if err != nil {
				return nil, fmt.Errorf("build the policy's input: resource: %w", err)
			}
			return ast.NewTerm(v), nil
		},
		key: func(path []string) keyWriter[*authz.Request] {
			return func(key []byte, r *authz.Request) []byte {
				if r.Resource == nil {
					return append(key, kindAbsent)
				}
				return appendWithin(key, path, r.Resource)
			}
		},
		always: true,
	},
	textMember("token_error", func(r *authz.Request) string { return string(r.TokenError) }),
	textMember("client_ip", func(r *authz.Request) string { return r.ClientIP }),
	textMember("now", func(r *authz.Request) string { return timestamp(r.Now) }),
}

// subjectMembers are the members of a subject. roles, disabled and attributes are
// always there.
var subjectMembers = []*member[*authz.Subject]{
	textMember("kind", func(s *authz.Subject) string { return string(s.Kind) }),
	textMember("id", func(s *authz.Subject) string { return s.ID }),
	textMember("username", func(s *authz.Subject) string { return s.Username }),
	{
		name: "roles", term: ast.StringTerm("roles"),
		value: func(_ inputs, s *authz.Subject) (*ast.Term, error) { return stringsTerm(s.Roles), nil },
		key:   whole(func(key []byte, s *authz.Subject) []byte { return appendTexts(key, s.Roles) }),
	},
	{
		// Left out for an account, which has none; an empty list for a client or an
		// external subject that has none.
		name: "scopes", term: ast.StringTerm("scopes"),
		value: func(_ inputs, s *authz.Subject) (*ast.Term, error) {
			if !carriesScopes(s) {
				return nil, nil
			}
			return stringsTerm(s.Scopes), nil
		},
		key: whole(func(key []byte, s *authz.Subject) []byte {
			if !carriesScopes(s) {
				return append(key, kindAbsent)
			}
			return appendTexts(key, s.Scopes)
		}),
	},
	textMember("issuer", func(s *authz.Subject) string { return s.Issuer }),
	{
		name: "disabled", term: ast.StringTerm("disabled"),
		value: func(_ inputs, s *authz.Subject) (*ast.Term, error) { return ast.InternedTerm(s.Disabled), nil },
		key:   whole(func(key []byte, s *authz.Subject) []byte { return appendBoolean(key, s.Disabled) }),
	},
	{
		name: "attributes", term: ast.StringTerm("attributes"),
		value: func(_ inputs, s *authz.Subject) (*ast.Term, error) {
			v, err := ast.InterfaceToValue(s.Attributes)
			if err != nil {
				return nil, fmt.Errorf("build the policy's input: the subject's attributes: %w", err)
			}
			return ast.NewTerm(v), nil
		},
		key: func(path []string) keyWriter[*authz.Subject] {
			return func(key []byte, s *authz.Subject) []byte { return appendWithin(key, path, s.Attributes) }
		},
	},
}

// carriesScopes reports whether a subject has scopes beside those of its roles.
func carriesScopes(s *authz.Subject) bool {
	return s.Scopes != nil || s.Kind == authz.KindClient || s.Kind == authz.KindExternal
}

// textMember is a text that is left out when it is empty.
func textMember[From any](name string, text func(From) string) *member[From] {
	return &member[From]{
		name: name, term: ast.StringTerm(name),
		value: func(in inputs, from From) (*ast.Term, error) {
			if s := text(from); s != "" {
				return in.term(s), nil
			}
			return nil, nil
		},
		key: whole(func(key []byte, from From) []byte { return appendText(key, text(from)) }),
	}
}

// mapMember is an object of values of one type, left out when it is empty.
func mapMember[V any](name string, value func(V) *ast.Term, appendV func([]byte, V) []byte, object func(*authz.Request) map[string]V) *member[*authz.Request] {
	return &member[*authz.Request]{
		name: name, term: ast.StringTerm(name),
		value: func(_ inputs, r *authz.Request) (*ast.Term, error) {
			if len(object(r)) == 0 {
				return nil, nil
			}
			m := make(members, 0, len(object(r)))
			for k, v := range object(r) {
				m.add(ast.InternedTerm(k), value(v))
			}
			return ast.NewTerm(ast.NewObject(m...)), nil
		},
		key: func(path []string) keyWriter[*authz.Request] {
			return func(key []byte, r *authz.Request) []byte { return appendMap(key, path, object(r), appendV) }
		},
	}
}

// build makes an object of its members.
func build[From any](in inputs, table []*member[From], from From) (ast.Value, error) {
	m := make(members, 0, len(table))
	for _, row := range table {
		value, err := row.value(in, from)
		if err != nil {
			return nil, err
		}
		if value != nil {
			m.add(row.term, value)
		}
	}
	return ast.NewObject(m...), nil
}

// whole writes all of a member, wherever in it a path leads.
func whole[From any](write keyWriter[From]) func([]string) keyWriter[From] {
	return func([]string) keyWriter[From] { return write }
}

// keyOf makes what writes a member below an object that has those of a table. One
// that the table does not have is always absent: the object is made by it.
func keyOf[From any](table []*member[From], path []string) keyWriter[From] {
	i := slices.IndexFunc(table, func(row *member[From]) bool { return row.name == path[0] })
	if i < 0 {
		return func(key []byte, _ From) []byte { return append(key, kindAbsent) }
	}
	return table[i].key(path[1:])
}

func term(v ast.Value, err error) (*ast.Term, error) {
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(v), nil
}
