package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// PrepareClaims turns a token's claims into the engine's own form, to be kept
// as the Prepared member of [authz.Claims] for as long as the token is: it
// saves building them for each request. It returns nil for claims that have no
// such form, which no decoded JSON is.
func PrepareClaims(claims map[string]any) any {
	v, err := ast.InterfaceToValue(claims)
	if err != nil {
		return nil
	}
	return v
}

// PrepareSubject does the same for a subject, to be kept as its Prepared member.
// It returns nil for attributes that have no such form, which no decoded JSON is.
func PrepareSubject(s *authz.Subject) any {
	v, err := newSubjectValue(s)
	if err != nil {
		return nil
	}
	return v
}

// The names of the inputs' members. They are never changed, so that building an
// input does not allocate them.
var (
	keyMethod     = ast.StringTerm("method")
	keyHost       = ast.StringTerm("host")
	keyPath       = ast.StringTerm("path")
	keySegments   = ast.StringTerm("segments")
	keyRoute      = ast.StringTerm("route")
	keyParams     = ast.StringTerm("params")
	keyQuery      = ast.StringTerm("query")
	keyHeaders    = ast.StringTerm("headers")
	keyPreflight  = ast.StringTerm("preflight")
	keySubject    = ast.StringTerm("subject")
	keyClaims     = ast.StringTerm("claims")
	keyResource   = ast.StringTerm("resource")
	keyTokenError = ast.StringTerm("token_error")
	keyClientIP   = ast.StringTerm("client_ip")
	keyNow        = ast.StringTerm("now")

	keyKind       = ast.StringTerm("kind")
	keyID         = ast.StringTerm("id")
	keyUsername   = ast.StringTerm("username")
	keyRoles      = ast.StringTerm("roles")
	keyDisabled   = ast.StringTerm("disabled")
	keyAttributes = ast.StringTerm("attributes")

	keyGrantType = ast.StringTerm("grant_type")
	keyClient    = ast.StringTerm("client")
	keyScope     = ast.StringTerm("scope")
	keyAudience  = ast.StringTerm("audience")
	keyAMR       = ast.StringTerm("amr")
)

// members collects an object's members.
type members [][2]*ast.Term

func (m *members) add(key, value *ast.Term) { *m = append(*m, [2]*ast.Term{key, value}) }

// text adds a string unless it is empty.
func (m *members) text(key *ast.Term, s string) {
	if s != "" {
		m.add(key, ast.InternedTerm(s))
	}
}

func (m *members) value(key *ast.Term, v ast.Value) { m.add(key, ast.NewTerm(v)) }

// inputs builds the inputs of one policy. The zero value builds any policy's.
type inputs struct {
	// unread are the members that the policy does not read. Leaving them out makes
	// no difference but the work of building them.
	unread map[*ast.Term]bool
	// words are values that come again and again.
	words map[string]*ast.Term
}

// newInputs is for a policy that reads these members of its input.
func newInputs(read []memberKey, patterns []string) inputs {
	in := inputs{unread: map[*ast.Term]bool{}, words: map[string]*ast.Term{}}
	for _, key := range []*ast.Term{keyHost, keyPath, keySegments, keyParams, keyQuery, keyHeaders, keyPreflight, keyClientIP, keyNow} {
		name := string(key.Value.(ast.String))
		in.unread[key] = !slices.ContainsFunc(read, func(m memberKey) bool { return m.name == name })
	}
	for _, word := range append(slices.Clone(patterns), "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "type", "id", "owner") {
		in.words[word] = ast.StringTerm(word)
	}
	return in
}

// text adds a string unless it is empty.
func (in inputs) text(m *members, key *ast.Term, s string) {
	if s == "" || in.unread[key] {
		return
	}
	m.add(key, in.term(s))
}

// term is a string's, made once for a word.
func (in inputs) term(s string) *ast.Term {
	if word := in.words[s]; word != nil {
		return word
	}
	return ast.InternedTerm(s)
}

// object is what [ast.InterfaceToValue] makes of an object, for less.
func (in inputs) object(values map[string]any) (ast.Value, error) {
	m := make(members, 0, len(values))
	for name, value := range values {
		if s, ok := value.(string); ok {
			m.add(in.term(name), in.term(s))
			continue
		}
		v, err := ast.InterfaceToValue(value)
		if err != nil {
			return nil, err
		}
		m.value(in.term(name), v)
	}
	return ast.NewObject(m...), nil
}

