// Command nethttp keeps documents of several tenants behind the gate: docs/go-programs.md.
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
	ctx, documents := context.Background(), &documents{}
	engine := must(policy.New(ctx, policy.Dir("policies", "data"), policy.Options{Logger: slog.Default()}))
	go engine.Watch(ctx)
	issuers := must(token.NewTrustedIssuers([]token.TrustedIssuer{{
		Issuer: os.Getenv("ISSUER"), Audience: []string{"documents"}, Types: []string{"at+jwt"},
		Scopes: token.ClaimMapping{Claim: "scope", KeepUnmapped: true},
	}}, token.TrustedIssuersOptions{Logger: slog.Default()}))
	go issuers.Run(ctx)
	tokens := token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers})
	loaders := map[string]gate.Loader{"/documents/{id}": documents.resource}
	door := must(gate.New(gate.Options{Policy: engine, Tokens: tokens, Loaders: loaders, Realm: "documents", Logger: slog.Default()}))
	log.Fatal(serve(os.Getenv("ADDRESS"), door.Wrap(documents.handler())))
}
