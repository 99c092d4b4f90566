package account

import "strings"

// What events tell of.
const (
	LoginSucceeded = "login.succeeded"
	LoginFailed    = "login.failed"

	TokenIssued        = "token.issued"
	TokenRefreshed     = "token.refreshed"
	TokenRefreshReused = "token.refresh_reused"
	TokenRevoked       = "token.revoked"
	// TokenRefused is a token that somebody who has proved who they are did not get.
	TokenRefused   = "token.refused"
	SessionRevoked = "session.revoked"

	AccountCreated         = "account.created"
	AccountChanged         = "account.changed"
	AccountPasswordChanged = "account.password_changed"
	AccountDisabled        = "account.disabled"
	AccountEnabled         = "account.enabled"
	AccountRemoved         = "account.removed"

	ClientCreated       = "client.created"
	ClientChanged       = "client.changed"
	ClientSecretRotated = "client.secret_rotated"
	ClientDisabled      = "client.disabled"
	ClientEnabled       = "client.enabled"
	ClientRemoved       = "client.removed"
	// ClientAuthFailed is a client that could not prove who it is.
	ClientAuthFailed = "client.authentication_failed"

	KeyCreated = "key.created"
	KeyRotated = "key.rotated"
	KeyRetired = "key.retired"
	KeyRekeyed = "key.rekeyed"
)

// Actions is what events tell of.
func Actions() []string {
	return []string{
		LoginSucceeded, LoginFailed,
		TokenIssued, TokenRefreshed, TokenRefreshReused, TokenRevoked, TokenRefused, SessionRevoked,
		AccountCreated, AccountChanged, AccountPasswordChanged, AccountDisabled, AccountEnabled, AccountRemoved,
		ClientCreated, ClientChanged, ClientSecretRotated, ClientDisabled, ClientEnabled, ClientRemoved, ClientAuthFailed,
		KeyCreated, KeyRotated, KeyRetired, KeyRekeyed,
	}
}

// NamedActions are the actions that somebody means by a name: that action or, by
// what stands before the dot, all of a kind. None where there is no such action.
func NamedActions(name string) []string {
	var named []string
	for _, action := range Actions() {
		if kind, _, _ := strings.Cut(action, "."); name == action || name == kind {
			named = append(named, action)
		}
	}
	return named
}

// ActorKinds is who may be an actor.
func ActorKinds() []string {
	return []string{ActorAccount, ActorClient, ActorExternal, ActorOperator, ActorServer, ActorAnonymous}
}
