package policy

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/stagedoor/stagedoor/server/authz"
)

// No deadline stops a builtin that is making something huge of a little text, and
// no goroutine keeps its memory from being everybody's. Where the size of what a
// builtin makes can be known before it begins, it is looked at first.
//
// OPA has no way to replace a builtin for one evaluation, and replacing it for the
// whole program would change what a host program's own policies do. So once a
// policy is compiled, calls of these builtins are made calls of others, with
// names that no policy can write, which only our evaluations know.

const (
	// maxMade is how large a text a builtin may make, in bytes. A decision has no
	// use for a text of a hundredth of that.
	maxMade = 1 << 20
	// maxShift is how far a number may be shifted to the left.
	maxShift = 1 << 12
)

// boundedPrefix begins the names of the bounded builtins.
const boundedPrefix = "stagedoor bounded "

// errTooLarge ends an evaluation. It is not left to the policy as undefined, as
// other errors of builtins are: a rule that refuses would not refuse then.
var errTooLarge = fmt.Errorf("it would make more than %d bytes", maxMade)

// guards look at the operands of a call before it is made.
var guards = map[string]func(operands []*ast.Term) error{
	ast.Concat.Name:        guardConcat,
	ast.Sprintf.Name:       guardSprintf,
	ast.Replace.Name:       guardReplace,
	ast.ReplaceN.Name:      guardReplaceN,
	ast.BitsShiftLeft.Name: guardShift,
	ast.ToNumber.Name:      guardToNumber,
}

// bounded are the builtins that take the place of those with a guard, by name.
var bounded = func() map[string]*topdown.Builtin {
	all := map[string]*topdown.Builtin{}
	for name, guard := range guards {
		decl := *ast.BuiltinMap[name]
		decl.Name = boundedPrefix + name
		decl.CanSkipBctx = false
		made := topdown.GetBuiltin(name)
		all[decl.Name] = &topdown.Builtin{Decl: &decl, Func: func(ctx topdown.BuiltinContext, operands []*ast.Term, answer func(*ast.Term) error) error {
			switch err := guard(operands); {
			case errors.Is(err, errTooLarge):
				return topdown.Halt{Err: &topdown.Error{Code: topdown.BuiltinErr, Message: name + ": " + err.Error(), Location: ctx.Location}}
			case err != nil:
				return &topdown.Error{Code: topdown.BuiltinErr, Message: name + ": " + err.Error(), Location: ctx.Location}
			}
			return made(ctx, operands, answer)
		}}
	}
	return all
}()

// bindBounded makes a compiled policy call the bounded builtins.
func bindBounded(c *ast.Compiler) {
	refs := map[string]*ast.Term{}
	for name := range guards {
		refs[name] = ast.NewTerm(ast.Ref{ast.VarTerm(boundedPrefix + name)})
	}
	replace := func(t *ast.Term) *ast.Term {
		ref, ok := t.Value.(ast.Ref)
		if !ok {
			return t
		}
		other := refs[ref.String()]
		if other == nil {
			return t
		}
		return &ast.Term{Value: other.Value, Location: t.Location}
	}
	for _, m := range c.Modules {
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			if terms, ok := e.Terms.([]*ast.Term); ok && e.IsCall() {
				terms[0] = replace(terms[0])
			}
			for _, with := range e.With { // what stands in for a builtin does so for its other
				with.Target = replace(with.Target)
			}
			return false
		})
	}
}

// boundedName is a builtin's name as the policy has it.
func boundedName(name string) string { return strings.TrimPrefix(name, boundedPrefix) }

// room is how many bytes may still be made; negative when it is too many.
type room int

func (r *room) take(n int) bool {
	if n < 0 || n > maxMade {
		n = maxMade + 1
	}
	*r -= room(n)
	return *r >= 0
}

// text is a string operand; those of another type are left to the builtin.
func text(t *ast.Term) string {
	s, _ := t.Value.(ast.String)
	return string(s)
}

// elements are those of an array or a set; there are none of anything else.
func elements(v ast.Value) iter.Seq[*ast.Term] {
	return func(yield func(*ast.Term) bool) {
		switch v := v.(type) {
		case *ast.Array:
			for i := range v.Len() {
				if !yield(v.Elem(i)) {
					return
				}
			}
		case ast.Set:
			for _, t := range v.Slice() {
				if !yield(t) {
					return
				}
			}
		}
	}
}

