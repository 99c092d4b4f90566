package token_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

const (
	issuer   = "https://login.example.com"
	audience = "https://notes.example.com"
)

// mint is a token of the keyring's for some audience.
func mint(keys *token.Keyring, audience string) string {
	raw, _, _, err := keys.Mint(token.Registered{
		Issuer: issuer, Subject: "01JDANN", Audience: []string{audience}, ClientID: "app",
		Scope: []string{"notes:read"}, Roles: []string{"staff", "intern"}, Lifetime: 10 * time.Minute,
	}, map[string]any{"tenant": "acme"})
	if err != nil {
		log.Fatal(err)
	}
	return raw
}

// A program that issues tokens, and verifies its own.
func Example() {
	ctx := context.Background()
	keys, err := token.OpenKeyring(ctx, &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		log.Fatal(err)
	}
	verifier := token.NewVerifier(keys, token.VerifierOptions{Issuer: issuer, Audience: audience})

	verified, err := verifier.Verify(ctx, mint(keys, audience))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verified.Subject, verified.Claims.Values["scope"], verified.Claims.Values["tenant"])
	// Output:
	// 01JDANN notes:read acme
}

// What is refused is an error that says why, for the policy and for the challenge.
// Any other error means that nobody knows.
func ExampleVerifier_Verify() {
	ctx := context.Background()
	keys, err := token.OpenKeyring(ctx, &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		log.Fatal(err)
	}
	verifier := token.NewVerifier(keys, token.VerifierOptions{
		Issuer: issuer, Audience: audience,
		Now: func() time.Time { return time.Now().Add(time.Hour) },
	})
	for _, raw := range []string{"junk", mint(keys, "https://other.example.com"), mint(keys, audience)} {
		_, err := verifier.Verify(ctx, raw)
		var refused authz.TokenError
		fmt.Println(errors.As(err, &refused), string(refused))
	}
	// Output:
	// true malformed
	// true wrong_audience
	// true expired
}

// A program that issues no tokens verifies those of somebody else, by the keys that
// are published. Their subjects are external, and have what the mapping gives them.
func ExampleNewTrustedIssuers() {
	ctx := context.Background()
	theirs, err := token.OpenKeyring(ctx, &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		log.Fatal(err)
	}
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(theirs.JWKS())
	}))
	defer published.Close()

	issuers, err := token.NewTrustedIssuers([]token.TrustedIssuer{{
		Issuer: issuer, Audience: []string{audience}, JWKSURL: published.URL,
		Scopes: token.ClaimMapping{Claim: "scope", KeepUnmapped: true},
		Roles:  token.ClaimMapping{Claim: "roles", Map: map[string][]string{"staff": {"editor"}}},
	}}, token.TrustedIssuersOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer issuers.Close()

	verified, err := token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers}).Verify(ctx, mint(theirs, audience))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verified.External.Kind, verified.External.ID, verified.External.Scopes, verified.External.Roles)
	// Output:
	// external 01JDANN [notes:read] [editor]
}
