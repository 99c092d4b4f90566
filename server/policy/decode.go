package policy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// maxLifetime bounds what a policy may say of a token's lifetime, in seconds.
// The configuration's own maximum is far lower; this one keeps the arithmetic
// of durations sound.
const maxLifetime = 100 * 365 * 24 * 60 * 60

// decodeDecision reads the answer of data.authz.decision. An error names the
// member that has the wrong type; the decision beside it is a denial.
func decodeDecision(v ast.Value) (authz.Decision, error) {
	r := reader{}
	answer := r.object("the answer", v)
	d := authz.Decision{
		Allow:   r.boolean(answer, "allow"),
		Status:  r.status(answer),
		Reasons: r.reasons(answer),
		Headers: r.headers(answer),
	}
	if needs := r.member(answer, "needs"); needs != nil {
		d.Needs.Scope = r.strings(r.object("needs", needs), "scope")
	}
	d.Allow = d.Allow && r.err == nil
	return d, r.err
}

// decodeGrant reads the answer of data.token.decision, likewise.
func decodeGrant(v ast.Value) (authz.Grant, error) {
	r := reader{}
	answer := r.object("the answer", v)
	g := authz.Grant{
		Allow:    r.boolean(answer, "allow"),
		Reasons:  r.reasons(answer),
		Scope:    r.scope(answer),
		Audience: r.strings(answer, "audience"),
		Claims:   r.claims(answer),
	}
	if lifetime := r.member(answer, "lifetime"); lifetime != nil {
		object := r.object("lifetime", lifetime)
		g.AccessTokenLifetime = r.seconds(object, "access_token")
		g.RefreshLifetime = r.seconds(object, "refresh_token")
		g.RefreshIdle = r.seconds(object, "refresh_token_idle")
	}
	g.Allow = g.Allow && r.err == nil
	return g, r.err
}

// answerKeys are the names of the answers' members. They are never changed, so
// that reading an answer does not allocate them.
var answerKeys = func() map[string]*ast.Term {
	keys := map[string]*ast.Term{}
	for _, name := range []string{
		"allow", "status", "reasons", "headers", "needs", "scope", "code", "message", "audience", "claims", "lifetime", "access_token", "refresh_token", "refresh_token_idle", "depends_on",
	} {
		keys[name] = ast.StringTerm(name)
	}
	return keys
}()

// reader reads an answer without converting anything: a member of another type
// than the one wanted is an error, the first of which is kept.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) object(name string, v ast.Value) ast.Object {
	o, ok := v.(ast.Object)
	if !ok {
		r.fail("%s is %s, not an object", name, article(v))
	}
	return o
}

// member is a member's value; nil where there is none.
func (r *reader) member(o ast.Object, name string) ast.Value {
	if o == nil {
		return nil
	}
	key := answerKeys[name]
	if key == nil {
		key = ast.StringTerm(name)
	}
	t := o.Get(key)
	if t == nil {
		return nil
	}
	return t.Value
}

// boolean is true only where the member is the boolean true.
func (r *reader) boolean(o ast.Object, name string) bool {
	v := r.member(o, name)
	b, ok := v.(ast.Boolean)
	switch {
	case ok:
		return bool(b)
	case v == nil && o != nil:
		r.fail("it has no member %s", name)
	case v != nil:
		r.fail("%s is %s, not a boolean", name, article(v))
	}
	return false
}

// integer is a whole number between the bounds.
func (r *reader) integer(o ast.Object, name string, low, high int64) (int64, bool) {
	v := r.member(o, name)
	if v == nil {
		return 0, false
	}
	n, ok := v.(ast.Number)
	if !ok {
		r.fail("%s is %s, not a number", name, article(v))
		return 0, false
	}
	f, ok := n.Float64()
	if !ok || f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		r.fail("%s is %s, not a whole number from %d to %d", name, n, low, high)
		return 0, false
	}
	return int64(f), true
}

// status is the status for a denial; one that is no client error counts as not
// given, since a policy may well say 200 of what it allows.
func (r *reader) status(o ast.Object) int {
	n, ok := r.integer(o, "status", 0, 999)
	if !ok || n < 400 || n > 499 {
		return 0
	}
	return int(n)
}

func (r *reader) seconds(o ast.Object, name string) time.Duration {
	n, _ := r.integer(o, name, 1, maxLifetime)
	return time.Duration(n) * time.Second
}

// list is the elements of an array, or of a set in Rego's order; nil where
// there is none.
func (r *reader) list(o ast.Object, name string) []*ast.Term {
	switch v := r.member(o, name).(type) {
	case nil:
		return nil
	case *ast.Array:
		terms := make([]*ast.Term, v.Len())
		for i := range terms {
			terms[i] = v.Elem(i)
		}
		return terms
	case ast.Set:
		return append([]*ast.Term{}, v.Slice()...)
	default:
		r.fail("%s is %s, not an array", name, article(v))
		return nil
	}
}

