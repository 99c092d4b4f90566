package policy_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
)

// A policy is loaded, asked, and gives its reasons. policy.Dir reads it from
// directories instead, and Engine.Watch keeps up with what is saved there.
func Example() {
	ctx := context.Background()
	engine, err := policy.New(ctx, policy.FS(
		fstest.MapFS{"authz/authz.rego": {Data: []byte(`package authz

decision := {"allow": true} if reasons == set()

else := {"allow": false, "status": 403, "reasons": sort(reasons)}

reasons contains {"code": "not_owner", "message": "only its owner reads a note"} if {
	not input.resource.owner == input.subject.id
}
`)}},
		fstest.MapFS{"routes.yaml": {Data: []byte(`
routes:
  /notes/{id}: {GET: {}}
`)}},
	), policy.Options{})
	if err != nil {
		log.Fatal(err)
	}

	snapshot := engine.Current() // once for a request: the next may be another
	match, declared := snapshot.Match("", []string{"notes", "7"})
	fmt.Println(match.Pattern, match.Params, declared)

	for _, id := range []string{"ann", "bob"} {
		decision, err := snapshot.Decide(ctx, &authz.Request{
			Method: "GET", Route: match.Pattern, Params: match.Params,
			Subject:  &authz.Subject{Kind: authz.KindExternal, ID: id, Issuer: "https://login.example.com"},
			Claims:   &authz.Claims{Values: map[string]any{"sub": id}},
			Resource: map[string]any{"owner": "ann"},
		})
		if err != nil {
			log.Fatal(err) // there is no decision: refuse the request
		}
		fmt.Println(id, decision.Allow)
		for _, reason := range decision.Reasons {
			fmt.Println(decision.Status, reason.Code+":", reason.Message)
		}
	}
	// Output:
	// /notes/{id} map[id:7] true
	// ann true
	// bob false
	// 403 not_owner: only its owner reads a note
}

// A policy that does not compile, is not about what it will be asked, or fails its own
// tests is refused with file and line. An engine then keeps the one that it has.
func ExampleLoad() {
	_, err := policy.Load(context.Background(), policy.FS(fstest.MapFS{
		"authz/authz.rego": {Data: []byte(`package authz

decision := {"allow": true} if "admin" in input.subject.rolls
`)},
	}, nil), policy.Options{})

	var refused *policy.LoadError
	if errors.As(err, &refused) {
		for _, problem := range refused.Problems {
			fmt.Printf("%s:%d: %s\n", problem.File, problem.Line, problem.Code)
		}
	}
	// Output:
	// policies/authz/authz.rego:3: rego_type_error
}
