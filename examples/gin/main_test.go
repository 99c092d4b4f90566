package main

import (
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/examples/internal/trial"
	"github.com/stagedoor/stagedoor/server/account"
)

// The program runs as its users would run it, beside a Stagedoor server whose tokens
// it verifies.
func TestReports(t *testing.T) {
	issuer := trial.StartIssuer(t,
		account.Account{Username: "ann", Roles: []string{"author"}}, account.Account{Username: "bob", Roles: []string{"author"}},
		account.Account{Username: "mia", Roles: []string{"manager"}},
		// A role of the issuer that has the name of one of the program's is not mapped.
		account.Account{Username: "eve", Roles: []string{"author", "approver"}},
	)
	program := trial.StartProgram(t, issuer.URL)

	ann, bob := issuer.Token(t, "ann", "reports", ""), issuer.Token(t, "bob", "reports", "")
	mia, eve := issuer.Token(t, "mia", "reports", ""), issuer.Token(t, "eve", "reports", "")
	small := program.Want(t, "POST", "/reports", ann, `{"amount": 20}`, http.StatusCreated, `"amount":20`).Location
	large := program.Want(t, "POST", "/reports", ann, `{"amount": 800}`, http.StatusCreated, `"amount":800`).Location
	mias := program.Want(t, "POST", "/reports", mia, `{"amount": 5}`, http.StatusCreated, "").Location

	for _, tt := range []struct {
		name, method, target, token string
		status                      int
		text                        string
	}{
		{"anonymous", "GET", small, "", http.StatusUnauthorized, `Bearer realm="reports"`},
		{"anonymous, undeclared", "GET", "/admin", "", http.StatusUnauthorized, `Bearer`},
		{"undeclared", "GET", "/admin", ann, http.StatusNotFound, ""},
		{"another method", "DELETE", small, ann, http.StatusMethodNotAllowed, ""},
		{"a token for another program", "GET", small, issuer.Token(t, "ann", "documents", ""), http.StatusUnauthorized, `error="invalid_token"`},
		{"what is no report", "POST", "/reports", ann, http.StatusBadRequest, "send JSON"},
		{"the owner", "GET", small, ann, http.StatusOK, `"amount":20`},
		{"another", "GET", small, bob, http.StatusForbidden, "not_yours"},
		{"an approver", "GET", small, mia, http.StatusOK, `"amount":20`},
		{"a role that is not mapped", "GET", small, eve, http.StatusForbidden, "not_yours"},
		{"scope missing in the roles", "POST", small + "/approval", ann, http.StatusForbidden, "missing_scope"},
		{"scope missing in the token", "POST", small + "/approval", issuer.Token(t, "mia", "reports", "reports:write"), http.StatusForbidden, `error="insufficient_scope", scope="reports:approve"`},
		{"one's own", "POST", mias + "/approval", mia, http.StatusForbidden, "own_report"},
		{"beyond the limit", "POST", large + "/approval", mia, http.StatusForbidden, "beyond_limit"},
		{"no such report", "POST", "/reports/none/approval", mia, http.StatusNotFound, ""},
		{"within the limit", "POST", small + "/approval", mia, http.StatusOK, `"approved_by"`},
		{"again", "POST", small + "/approval", mia, http.StatusForbidden, "approved_before"},
		{"a slash at the end, where Gin would redirect", "GET", small + "/", ann, http.StatusNotFound, ""},
		{"not canonical: an empty segment", "GET", "/" + small, ann, http.StatusBadRequest, ""},
		{"not canonical: an encoded letter", "GET", "/%72eports/x", ann, http.StatusBadRequest, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program.Want(t, tt.method, tt.target, tt.token, "", tt.status, tt.text)
		})
	}

	t.Run("a limit is live when it is saved", func(t *testing.T) {
		program.Edit(t, "data/limits.yaml", "approver: 500", "approver: 1000", "policy activated")
		program.Want(t, "POST", large+"/approval", mia, "", http.StatusOK, `"approved_by"`)
	})
}
