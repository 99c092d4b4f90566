//go:build linux && !race

package policy

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// hostile are values of about n bytes each, such as a stranger may send, or a
// policy make of what they sent. Numbers have as many digits as is said.
func hostile(n, digits int) []*ast.Term {
	texts := []string{
		strings.Repeat("a", n), strings.Repeat("A", n), strings.Repeat(" ", n), strings.Repeat("é", n/2), strings.Repeat("ſ", n/2), strings.Repeat("\xff", n),
		strings.Repeat("ab", n/2) + "c", "0." + strings.Repeat("0", n) + "1", strings.Repeat("9", n), "1e-" + strings.Repeat("9", n),
		"P" + strings.Repeat("1h", n/2), strings.Repeat("1h", n/2), strings.Repeat("1d", n/2), strings.Repeat("1", n/2) + "." + strings.Repeat("1", n/2) + "y",
		"2026-11-23T17:31:00." + strings.Repeat("1", n) + "Z", strings.Repeat("1.", n/2), strings.Repeat(":", n), "10.0.0.0/" + strings.Repeat("0", n) + "8",
		strings.Repeat("%v", n/2), strings.Repeat("%999999d", n/8), strings.Repeat("%[1]s", n/5), strings.Repeat("%[1]q", n/5), "%v", "%q", "%999999d",
		"", "a", " ", "é", "10.0.0.0/8", "::/0",
	}
	var all []*ast.Term
	for _, s := range texts {
		all = append(all, ast.StringTerm(s))
	}
	for _, s := range []string{"0", "1", "-1", strconv.Itoa(n / 2), "1e9", strings.Repeat("9", digits), strings.Repeat("9", digits) + ".5", "0." + strings.Repeat("0", digits) + "1", fmt.Sprint("1e-", digits), fmt.Sprint("1e", digits), "1e-999", "1e308", "9223372036854775807"} {
		all = append(all, ast.NumberTerm(json.Number(s)))
	}
	var letters, numbers, same, small []*ast.Term
	var members [][2]*ast.Term
	for i := range n / 8 {
		name := ast.StringTerm(fmt.Sprintf("%06d", i))
		letters, same = append(letters, name), append(same, ast.StringTerm("a"))
		numbers = append(numbers, ast.NumberTerm(json.Number(fmt.Sprintf("0.%06d", i)))) // all of one hash
		small = append(small, ast.ArrayTerm(ast.IntNumberTerm(i%90)))
		members = append(members, [2]*ast.Term{name, name})
	}
	var fractions [][2]*ast.Term
	for _, number := range numbers[:n/32] {
		fractions = append(fractions, [2]*ast.Term{number, number})
	}
	slices.Reverse(letters)
	deep, deepObject := ast.ArrayTerm(), ast.ObjectTerm()
	for range 16 { // a token's claims are no deeper, an account's attributes are few
		deep, deepObject = ast.ArrayTerm(deep, ast.StringTerm("a")), ast.ObjectTerm(ast.Item(ast.StringTerm("a"), deepObject))
	}
	long := ast.StringTerm(strings.Repeat("b", n/16))
	return append(all,
		ast.ArrayTerm(letters...), ast.ArrayTerm(numbers...), ast.ArrayTerm(same...), ast.ArrayTerm(small...), ast.ArrayTerm(slices.Repeat([]*ast.Term{long}, 16)...),
		ast.ArrayTerm(deep, ast.ArrayTerm(letters...)), deep, deepObject, ast.ArrayTerm(),
		ast.SetTerm(letters...), ast.SetTerm(small...), ast.SetTerm(numbers[:n/32]...), ast.SetTerm(ast.SetTerm(letters...), ast.SetTerm(numbers[:n/32]...)), ast.SetTerm(),
		ast.NewTerm(ast.NewObject(members...)), ast.NewTerm(ast.NewObject(fractions...)), ast.ObjectTerm(),
		ast.ArrayTerm(ast.IntNumberTerm(1), ast.StringTerm(strings.Repeat("a", n))),
		ast.NullTerm(), ast.BooleanTerm(true),
	)
}

