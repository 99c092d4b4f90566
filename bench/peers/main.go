// Command peers measures one decision by Casbin and by cedar-go, at several
// numbers of policies, and prints JSON. `make bench-peers` runs it. It is a module
// of its own, so that what it measures is no dependency of Stagedoor.
//
//	go run . -time 500ms 10 1000 10000
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/casbin/casbin/v3"
	"github.com/casbin/casbin/v3/model"
	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

type decision struct {
	System   string  `json:"system"`
	Policies int     `json:"policies"`
	NS       float64 `json:"ns"`
	Allocs   int64   `json:"allocs"`
}

type version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func main() {
	testing.Init()
	benchtime := flag.Duration("time", time.Second, "how long each benchmark takes")
	flag.Parse()
	if err := run(*benchtime, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(benchtime time.Duration, sizes []string) error {
	if err := flag.Set("test.benchtime", benchtime.String()); err != nil {
		return err
	}
	var printed struct {
		Versions  []version  `json:"versions"`
		Decisions []decision `json:"decisions"`
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if strings.Contains(dependency.Path, "casbin/casbin") || strings.Contains(dependency.Path, "cedar-go") {
				printed.Versions = append(printed.Versions, version{dependency.Path, dependency.Version})
			}
		}
	}
	for _, peer := range []struct {
		name string
		make func(policies int) (func() (bool, error), error)
	}{
		{"Casbin, keyMatch2", casbinKeyMatch},
		{"Casbin, equality", casbinEquality},
		{"cedar-go", cedarPolicies},
	} {
		for _, text := range sizes {
			policies, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("a number of policies: %w", err)
			}
			decide, err := peer.make(policies)
			if err != nil {
				return fmt.Errorf("%s: %w", peer.name, err)
			}
			measured, err := measure(decide)
			if err != nil {
				return fmt.Errorf("%s with %d policies: %w", peer.name, policies, err)
			}
			measured.System, measured.Policies = peer.name, policies
			printed.Decisions = append(printed.Decisions, measured)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(printed)
}

func measure(decide func() (bool, error)) (decision, error) {
	var failure error
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			allowed, err := decide()
			if err == nil && !allowed {
				err = errors.New("it denies what it was to allow")
			}
			if err != nil {
				failure = err
				b.FailNow()
			}
		}
	})
	if failure != nil {
		return decision{}, failure
	}
	return decision{NS: float64(r.T.Nanoseconds()) / float64(r.N), Allocs: r.AllocsPerOp()}, nil
}

const casbinModel = `
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.sub == p.sub && %s && r.act == p.act
`

func casbinKeyMatch(n int) (func() (bool, error), error) {
	return casbinDecides(n, "keyMatch2(r.obj, p.obj)", "/:id", "/42")
}

func casbinEquality(n int) (func() (bool, error), error) {
	return casbinDecides(n, "r.obj == p.obj", "", "")
}

// casbinDecides gives one role n policies, and asks for the one in the middle.
func casbinDecides(n int, matcher, patternEnd, pathEnd string) (func() (bool, error), error) {
	m, err := model.NewModelFromString(fmt.Sprintf(casbinModel, matcher))
	if err != nil {
		return nil, err
	}
	enforcer, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	rules := make([][]string, n)
	for i := range rules {
		rules[i] = []string{"client", fmt.Sprintf("/service%d/items%s", i, patternEnd), "GET"}
	}
	if _, err := enforcer.AddPolicies(rules); err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/service%d/items%s", n/2, pathEnd)
	return func() (bool, error) { return enforcer.Enforce("client", path, "GET") }, nil
}

// cedarPolicies lets one role use n routes, and asks for the one in the middle.
func cedarPolicies(n int) (func() (bool, error), error) {
	policies := cedar.NewPolicySet()
	for i := range n {
		var p cedar.Policy
		text := fmt.Sprintf(`permit (principal in Role::"client", action == Action::"GET", resource == Route::"/service%d/items/{id}");`, i)
		if err := p.UnmarshalCedar([]byte(text)); err != nil {
			return nil, err
		}
		policies.Add(cedar.PolicyID(fmt.Sprintf("policy%d", i)), &p)
	}
	carol := types.NewEntityUID("User", "carol")
	entities := types.EntityMap{carol: types.Entity{UID: carol, Parents: types.NewEntityUIDSet(types.NewEntityUID("Role", "client"))}}
	request := cedar.Request{
		Principal: carol, Action: types.NewEntityUID("Action", "GET"),
		Resource: types.NewEntityUID("Route", types.String(fmt.Sprintf("/service%d/items/{id}", n/2))),
	}
	return func() (bool, error) {
		answer, diagnostic := cedar.Authorize(policies, entities, request)
		if len(diagnostic.Errors) > 0 {
			return false, fmt.Errorf("%v", diagnostic.Errors)
		}
		return answer == cedar.Allow, nil
	}, nil
}
