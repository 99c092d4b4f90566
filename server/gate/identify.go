package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// queryToken is the parameter of RFC 6750 section 2.3, which is never accepted
// (RFC 9700 section 4.3.2).
const queryToken = "access_token"

// identify finds out who asks. The question gets a subject and claims, or why
// the token was refused, or neither where none was presented. An error means
// that this could not be found out.
func (v *visit) identify(ctx context.Context) error {
	q := &v.question
	raw, refused := credential(v.r.Header, q.Query)
	// The policy never sees a credential, not even one that came the wrong way.
	delete(q.Query, queryToken)
	if raw == "" || refused != "" {
		q.TokenError = refused
		return nil
	}
	if v.gate.o.Tokens == nil {
		q.TokenError = authz.TokenUnsupported
		return nil
	}
	verified, err := v.gate.o.Tokens.Verify(ctx, raw)
	switch {
	case err != nil:
		if q.TokenError = refusedAs(err); q.TokenError != "" {
			return nil
		}
		return fmt.Errorf("verifying the token: %w", err)
	case verified == nil || verified.Claims == nil:
		return errors.New("verifying the token: it is neither refused nor verified")
	}
	subject, err := v.subject(ctx, verified)
	switch {
	case err != nil:
		return fmt.Errorf("looking up the subject: %w", err)
	case subject == nil:
		q.TokenError = authz.TokenUnknownSubject
	default:
		q.Subject, q.Claims = subject, verified.Claims
	}
	return nil
}

// refusedAs is why a token was refused; empty where the error is another one.
func refusedAs(err error) (refused authz.TokenError) {
	errors.As(err, &refused)
	return refused
}

// subject is who a good token's subject is now; nil where it is gone.
func (v *visit) subject(ctx context.Context, verified *token.Verified) (*authz.Subject, error) {
	switch {
	case verified.External != nil:
		return external(verified), nil
	case v.gate.o.Subjects == nil:
		return nil, errors.New("the token's issuer is our own, and nobody knows its subjects: give the gate Subjects and Issuer")
	case verified.Issuer != v.gate.o.Issuer:
		return external(verified), nil
	}
	subject, err := v.gate.o.Subjects.Subject(ctx, verified.Subject)
	if errors.Is(err, account.ErrNotFound) {
		return nil, nil
	}
	return subject, err
}

// external is the subject of another issuer's token, which is never looked up.
func external(verified *token.Verified) *authz.Subject {
	if verified.External != nil && verified.External.Kind == authz.KindExternal {
		return verified.External
	}
	return &authz.Subject{Kind: authz.KindExternal, ID: verified.Subject, Issuer: verified.Issuer}
}

// credential finds the bearer token of a request (RFC 6750 section 2.1). Both
// results are empty where none was presented, which is also what a credential of
// another scheme amounts to.
func credential(header http.Header, query map[string][]string) (raw string, refused authz.TokenError) {
	values := header["Authorization"]
	_, inQuery := query[queryToken]
	switch {
	case len(values) > 1:
		return "", authz.TokenRepeated
	case inQuery:
		return "", authz.TokenInQuery
	case len(values) == 0:
		return "", ""
	}
	value := strings.Trim(values[0], " \t")
	scheme, rest := value, ""
	if end := strings.IndexAny(value, " \t"); end >= 0 {
		scheme, rest = value[:end], strings.TrimLeft(value[end:], " ")
	}
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", ""
	case !isBase64Token(rest):
		return "", authz.TokenMalformedRequest
	}
	return rest, ""
}

// isBase64Token is the b64token of RFC 6750 section 2.1:
// 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=".
func isBase64Token(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !base64Token[s[i]] {
			return false
		}
	}
	return s != ""
}

// base64Token are the characters of a b64token, but for the padding. It is never
// changed. A table takes a third of the time of comparisons, and tokens are long.
var base64Token = func() (table [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/" {
		table[c] = true
	}
	return table
}()