// call calls a builtin once.
func call(f topdown.BuiltinFunc, operands []*ast.Term) {
	ctx := topdown.BuiltinContext{Time: ast.NumberTerm("1"), Cancel: topdown.NewCancel()}
	_ = f(ctx, operands, func(*ast.Term) error { return nil })
}

// work is what one call costs: bytes allocated, and the time that a processor
// was busy with it, whatever else the machine does. Some kernels count that time
// in ticks, so there have to be many calls.
func work(f topdown.BuiltinFunc, operands []*ast.Term) (bytes uint64, busy time.Duration) {
	const enough = 60 * time.Millisecond
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, calls := busyTime(), 0
	for busy < enough && calls < 1000 {
		call(f, operands)
		calls++
		busy = busyTime() - start
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / uint64(calls), busy / time.Duration(calls)
}

// busyTime is the processor time of this thread.
func busyTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Each builtin of the list is called with every combination of hostile operands.
// What four times the operands cost must be far from sixteen times the work, in
// bytes, and in processor time where that can be measured at all.
func TestQuickBuiltinsAreQuick(t *testing.T) {
	const (
		n      = 8 << 10              // four times that is all the headers of a request
		growth = 9                    // between 4 and 16
		least  = 512 << 10            // package fmt keeps its buffers, but not large ones
		dust   = 4 * time.Millisecond // below it, growth is none that matters
	)
	// Comparing exactly is dear for long numbers, and can't be left off the list. So
	// none may reach a policy: tokens, attributes and to_number have a bound on them,
	// and what else could make them is not on the list.
	compares := []string{"equal", "neq", "lt", "lte", "gt", "gte", "min", "max", "sort", "internal.member_2", "internal.member_3", "object.get"}
	for _, name := range quickBuiltins {
		if slices.Contains([]string{"assign", "eq"}, name) {
			continue // they are part of the engine, and compare as equal does
		}
		t.Run(boundedName(name), func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			decl, f := ast.BuiltinMap[name], topdown.GetBuiltin(name)
			if b := bounded[name]; b != nil {
				decl, f = b.Decl, b.Func
			}
			if decl == nil || f == nil {
				t.Fatal("there is no such builtin")
			}
			if reachesOut(name) || name != "time.now_ns" && decl.Nondeterministic {
				t.Fatal("it depends on more than its operands")
			}
			little, much := hostile(n, n), hostile(4*n, 4*n)
			if slices.Contains(compares, name) {
				little, much = hostile(n, 64), hostile(4*n, 64)
			}
			combinations(decl.Decl.Arity(), len(little), func(which []int) {
				small, large := make([]*ast.Term, len(which)), make([]*ast.Term, len(which))
				for i, at := range which {
					small[i], large[i] = little[at], much[at]
				}
				start := time.Now()
				call(f, large)
				if time.Since(start) <= dust { // in which nothing has grown beyond measure
					return
				}
				for range 5 { // what else goes on can only add
					bytes, busy := work(f, large)
					if bytes <= least && busy <= dust {
						return
					}
					was, before := work(f, small)
					if bytes <= growth*was+least && (busy <= dust || busy <= growth*before) {
						return
					}
				}
				var texts []string
				for _, term := range small {
					texts = append(texts, fmt.Sprintf("%.40s", term))
				}
				t.Fatalf("grows faster than its operands %q", texts)
			})
		})
	}
}

// combinations calls f with each choice of arity numbers below n. Beyond two
// operands they are taken in turn: no builtin has three that are all large.
func combinations(arity, n int, f func([]int)) {
	switch arity {
	case 0:
		f(nil)
	case 1:
		for i := range n {
			f([]int{i})
		}
	default:
		for i := range n {
			for j := range n {
				which := []int{i, j}
				for k := 2; k < arity; k++ {
					which = append(which, (i+7*j+k)%n)
				}
				f(which)
			}
		}
	}
}
