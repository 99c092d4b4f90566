package token

import "github.com/stagedoor/stagedoor/server/authz"

// refusal says why a token was refused: a code for programs, and the broken rule
// for whoever reads the log. Nothing of the token is in it.
type refusal struct {
	code   authz.TokenError
	detail string
}

func refuse(code authz.TokenError, detail string) error {
	return &refusal{code: code, detail: detail}
}

func (r *refusal) Error() string { return r.code.Error() + ": " + r.detail }

func (r *refusal) Unwrap() error { return r.code }
