package policy

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
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
	return &preparedClaims{value: v}
}

// preparedClaims is what is kept of a token's claims, none of which ever change.
type preparedClaims struct {
	value ast.Value
	// keys are what decisions' keys hold of them: two, since requests mostly come
	// for routes that read one or another set of them.
	keys [2]atomic.Pointer[keptKey]
}

// keptKey is what a key holds of claims.
type keptKey struct {
	of   string // the paths that it was made by, written out
	text []byte
}

// maxKeptKey is how long a text may be that is kept, in bytes. A longer one is not
// what reading a few claims makes.
const maxKeptKey = 256

// kept is what the paths lead to; nil where that was not kept. So is all of nil
// claims.
func (p *preparedClaims) kept(of string) *keptKey {
	if p == nil {
		return nil
	}
	for i := range p.keys {
		if k := p.keys[i].Load(); k != nil && k.of == of {
			return k
		}
	}
	return nil
}

// keep keeps a copy of the text, in place of what was kept longest.
func (p *preparedClaims) keep(of string, text []byte) {
	if p == nil || len(text) > maxKeptKey {
		return
	}
	// Two that do this at once can make one be forgotten, and no more.
	p.keys[1].Store(p.keys[0].Load())
	p.keys[0].Store(&keptKey{of, bytes.Clone(text)})
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

// The names of the token input's members. They are never changed, so that building
// an input does not allocate them.
var (
	keySubject   = ast.StringTerm("subject")
	keyClientIP  = ast.StringTerm("client_ip")
	keyNow       = ast.StringTerm("now")
	keyID        = ast.StringTerm("id")
	keyGrantType = ast.StringTerm("grant_type")
	keyClient    = ast.StringTerm("client")
	keyScope     = ast.StringTerm("scope")
	keyAudience  = ast.StringTerm("audience")
	keyAMR       = ast.StringTerm("amr")
	keySession   = ast.StringTerm("session")
	keyAuthTime  = ast.StringTerm("auth_time")

	keyConfidential = ast.StringTerm("confidential")
	keyGrants       = ast.StringTerm("grants")
	keyScopes       = ast.StringTerm("scopes")
	keyAudiences    = ast.StringTerm("audiences")
	keyDisabled     = ast.StringTerm("disabled")
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
	// read are the members to build; nil for all. Leaving out what the policy does
	// not read makes no difference but the work of building them.
	read []*member[*authz.Request]
	// words are values that come again and again.
	words map[string]*ast.Term
}

// newInputs is for a policy that reads these members of its input.
func newInputs(reads readSet, patterns []string) inputs {
	in := inputs{read: []*member[*authz.Request]{}, words: map[string]*ast.Term{}}
	for _, row := range requestMembers {
		if row.always || reads.touches(inputPath{row.name}) {
			in.read = append(in.read, row)
		}
	}
	for _, word := range append(slices.Clone(patterns), "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "type", "id", "owner") {
		in.words[word] = ast.StringTerm(word)
	}
	return in
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

// authz builds the input of data.authz.decision.
func (in inputs) authz(r *authz.Request) (ast.Value, error) {
	if in.read == nil {
		return build(in, requestMembers, r)
	}
	return build(in, in.read, r)
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
	if r.Client != nil {
		m.value(keyClient, clientValue(r.Client))
	}
	if r.Session != nil {
		m.value(keySession, sessionValue(r.Session))
	}
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

// clientValue has every member, so that a policy may negate one.
func clientValue(c *authz.GrantClient) ast.Value {
	m := make(members, 0, 6)
	m.text(keyID, c.ID)
	m.add(keyConfidential, ast.InternedTerm(c.Confidential))
	m.value(keyGrants, stringsValue(c.Grants))
	m.value(keyScopes, stringsValue(c.Scopes))
	m.value(keyAudiences, stringsValue(c.Audiences))
	m.add(keyDisabled, ast.InternedTerm(c.Disabled))
	return ast.NewObject(m...)
}

func sessionValue(s *authz.GrantSession) ast.Value {
	m := make(members, 0, 3)
	m.value(keyScope, stringsValue(s.Scope))
	m.value(keyAudience, stringsValue(s.Audience))
	m.text(keyAuthTime, timestamp(s.AuthTime))
	return ast.NewObject(m...)
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

func newSubjectValue(s *authz.Subject) (ast.Value, error) { return build(inputs{}, subjectMembers, s) }

func claimsValue(c *authz.Claims) (ast.Value, error) {
	if p, ok := c.Prepared.(*preparedClaims); ok {
		return p.value, nil
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

func stringsTerm(list []string) *ast.Term { return ast.NewTerm(stringsValue(list)) }