func guardConcat(operands []*ast.Term) error {
	left, separator := room(maxMade), len(text(operands[0]))
	for t := range elements(operands[1].Value) {
		if !left.take(len(text(t)) + separator) {
			return errTooLarge
		}
	}
	return nil
}

func guardReplace(operands []*ast.Term) error {
	s, old, by := text(operands[0]), text(operands[1]), text(operands[2])
	left := room(maxMade)
	if !left.take(len(s)) || !left.take(strings.Count(s, old)*len(by)) {
		return errTooLarge
	}
	return nil
}

func guardReplaceN(operands []*ast.Term) error {
	patterns, ok := operands[0].Value.(ast.Object)
	if !ok {
		return nil
	}
	s := text(operands[1])
	left := room(maxMade)
	left.take(len(s))
	patterns.Until(func(old, by *ast.Term) bool {
		return !left.take(strings.Count(s, text(old)) * len(text(by)))
	})
	if left < 0 {
		return errTooLarge
	}
	return nil
}

// guardShift knows that what is shifted is no longer than the policy made it.
func guardShift(operands []*ast.Term) error {
	n, ok := operands[1].Value.(ast.Number)
	if !ok {
		return nil
	}
	if by, err := builtins.NumberToInt(n); err == nil && (!by.IsInt64() || by.Int64() > maxShift) {
		return fmt.Errorf("%w: a shift of more than %d bits", errTooLarge, maxShift)
	}
	return nil
}

// plainNumber is a number as JSON has it (RFC 8259 section 6), and for the sake of
// what people type with a plus, leading zeros, or no digit on one side of the
// point.
var plainNumber = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$`)

// guardToNumber refuses texts that are numbers to Go, but cost more to compute
// with than their length tells: 0x1p-9999999 keeps a core busy for minutes once
// it is compared. To the policy they are no numbers, as any other text is none.
func guardToNumber(operands []*ast.Term) error {
	s, ok := operands[0].Value.(ast.String)
	if !ok || len(s) <= authz.MaxNumber && plainNumber.MatchString(string(s)) {
		return nil
	}
	return errors.New("the text is no number, or a number too long")
}

// guardSprintf bounds what each verb of the format can write: all of the
// operands, padded to the largest width that there is.
func guardSprintf(operands []*ast.Term) error {
	format := text(operands[0])
	verbs, width := scanFormat(format)
	left := room(maxMade)
	if !left.take(len(format)) {
		return errTooLarge
	}
	written := room(maxMade)
	if !written.takeValue(operands[1].Value) {
		return errTooLarge
	}
	// A byte takes four at most when it is quoted, and a collection's text is
	// quoted before a verb can quote it again.
	const quoted = 16
	each := quoted*(maxMade-int(written)) + width
	if !left.take(max(verbs, 1) * min(each, 16*maxMade)) {
		return errTooLarge
	}
	return nil
}

// takeValue takes what a value is when it is written out, before quoting. It is
// an upper bound, and ends as soon as there is no room.
func (r *room) takeValue(v ast.Value) bool {
	const punctuation = 4
	if !r.take(punctuation) {
		return false
	}
	switch v := v.(type) {
	case ast.String:
		return r.take(len(v))
	case ast.Number:
		return r.take(len(v))
	case *ast.Array, ast.Set:
		for t := range elements(v) {
			if !r.takeValue(t.Value) {
				return false
			}
		}
	case ast.Object:
		v.Until(func(k, v *ast.Term) bool { return !r.takeValue(k.Value) || !r.takeValue(v.Value) })
	default:
		return r.take(len("false"))
	}
	return *r >= 0
}

// maxWidth is the largest width and precision that package fmt accepts.
const maxWidth = 1e6

// scanFormat counts a format's verbs, and finds the largest width or precision.
func scanFormat(format string) (verbs, width int) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		verbs++
		n := 0
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.[]*", format[i]) >= 0; i++ {
			switch c := format[i]; {
			case c == '*':
				n = maxWidth
			case '0' <= c && c <= '9':
				n = min(10*n+int(c-'0'), maxWidth)
			default:
				n = 0
			}
			width = max(width, n)
		}
	}
	return verbs, width
}