// authz builds the input of data.authz.decision. An empty member is left out, so
// that a policy sees it as undefined.
func (in inputs) authz(r *authz.Request) (ast.Value, error) {
	m := make(members, 0, 16)
	in.text(&m, keyMethod, r.Method)
	in.text(&m, keyHost, r.Host)
	in.text(&m, keyPath, r.Path)
	if len(r.Segments) > 0 && !in.unread[keySegments] {
		m.value(keySegments, stringsValue(r.Segments))
	}
	in.text(&m, keyRoute, r.Route)
	if len(r.Params) > 0 && !in.unread[keyParams] {
		m.value(keyParams, paramsValue(r.Params))
	}
	if len(r.Query) > 0 && !in.unread[keyQuery] {
		m.value(keyQuery, listsValue(r.Query))
	}
	if len(r.Headers) > 0 && !in.unread[keyHeaders] {
		m.value(keyHeaders, listsValue(r.Headers))
	}
	in.text(&m, keyPreflight, r.Preflight)
	if r.Subject != nil {
		v, err := subjectValue(r.Subject)
		if err != nil {
			return nil, err
		}
		m.value(keySubject, v)
	}
	if r.Claims != nil {
		v, err := claimsValue(r.Claims)
		if err != nil {
			return nil, err
		}
		m.value(keyClaims, v)
	}
	if r.Resource != nil {
		v, err := in.object(r.Resource)
		if err != nil {
			return nil, fmt.Errorf("build the policy's input: resource: %w", err)
		}
		m.value(keyResource, v)
	}
	in.text(&m, keyTokenError, string(r.TokenError))
	in.text(&m, keyClientIP, r.ClientIP)
	if !r.Now.IsZero() && !in.unread[keyNow] {
		m.text(keyNow, timestamp(r.Now))
	}
	return ast.NewObject(m...), nil
}

// authzInput is the input of data.authz.decision, whole.
func authzInput(r *authz.Request) (ast.Value, error) { return inputs{}.authz(r) }

// tokenInput builds the input of data.token.decision.
func tokenInput(r *authz.GrantRequest) (ast.Value, error) {
	m := make(members, 0, 8)
	m.text(keyGrantType, r.GrantType)
	if r.Subject != nil {
		v, err := subjectValue(r.Subject)
		if err != nil {
			return nil, err
		}
		m.value(keySubject, v)
	}
	client := make(members, 0, 1)
	client.text(keyID, r.ClientID)
	m.value(keyClient, ast.NewObject(client...))
	// Nothing requested and an empty list requested are two things.
	if r.Scope != nil {
		m.value(keyScope, stringsValue(r.Scope))
	}
	if r.Audience != nil {
		m.value(keyAudience, stringsValue(r.Audience))
	}
	m.value(keyAMR, stringsValue(r.AMR))
	m.text(keyClientIP, r.ClientIP)
	m.text(keyNow, timestamp(r.Now))
	return ast.NewObject(m...), nil
}

// timestamp is RFC 3339 in UTC, to the second.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func subjectValue(s *authz.Subject) (ast.Value, error) {
	if v, ok := s.Prepared.(ast.Value); ok {
		return v, nil
	}
	return newSubjectValue(s)
}

func newSubjectValue(s *authz.Subject) (ast.Value, error) {
	m := make(members, 0, 6)
	m.text(keyKind, string(s.Kind))
	m.text(keyID, s.ID)
	m.text(keyUsername, s.Username)
	m.value(keyRoles, stringsValue(s.Roles))
	m.add(keyDisabled, ast.InternedTerm(s.Disabled))
	attributes, err := ast.InterfaceToValue(s.Attributes)
	if err != nil {
		return nil, fmt.Errorf("build the policy's input: the subject's attributes: %w", err)
	}
	m.value(keyAttributes, attributes)
	return ast.NewObject(m...), nil
}

func claimsValue(c *authz.Claims) (ast.Value, error) {
	if v, ok := c.Prepared.(ast.Value); ok {
		return v, nil
	}
	v, err := ast.InterfaceToValue(c.Values)
	if err != nil {
		return nil, fmt.Errorf("build the policy's input: claims: %w", err)
	}
	return v, nil
}

func stringsValue(list []string) ast.Value {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = ast.InternedTerm(s)
	}
	return ast.NewArray(terms...)
}

func paramsValue(params map[string]string) ast.Value {
	m := make(members, 0, len(params))
	for k, v := range params {
		m.add(ast.InternedTerm(k), ast.InternedTerm(v))
	}
	return ast.NewObject(m...)
}

func listsValue(lists map[string][]string) ast.Value {
	m := make(members, 0, len(lists))
	for k, list := range lists {
		m.value(ast.InternedTerm(k), stringsValue(list))
	}
	return ast.NewObject(m...)
}
