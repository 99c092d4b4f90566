package authz

import "time"

// GrantRequest is the other question: may this token be issued, and what is in
// it? It becomes the input of data.token.decision.
type GrantRequest struct {
	// GrantType is the OAuth grant type, such as "password" (RFC 6749 section 4).
	GrantType string
	// Subject is the account (or client) that has authenticated.
	Subject *Subject
	// Client is the client that asks, as it is now; the built-in first-party client
	// where the request named none.
	Client *GrantClient
	// Session is the login that is refreshed; nil for every other grant.
	Session *GrantSession
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

// GrantClient is the client of a [GrantRequest], as it is registered.
type GrantClient struct {
	ID string
	// Confidential is whether it has authenticated by a credential of its own.
	Confidential bool
	// Grants are the grant types that it may use.
	Grants []string
	// Scopes bound what its tokens get; "*" is every scope that an account's roles
	// carry.
	Scopes []string
	// Audiences are those that its tokens may be for.
	Audiences []string
	Disabled  bool
}

// GrantSession is what a login got that is refreshed now.
type GrantSession struct {
	// Scope and Audience were granted then: a refresh never gets more.
	Scope, Audience []string
	// AuthTime is when the subject authenticated.
	AuthTime time.Time
}

// Grant answers a [GrantRequest]. The zero value denies.
type Grant struct {
	// Allow is true only when the policy answered with the boolean true.
	Allow bool
	// Reasons is complete and ordered on a denial. A reason whose code is one of
	// the error codes of RFC 6749 section 5.2 or of RFC 8707 section 2 is answered with that code; any
	// other is answered as invalid_grant.
	Reasons []Reason
	// Scope is what the token gets, sorted; it may be empty.
	Scope []string
	// AccessTokenLifetime is how long the access token lives; 0 when the policy
	// did not say.
	AccessTokenLifetime time.Duration
	// RefreshLifetime is how long the login can be refreshed, counted from the login;
	// 0 for no refresh token. RefreshIdle is how long it can lie unused in between; 0
	// for no bound but that.
	RefreshLifetime, RefreshIdle time.Duration
	// Audience is the token's audience; nil for the configured one.
	Audience []string
	// Claims are extra claims. They never override a registered claim.
	Claims map[string]any
	// Revision is the content digest of the policy that decided.
	Revision string
}
