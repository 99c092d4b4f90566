package problem

import "strings"

// The error codes of RFC 6750 section 3.1.
const (
	InvalidRequest    = "invalid_request"
	InvalidToken      = "invalid_token"
	InsufficientScope = "insufficient_scope"
)

// Challenge is a Bearer challenge (RFC 6750 section 3). Each member is written
// at most once; a realm always is, because a challenge needs a parameter.
type Challenge struct {
	// Realm names the protection space (RFC 9110 section 11.5).
	Realm string
	// Error is an error code; empty when no token was presented.
	Error string
	// Description is for the client's developer.
	Description string
	// Scope lists what would suffice.
	Scope []string
}

// String is the value of WWW-Authenticate. What the grammar does not allow is
// never written: a scope with another character than RFC 6749 section 3.3 knows
// is left out, and such a character in an error or a description is replaced.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString("Bearer realm=")
	writeQuoted(&b, c.Realm)
	if c.Error != "" {
		b.WriteString(", error=")
		writeQuoted(&b, describable(c.Error))
	}
	if c.Description != "" {
		b.WriteString(", error_description=")
		writeQuoted(&b, describable(c.Description))
	}
	if scope := scopeList(c.Scope); scope != "" {
		b.WriteString(", scope=")
		writeQuoted(&b, scope)
	}
	return b.String()
}

// writeQuoted writes a quoted-string (RFC 9110 section 5.6.4). Control
// characters, which none can hold, become spaces; other characters than ASCII,
// which readers disagree about, question marks.
func writeQuoted(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20, r == 0x7f:
			b.WriteByte(' ')
		case r > 0x7f:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// describable maps s into the characters that RFC 6750 section 3 allows in
// error and error_description: %x20-21 / %x23-5B / %x5D-7E.
func describable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20, r == 0x7f:
			return ' '
		case r > 0x7f:
			return '?'
		}
		return r
	}, s)
}

// scopeList joins the well-formed scopes, each once.
func scopeList(scopes []string) string {
	seen := make(map[string]bool, len(scopes))
	var list []string
	for _, s := range scopes {
		if isScopeToken(s) && !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return strings.Join(list, " ")
}

// isScopeToken is RFC 6749 section 3.3: 1*( %x21 / %x23-5B / %x5D-7E ).
func isScopeToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
