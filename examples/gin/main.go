// Command gin keeps expense reports, and who approved them, behind the gate: docs/go-programs.md.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

func main() {
	ctx, reports := context.Background(), &reports{}
	engine := must(policy.New(ctx, policy.Dir("policies", "data"), policy.Options{Logger: slog.Default()}))
	go engine.Watch(ctx)
	issuers := must(token.NewTrustedIssuers([]token.TrustedIssuer{{
		Issuer: os.Getenv("ISSUER"), Audience: []string{"reports"}, Types: []string{"at+jwt"},
		Scopes: token.ClaimMapping{Claim: "scope", KeepUnmapped: true},
		Roles:  token.ClaimMapping{Claim: "roles", Map: map[string][]string{"manager": {"approver"}}},
	}}, token.TrustedIssuersOptions{Logger: slog.Default()}))
	go issuers.Run(ctx)
	tokens := token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers})
	loaders := map[string]gate.Loader{"/reports/{id}": reports.resource, "/reports/{id}/approval": reports.resource}
	door := must(gate.New(gate.Options{Policy: engine, Tokens: tokens, Loaders: loaders, Realm: "reports", Logger: slog.Default()}))
	log.Fatal(serve(os.Getenv("ADDRESS"), door.WrapGin(reports.router())))
}
