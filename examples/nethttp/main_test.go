package main

import (
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/examples/internal/trial"
	"github.com/stagedoor/stagedoor/server/account"
)

// The program runs as its users would run it, beside a Stagedoor server whose tokens
// it verifies.
func TestDocuments(t *testing.T) {
	of := func(tenant, name, role string) account.Account {
		return account.Account{Username: name, Roles: []string{role}, Attributes: map[string]any{"tenant": tenant}}
	}
	issuer := trial.StartIssuer(t,
		of("acme", "ann", "author"), of("acme", "bob", "author"), of("acme", "rita", "reader"), of("other", "zoe", "author"),
		account.Account{Username: "nils", Roles: []string{"author"}},
	)
	program := trial.StartProgram(t, issuer.URL)

	ann, bob := issuer.Token(t, "ann", "documents", ""), issuer.Token(t, "bob", "documents", "")
	rita, zoe := issuer.Token(t, "rita", "documents", ""), issuer.Token(t, "zoe", "documents", "")
	nils := issuer.Token(t, "nils", "documents", "")
	document := program.Want(t, "POST", "/documents", ann, "for acme's eyes", http.StatusCreated, `"tenant":"acme"`).Location

	for _, tt := range []struct {
		name, method, target, token string
		status                      int
		text                        string
	}{
		{"public", "GET", "/healthz", "", http.StatusNoContent, ""},
		{"public, whatever the token", "GET", "/healthz", "junk", http.StatusNoContent, ""},
		{"anonymous", "GET", document, "", http.StatusUnauthorized, `Bearer realm="documents"`},
		{"anonymous, undeclared", "GET", "/admin", "", http.StatusUnauthorized, `Bearer`},
		{"undeclared", "GET", "/admin", ann, http.StatusNotFound, ""},
		{"another method", "PATCH", document, ann, http.StatusMethodNotAllowed, ""},
		{"no token", "GET", document, "junk", http.StatusUnauthorized, `error="invalid_token"`},
		{"a token for another program", "GET", document, issuer.Token(t, "ann", "reports", ""), http.StatusUnauthorized, `error="invalid_token"`},
		{"a token for the issuer itself", "GET", document, issuer.Token(t, "ann", "", ""), http.StatusUnauthorized, `error="invalid_token"`},
		{"the owner", "GET", document, ann, http.StatusOK, "for acme's eyes"},
		{"HEAD", "HEAD", document, ann, http.StatusOK, ""},
		{"the same tenant", "GET", document, rita, http.StatusOK, "for acme's eyes"},
		{"another tenant", "GET", document, zoe, http.StatusNotFound, ""},
		{"no tenant", "GET", document, nils, http.StatusNotFound, ""},
		{"no tenant to write in", "POST", "/documents", nils, http.StatusNotFound, ""},
		{"no such document", "GET", "/documents/none", ann, http.StatusNotFound, ""},
		{"scope missing in the roles", "POST", "/documents", rita, http.StatusForbidden, `error="insufficient_scope", scope="documents:write"`},
		{"scope missing in the token", "POST", "/documents", issuer.Token(t, "ann", "documents", "documents:read"), http.StatusForbidden, `scope="documents:write"`},
		{"not the owner", "DELETE", document, bob, http.StatusForbidden, "not_owner"},
		{"not the tenant", "DELETE", document, zoe, http.StatusNotFound, ""},
		{"not canonical: an empty segment", "GET", "/" + document, ann, http.StatusBadRequest, ""},
		{"not canonical: a dot segment", "GET", "/healthz/.." + document, ann, http.StatusBadRequest, ""},
		{"not canonical: an encoded letter", "GET", "/%64ocuments/x", ann, http.StatusBadRequest, ""},
		{"nothing of this has removed it", "GET", document, ann, http.StatusOK, "for acme's eyes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program.Want(t, tt.method, tt.target, tt.token, "", tt.status, tt.text)
		})
	}

	t.Run("a policy is live when it is saved", func(t *testing.T) {
		const rule = `met("owner", true) if input.resource.owner == input.subject.id`
		program.Edit(t, "policies/authz/authz.rego", rule, "met(", "policy refused; the live one stays")
		program.Want(t, "DELETE", document, bob, "", http.StatusForbidden, "not_owner")
		program.Edit(t, "policies/authz/authz.rego", "met(\n", rule+"\n", "policy unchanged")
		// Whoever may write may remove what is their tenant's.
		program.Edit(t, "data/routes.yaml", ", owner: true", "", "policy activated")
		program.Want(t, "DELETE", document, zoe, "", http.StatusNotFound, "")
		program.Want(t, "DELETE", document, bob, "", http.StatusNoContent, "")
		program.Want(t, "GET", document, ann, "", http.StatusNotFound, "")
	})
}