// strings is a list of strings; nil where there is none.
func (r *reader) strings(o ast.Object, name string) []string {
	terms := r.list(o, name)
	if terms == nil {
		return nil
	}
	out := make([]string, 0, len(terms))
	for i, t := range terms {
		s, ok := t.Value.(ast.String)
		if !ok {
			r.fail("%s[%d] is %s, not a string", name, i, article(t.Value))
			return nil
		}
		out = append(out, string(s))
	}
	return out
}

// scope is a sorted list of scope tokens (RFC 6749 section 3.3).
func (r *reader) scope(o ast.Object) []string {
	list := r.strings(o, "scope")
	for _, s := range list {
		if s == "" || strings.ContainsFunc(s, func(c rune) bool {
			return c < 0x21 || c > 0x7e || c == '"' || c == '\\'
		}) {
			r.fail("scope holds %q, which is no scope token of RFC 6749 section 3.3", s)
			return nil
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (r *reader) reasons(o ast.Object) []authz.Reason {
	terms := r.list(o, "reasons")
	if len(terms) == 0 {
		return nil
	}
	out := make([]authz.Reason, 0, len(terms))
	for i, t := range terms {
		reason, ok := t.Value.(ast.Object)
		if !ok {
			r.fail("reasons[%d] is %s, not an object of code and message", i, article(t.Value))
			return nil
		}
		code, isCode := r.member(reason, "code").(ast.String)
		message, isMessage := r.member(reason, "message").(ast.String)
		if !isCode || !isMessage {
			r.fail("reasons[%d] has no code and message that are strings", i)
			return nil
		}
		dependsOn, _ := r.member(reason, "depends_on").(ast.String)
		out = append(out, authz.Reason{Code: string(code), Message: string(message), DependsOn: string(dependsOn)})
	}
	return out
}

// forbiddenHeaders are never set by a policy: those of the connection (RFC 9110
// section 7.6.1) and those that say where a request goes and who sent it.
var forbiddenHeaders = []string{
	"authorization", "connection", "content-length", "cookie", "host", "keep-alive",
	"proxy-authenticate", "proxy-authorization", "proxy-connection", "set-cookie",
	"te", "trailer", "transfer-encoding", "upgrade",
}

// headers reads an object of header names and a value, or a list of values,
// each. Names come out in lower case.
func (r *reader) headers(o ast.Object) map[string][]string {
	v := r.member(o, "headers")
	if v == nil {
		return nil
	}
	object := r.object("headers", v)
	if object == nil || object.Len() == 0 {
		return nil
	}
	out := make(map[string][]string, object.Len())
	err := object.Iter(func(k, v *ast.Term) error {
		given, ok := k.Value.(ast.String)
		if !ok {
			return fmt.Errorf("headers has the key %s, which is no string", k)
		}
		name := strings.ToLower(string(given))
		if !isHeaderName(name) || slices.Contains(forbiddenHeaders, name) {
			return fmt.Errorf("headers holds %q, which a policy can't set", string(given))
		}
		if _, twice := out[name]; twice {
			return fmt.Errorf("headers holds %q in two spellings", name)
		}
		values := []string{}
		if s, ok := v.Value.(ast.String); ok {
			values = append(values, string(s))
		} else {
			list := reader{}
			values = append(values, list.strings(object, string(given))...)
			if list.err != nil {
				return fmt.Errorf("headers: %w", list.err)
			}
		}
		if slices.ContainsFunc(values, func(s string) bool { return strings.ContainsAny(s, "\r\n\x00") }) {
			return fmt.Errorf("headers: the value of %q holds a line break", name)
		}
		out[name] = values
		return nil
	})
	if err != nil {
		r.fail("%w", err)
		return nil
	}
	return out
}

// isHeaderName reports whether a name is a token (RFC 9110 section 5.6.2).
func isHeaderName(name string) bool {
	return name != "" &&
		!strings.ContainsFunc(name, func(c rune) bool {
			return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
		})
}

// claims reads extra claims.
func (r *reader) claims(o ast.Object) map[string]any { return r.plain(o, "claims") }

// plain reads an object as encoding/json would (numbers as json.Number); nil where
// there is none.
func (r *reader) plain(o ast.Object, name string) map[string]any {
	v := r.member(o, name)
	if v == nil {
		return nil
	}
	object := r.object(name, v)
	if object == nil {
		return nil
	}
	if slices.ContainsFunc(object.Keys(), func(k *ast.Term) bool { _, ok := k.Value.(ast.String); return !ok }) {
		r.fail("%s has a key that is no string", name)
		return nil
	}
	converted, err := ast.JSON(object)
	m, ok := converted.(map[string]any)
	if err != nil || !ok {
		r.fail("%s: %w", name, errors.Join(err, errors.New("can't be written as JSON")))
		return nil
	}
	return maps.Clone(m)
}

// article names the type of a value.
func article(v ast.Value) string {
	name := ast.ValueName(v)
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}
