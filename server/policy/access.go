package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// DecideAccess asks data.authzen.decision. Its answer is true or false, or an object
// with allow, reasons and context. What it says of denials, warnings and errors is as
// for [Snapshot.Decide]; a policy without the package denies everything.
func (s *Snapshot) DecideAccess(ctx context.Context, r *authz.AccessRequest) (authz.Access, error) {
	return s.AccessQuestions().Decide(ctx, r)
}

// AccessQuestions are questions that are asked one after the other and have much in
// common: those of a batch, or of a search. What they share (properties or a context,
// by the same map) is made into the policy's own form once, so that a thousand
// questions about a context of 1 MiB don't cost a thousand times that. The maps must
// not change meanwhile. Not for concurrent use.
type AccessQuestions struct {
	snapshot *Snapshot
	made     map[uintptr]madeObject
}

// madeObject holds the map, too, so that no other can have its address.
type madeObject struct {
	of    map[string]any
	value ast.Value
}

// AccessQuestions returns a series of questions for [AccessQuestions.Decide].
func (s *Snapshot) AccessQuestions() *AccessQuestions { return &AccessQuestions{snapshot: s} }

// Decide is [Snapshot.DecideAccess].
func (q *AccessQuestions) Decide(ctx context.Context, r *authz.AccessRequest) (authz.Access, error) {
	s := q.snapshot
	denied := authz.Access{Revision: s.revision}
	input, err := q.input(r)
	if err != nil {
		return denied, err
	}
	about := func() string { return "an evaluation" }
	value, err := s.ask(ctx, entrypointAccess, s.slowAccess, input, s.options.Now(), about)
	if err != nil || value == nil {
		return denied, err
	}
	access, err := decodeAccess(value)
	if err != nil {
		s.wrongType(entrypointAccess, about, err)
	}
	access.Revision = s.revision
	return access, nil
}

// Entities are those that data.authzen.entities declares, which depends on nothing
// but the policy and its data; none where there is no such rule. They are found out
// when they are first asked for. An error is as for [Snapshot.Decide].
func (s *Snapshot) Entities(ctx context.Context) (*authz.Entities, error) {
	d := &s.declared
	if known := d.known.Load(); known != nil {
		return known, nil
	}
	found := &authz.Entities{}
	if q := s.queries[documentEntities]; q != nil {
		value, err := s.evaluate(ctx, q, d.slow, nil, s.options.Now())
		if err != nil {
			if ctx.Err() == nil {
				code := WarnEvaluation
				if errors.Is(err, ErrDeadline) {
					code = WarnDeadline
				}
				s.warn(Warning{Code: code, Entrypoint: documentEntities.String(),
					Message: fmt.Sprintf("%s could not be evaluated, so nothing can be searched: %v", documentEntities, err)})
			}
			return nil, fmt.Errorf("evaluate %s: %w", documentEntities, err)
		}
		if value != nil {
			if found, err = decodeEntities(value); err != nil {
				s.warn(Warning{Code: WarnWrongType, Entrypoint: documentEntities.String(),
					Message: fmt.Sprintf("%s does not declare entities, so searches find none: %v", documentEntities, err)})
				found = &authz.Entities{}
			}
		}
	}
	d.known.CompareAndSwap(nil, found) // another may have found out meanwhile
	return d.known.Load(), nil
}

// analyseEntities finds out what finding the entities takes. There is no input then, so
// what is declared by one would silently not be there.
func (s *Snapshot) analyseEntities(a *analyzer) {
	r := walk(a.entry(documentEntities.ref()), nil)
	s.declared.slow = r.mayRunLong()
	if len(r.reads) > 0 {
		s.warn(Warning{Code: WarnReadsInput, Entrypoint: documentEntities.String(),
			Message: fmt.Sprintf("%s reads %s, but is asked without an input, once: what depends on it is not found", documentEntities, r.reads[0])})
	}
}

// The names of the access input's members, as those of the token input's.
var (
	keyAction     = ast.StringTerm("action")
	keyResource   = ast.StringTerm("resource")
	keyContext    = ast.StringTerm("context")
	keyType       = ast.StringTerm("type")
	keyName       = ast.StringTerm("name")
	keyProperties = ast.StringTerm("properties")
)

// declared are a snapshot's entities, once they have been asked for.
type declared struct {
	known atomic.Pointer[authz.Entities]
	slow  string // why finding them out may run long within one step
}

