package oauth

import (
	"slices"
	"strings"
)

// maxScopeTokens bounds what the policy is asked to look at for one request.
const maxScopeTokens = 256

// parseScope reads a scope parameter (RFC 6749 section 3.3): tokens separated by
// single spaces, case-sensitive, in any order. It returns them in the order
// sent, without repetition; nil when none was requested.
func parseScope(raw string) ([]string, error) {
	if raw == "" {
		return nil, nil
	}
	var scope []string
	for token := range strings.SplitSeq(raw, " ") {
		if !isScopeToken(token) {
			return nil, &Error{Code: codeInvalidScope, Description: "the scope must be names separated by single spaces, of printable ASCII without quotes and backslashes"}
		}
		if slices.Contains(scope, token) {
			continue
		}
		if len(scope) == maxScopeTokens {
			return nil, &Error{Code: codeInvalidScope, Description: "more than 256 scopes were requested"}
		}
		scope = append(scope, token)
	}
	return scope, nil
}

// isScopeToken holds 1*( %x21 / %x23-5B / %x5D-7E ).
func isScopeToken(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool {
		return r < 0x21 || r > 0x7E || r == '"' || r == '\\'
	})
}
