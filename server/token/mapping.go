package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/authz"
)

// claimPath leads to a value in a claims set.
type claimPath []string

// parseClaimPath reads a claim's place: member names with dots between them
// ("realm_access.roles"), a JSON Pointer ("/resource_access/my.app/roles", RFC
// 6901), or the whole name of a claim that is a URL ("https://example.com/roles").
func parseClaimPath(text string) (claimPath, error) {
	switch {
	case text == "":
		return nil, errors.New("is empty; name a claim")
	case strings.HasPrefix(text, "/"):
		parts := strings.Split(text[1:], "/")
		for i, part := range parts {
			if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(part), "~") {
				return nil, fmt.Errorf("%q is no JSON Pointer (RFC 6901): ~ is written ~0", text)
			}
			parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		}
		return parts, nil
	case strings.Contains(text, "://"):
		return claimPath{text}, nil
	}
	parts := strings.Split(text, ".")
	if slices.Contains(parts, "") {
		return nil, fmt.Errorf("%q has an empty part; a name with dots in it is written as a JSON Pointer, such as /a.b", text)
	}
	return parts, nil
}

// find returns the value, if it is there.
func (p claimPath) find(claims map[string]any) (any, bool) {
	var value any = claims
	for _, name := range p {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

// ClaimMapping says which names (roles, or scopes) a subject has by its token.
type ClaimMapping struct {
	// Claim is where the issuer's names are: a list of strings, or one string with
	// spaces between them. Members are separated by dots; a text that begins with /
	// is a JSON Pointer, one with :// in it a claim's whole name. Empty: nowhere. A
	// token that lacks it has no names.
	Claim string
	// Map says what each of the issuer's names is called here. A name that is not in
	// it counts for nothing, unless KeepUnmapped is set.
	Map map[string][]string
	// KeepUnmapped takes the issuer's other names as they are.
	KeepUnmapped bool
	// Always are names that every subject of the issuer has.
	Always []string
}

// names is a [ClaimMapping], ready for use.
type names struct {
	what    string
	path    claimPath // nil: no claim
	mapping ClaimMapping
}

func newNames(what string, mapping ClaimMapping) (names, error) {
	n := names{what: what, mapping: mapping}
	if mapping.Claim == "" {
		if len(mapping.Map) > 0 || mapping.KeepUnmapped {
			return names{}, &IssuerError{what + ".claim", errors.New("is missing: say which claim holds them, such as realm_access.roles")}
		}
		return n, nil
	}
	var err error
	if n.path, err = parseClaimPath(mapping.Claim); err != nil {
		return names{}, &IssuerError{what + ".claim", err}
	}
	if len(mapping.Map) == 0 && !mapping.KeepUnmapped {
		return names{}, &IssuerError{what + ".map", errors.New("is missing: say what each of the issuer's names is called here, or take them as they are with `unmapped: keep`")}
	}
	return n, nil
}

// read returns the names, sorted, each once. A claim of another shape is an error,
// and not no names: a rule that asks for the absence of one must not be fooled.
func (n *names) read(claims map[string]any) ([]string, error) {
	found := slices.Clone(n.mapping.Always)
	if value, present := n.path.find(claims); n.path != nil && present && value != nil {
		theirs, ok := texts(value)
		if text, isText := value.(string); isText {
			theirs, ok = strings.Fields(text), true
		}
		if !ok {
			return nil, refuse(authz.TokenInvalidClaims, "the claim with the "+n.what+" is neither a string nor a list of strings")
		}
		for _, name := range theirs {
			ours, mapped := n.mapping.Map[name]
			switch {
			case mapped:
				found = append(found, ours...)
			case n.mapping.KeepUnmapped && name != "":
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// Requirement is a claim that a token must have, and with which value.
type Requirement struct {
	// Claim is a place, as in [ClaimMapping].
	Claim string
	// AnyOf are the values of which it must have one, or hold one if it is a list:
	// strings, booleans, or json.Number. Empty: any value but null.
	AnyOf []any
}

type requirement struct {
	path  claimPath
	anyOf []any
}

func (r *requirement) met(claims map[string]any) bool {
	value, present := r.path.find(claims)
	if !present || value == nil {
		return false
	}
	if len(r.anyOf) == 0 {
		return true
	}
	held := []any{value}
	if list, ok := value.([]any); ok {
		held = list
	}
	return slices.ContainsFunc(held, func(has any) bool {
		switch has.(type) {
		case string, bool, json.Number:
			return slices.Contains(r.anyOf, has)
		}
		return false
	})
}

// external is how the claims of another issuer's tokens are read.
type external struct {
	subject         claimPath
	roles, scopes   names
	require         []requirement
	withoutAudience bool
}

// fill takes what a good token says of its subject.
func (e *external) fill(v *Verified, claims map[string]any) error {
	for i := range e.require {
		if !e.require[i].met(claims) {
			return refuse(authz.TokenInvalidClaims, "a claim that the configuration requires is missing, or has another value")
		}
	}
	value, _ := e.subject.find(claims)
	subject, ok := value.(string)
	if !ok || subject == "" {
		return refuse(authz.TokenInvalidClaims, "the claim with the subject is missing, not a string, or empty")
	}
	if id, present := claims["jti"]; present {
		v.ID, _ = id.(string)
	}
	roles, err := e.roles.read(claims)
	if err != nil {
		return err
	}
	scopes, err := e.scopes.read(claims)
	if err != nil {
		return err
	}
	v.Subject = subject
	v.External = &authz.Subject{
		Kind: authz.KindExternal, ID: subject, Issuer: v.Issuer,
		// Lists, also where there is nothing in them: the policy tells empty from absent.
		Roles: append([]string{}, roles...), Scopes: append([]string{}, scopes...),
	}
	return nil
}
