package authz

import "time"

// GrantRequest is the other question: may this token be issued, and what is in
// it? It becomes the input of data.token.decision.
type GrantRequest struct {
	// GrantType is the OAuth grant type, such as "password" (RFC 6749 section 4).
	GrantType string
	// Subject is the account (or client) that has authenticated.
	Subject *Subject
	// ClientID is the client that asks; the built-in first-party client where
	// the request named none.
	ClientID string
	// Scope is what was requested, without repetition; nil when none was.
	Scope []string
	// Audience is what was requested; nil when none was.
	Audience []string
	// AMR lists the authentication methods used (RFC 8176), such as "pwd".
	AMR []string
	// ClientIP is the caller's address, seen through trusted proxies only.
	ClientIP string
	// Now is the moment of the request.
	Now time.Time
}

// Grant answers a [GrantRequest]. The zero value denies.
type Grant struct {
	// Allow is true only when the policy answered with the boolean true.
	Allow bool
	// Reasons is complete and ordered on a denial. A reason whose code is one of
	// the error codes of RFC 6749 section 5.2 is answered with that code; any
	// other is answered as invalid_grant.
	Reasons []Reason
	// Scope is what the token gets, sorted; it may be empty.
	Scope []string
	// AccessTokenLifetime is how long the access token lives; 0 when the policy
	// did not say.
	AccessTokenLifetime time.Duration
	// Audience is the token's audience; nil for the configured one.
	Audience []string
	// Claims are extra claims. They never override a registered claim.
	Claims map[string]any
	// Revision is the content digest of the policy that decided.
	Revision string
}
