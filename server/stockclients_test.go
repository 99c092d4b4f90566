package server_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The demo's confidential client, and its public one.
const (
	serviceID     = "demo-service"
	serviceSecret = "demo-service-secret-0123456789abcdef"
	appID         = "demo-app"
)

// opens asks for a protected route with a client's own HTTP client.
func (r *running) opens(client *http.Client, status int) {
	r.t.Helper()
	response, err := client.Get(r.URL() + "/items/")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		r.t.Fatalf("GET /items/ answers %d, want %d", response.StatusCode, status)
	}
}

// TestOAuth2Password is golang.org/x/oauth2 with its automatic detection of how
// the client authenticates: it tries HTTP Basic, and upon any error whatever the
// body.
func TestOAuth2Password(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct{ name, id, secret string }{
		{"a public client", appID, ""},
		{"a confidential client", serviceID, serviceSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := oauth2.Config{ClientID: c.id, ClientSecret: c.secret, Scopes: []string{"items:read"},
				Endpoint: oauth2.Endpoint{TokenURL: s.URL() + "/token"}}
			token, err := config.PasswordCredentialsToken(t.Context(), "carol", "secretcarol")
			if err != nil {
				t.Fatal(err)
			}
			if !token.Valid() || token.Type() != "Bearer" || token.Extra("scope") != "items:read" || token.RefreshToken == "" {
				t.Errorf("token %+v", token)
			}
			s.opens(config.Client(t.Context(), token), http.StatusOK)

			var refused *oauth2.RetrieveError
			_, err = config.PasswordCredentialsToken(t.Context(), "carol", "wrong")
			if !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

// TestOAuth2Refresh is x/oauth2's TokenSource, which refreshes a token that has
// expired and takes the new refresh token for the next time.
func TestOAuth2Refresh(t *testing.T) {
	s := start(t, nil)
	config := oauth2.Config{ClientID: serviceID, ClientSecret: serviceSecret, Endpoint: oauth2.Endpoint{TokenURL: s.URL() + "/token"}}
	token, err := config.PasswordCredentialsToken(t.Context(), "carol", "secretcarol")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		expired := *token
		expired.Expiry = time.Now().Add(-time.Minute)
		next, err := config.TokenSource(t.Context(), &expired).Token()
		if err != nil {
			t.Fatal(err)
		}
		if next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
			t.Fatal("the tokens are the same as before the refresh")
		}
		s.opens(config.Client(t.Context(), next), http.StatusOK)
		token = next
	}
}

// TestOAuth2ClientCredentials is x/oauth2's client for services.
func TestOAuth2ClientCredentials(t *testing.T) {
	s := start(t, nil)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{ClientID: serviceID, ClientSecret: serviceSecret, TokenURL: s.URL() + "/token",
			Scopes: []string{"items:read"}, AuthStyle: style}
		token, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if token.RefreshToken != "" {
			t.Error("client credentials got a refresh token (RFC 6749 section 4.4.3)")
		}
		s.opens(config.Client(t.Context()), http.StatusOK)
		config.ClientSecret = "wrong"
		var refused *oauth2.RetrieveError
		if _, err := config.Token(t.Context()); !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" {
			t.Errorf("style %d, a wrong secret: %v", style, err)
		}
	}
}

// TestGoOIDC is coreos/go-oidc: discovery at the only path that it knows, and its
// verifier, for access tokens.
func TestGoOIDC(t *testing.T) {
	s := start(t, nil)
	provider, err := oidc.NewProvider(t.Context(), s.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	config := clientcredentials.Config{ClientID: serviceID, ClientSecret: serviceSecret, TokenURL: provider.Endpoint().TokenURL}
	token, err := config.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Its client id is the audience that a verifier asks for.
	verifier := provider.VerifierContext(context.Background(), &oidc.Config{ClientID: s.Issuer()})
	verified, err := verifier.Verify(t.Context(), token.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if verified.Subject != serviceID || verified.Issuer != s.Issuer() {
		t.Errorf("verified %+v", verified)
	}
	if _, err := provider.VerifierContext(context.Background(), &oidc.Config{ClientID: "another"}).Verify(t.Context(), token.AccessToken); err == nil {
		t.Error("a verifier of another audience took the token")
	}
}