// input builds the input of data.authzen.decision.
func (q *AccessQuestions) input(r *authz.AccessRequest) (ast.Value, error) {
	subject, err := q.entity("subject", r.Subject)
	if err != nil {
		return nil, err
	}
	resource, err := q.entity("resource", r.Resource)
	if err != nil {
		return nil, err
	}
	action := make(members, 0, 2)
	action.add(keyName, ast.StringTerm(r.Action.Name))
	if err := q.object(&action, "action", keyProperties, r.Action.Properties); err != nil {
		return nil, err
	}
	m := make(members, 0, 4)
	m.value(keySubject, subject)
	m.value(keyAction, ast.NewObject(action...))
	m.value(keyResource, resource)
	if err := q.object(&m, "context", keyContext, r.Context); err != nil {
		return nil, err
	}
	return ast.NewObject(m...), nil
}

// entity has type and id even where they are empty: a caller may say so.
func (q *AccessQuestions) entity(name string, e authz.Entity) (ast.Value, error) {
	m := make(members, 0, 3)
	m.add(keyType, ast.StringTerm(e.Type))
	m.add(keyID, ast.StringTerm(e.ID))
	if err := q.object(&m, name, keyProperties, e.Properties); err != nil {
		return nil, err
	}
	return ast.NewObject(m...), nil
}

// object adds an object unless it is absent.
func (q *AccessQuestions) object(to *members, of string, key *ast.Term, values map[string]any) error {
	if values == nil {
		return nil
	}
	at := reflect.ValueOf(values).Pointer()
	made, known := q.made[at]
	if !known {
		v, err := ast.InterfaceToValue(values)
		if err != nil {
			return fmt.Errorf("build the policy's input: %s: %w", of, err)
		}
		made = madeObject{values, v}
		if q.made == nil {
			q.made = map[uintptr]madeObject{}
		}
		q.made[at] = made
	}
	to.value(key, made.value)
	return nil
}

// decodeAccess reads the answer of data.authzen.decision, as decodeDecision does.
func decodeAccess(v ast.Value) (authz.Access, error) {
	if allow, ok := v.(ast.Boolean); ok {
		return authz.Access{Allow: bool(allow)}, nil
	}
	r := reader{}
	answer := r.object("the answer", v)
	a := authz.Access{
		Allow:   r.boolean(answer, "allow"),
		Reasons: r.reasons(answer),
		Context: r.plain(answer, "context"),
	}
	if r.err != nil {
		return authz.Access{}, r.err // nothing of what can't be read
	}
	return a, nil
}

// decodeEntities reads the answer of data.authzen.entities: an object of subjects and
// resources, by type, and actions.
func decodeEntities(v ast.Value) (*authz.Entities, error) {
	r := reader{}
	answer := r.object("it", v)
	e := &authz.Entities{
		Subjects:  r.namesByType(answer, "subjects"),
		Resources: r.namesByType(answer, "resources"),
	}
	if actions := r.member(answer, "actions"); actions != nil {
		e.Actions = r.names("actions", actions)
	}
	return e, r.err
}

// namesByType reads an object of types, each with names.
func (r *reader) namesByType(o ast.Object, name string) map[string][]string {
	v := r.member(o, name)
	if v == nil {
		return nil
	}
	types := r.object(name, v)
	if types == nil {
		return nil
	}
	out := make(map[string][]string, types.Len())
	types.Foreach(func(k, v *ast.Term) {
		kind, ok := k.Value.(ast.String)
		if !ok {
			r.fail("%s has the type %s, which is no string", name, k)
			return
		}
		out[string(kind)] = r.names(fmt.Sprintf("%s.%s", name, string(kind)), v.Value)
	})
	return out
}

// names are the keys of an object (whose values are properties, which are the
// policy's own business), or the elements of an array or a set; sorted, each once.
func (r *reader) names(of string, v ast.Value) []string {
	found := map[string]bool{}
	add := func(t *ast.Term) {
		if s, ok := t.Value.(ast.String); ok {
			found[string(s)] = true
			return
		}
		r.fail("%s holds %s, not a string", of, article(t.Value))
	}
	switch v := v.(type) {
	case ast.Object:
		v.Foreach(func(k, _ *ast.Term) { add(k) })
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	default:
		r.fail("%s is %s, not an object or a list of names", of, article(v))
	}
	return slices.Sorted(maps.Keys(found))
}
