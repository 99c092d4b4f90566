package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// scopesCacheShare is the part of [Options.CacheBytes] that scopes get besides: one
// in so many. There is one entry for each token, whatever it asks for.
const scopesCacheShare = 8

// heldScopes finds out, and keeps, the scopes of subjects.
type heldScopes struct {
	plan   *plan
	inputs inputs
	cache  *cache.Cache[*string]
}

func (s *Snapshot) newHeldScopes(a *analyzer, patterns []string) heldScopes {
	p := newPlan(0, walk(a.entry(documentScopes.ref()), nil))
	return heldScopes{
		plan: p, inputs: newInputs(p.reads, patterns),
		cache: cache.New[*string](s.options.CacheBytes / scopesCacheShare),
	}
}

// Scopes are those that count of a request's subject now, as data.authz.scopes says,
// separated by spaces (RFC 6749 section 3.3): what is told to whoever trusts our word.
// None where the policy has no such rule. It decides nothing. Errors are as for
// [Snapshot.Decide].
func (s *Snapshot) Scopes(ctx context.Context, r *authz.Request) (string, error) {
	q := s.queries[documentScopes]
	if q == nil {
		return "", nil
	}
	h := &s.heldScopes
	var key *[]byte
	if h.cache != nil && h.plan.cacheable {
		key = s.key(h.plan, r)
		defer s.keys.Put(key)
		if known, ok := h.cache.GetBytes(*key); ok {
			return *known, nil
		}
	}
	input, err := h.inputs.authz(r)
	if err != nil {
		return "", err
	}
	about := func() string { return requestText(r) }
	value, err := s.ask(ctx, documentScopes, h.plan.slow, input, r.Now, about)
	if err != nil {
		return "", err
	}
	scopes, err := decodeScopes(value)
	if err != nil {
		s.wrongType(documentScopes, about, err)
		return "", nil
	}
	text := strings.Join(scopes, " ")
	if key != nil {
		h.cache.Put(string(*key), &text, 64+len(text))
	}
	return text, nil
}

// decodeScopes reads a list or set of scope tokens; nil where the value is undefined.
func decodeScopes(value ast.Value) ([]string, error) {
	if value == nil {
		return nil, nil
	}
	r := &reader{}
	scopes := r.scope(ast.NewObject(ast.Item(answerKeys["scope"], ast.NewTerm(value))))
	if r.err != nil {
		return nil, fmt.Errorf("it is not a list of scopes: %w", r.err)
	}
	return scopes, nil
}
