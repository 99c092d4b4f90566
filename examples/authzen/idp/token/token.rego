# METADATA
# scope: package
# title: May this token be issued, and what is in it?
# description: >-
#   Answers data.token.decision. It is asked twice: before the subject authenticates
#   (such a request is denied; its reasons say whether the grant type and the client
#   are in order) and afterwards. data.tokens says which grant types are open and how
#   long tokens live, data.roles which scopes an account's roles carry, input.client
#   what the client may have, and input.session what the login got that is refreshed.
#   Without an audience in the decision a token is for the configured audience.
# schemas:
#   - input: schema.token
package token

import data.rbac

# METADATA
# title: The decision
# description: >-
#   allow says whether to issue; scope is what is granted, sorted; lifetimes are in
#   seconds, and without one for the refresh token there is none. A denial says why:
#   reasons are complete and sorted by code. One whose code is an error code of RFC 6749
#   section 5.2 or RFC 8707 section 2 is answered as that error, any other as a wrong
#   password is.
# scope: document
# entrypoint: true
decision := issued if {
	deny == set()
	_grant_open
	_client_known
	_client_may
	_subject_supported
	_scope_grantable
	_audience_grantable
	_lifetime_declared
} else := {
	"allow": false,
	"reasons": sort(reasons),
}

# METADATA
# title: What is issued
# description: The decision's members; each is left out where there is nothing to say.
# scope: document
issued["allow"] := true

issued["scope"] := sort(granted)

issued["audience"] := audiences

issued["lifetime"] := {name: data.tokens.lifetime[name] | some name in _lifetimes}

# METADATA
# title: The scopes granted
# description: >-
#   Those asked for that the subject carries and the client may have; where none were
#   asked for, all such. A refresh asks for what the login got, unless it asks for less.
#   A role or a scope that was taken away meanwhile grants nothing.
granted := {scope | some scope in carried; _client_may_have(scope)} if {
	_none_requested
	not input.session
} else := {scope |
	some scope in _asked_for
	scope in carried
	_client_may_have(scope)
}

# METADATA
# title: The scopes that the subject carries
# description: An account those of its roles, a client those that are registered for it.
default carried := set()

carried := rbac.scopes(data.roles, input.subject.roles) if input.subject.kind == "account"

carried := {scope | some scope in input.subject.scopes} if {
	input.subject.kind == "client"
	is_array(input.subject.scopes)
}

# METADATA
# title: The audiences asked for
# description: A list; undefined where none were, which leaves it to the configuration.
audiences := input.audience if {
	input.audience != []
} else := input.session.audience if {
	input.session.audience != []
}

default _asked_for := []

_asked_for := input.scope if {
	not _none_requested
	is_array(input.scope)
} else := input.session.scope if {
	_none_requested
	is_array(input.session.scope)
}

_none_requested if not input.scope

_none_requested if input.scope == []

_grant_open if data.tokens.grants[input.grant_type] == true

_client_known if input.client.disabled == false

_client_may if {
	input.grant_type in input.client.grants
	_confidential_enough
}

# RFC 6749 section 4.4: a client acts for itself only by a credential of its own.
_confidential_enough if input.grant_type != "client_credentials"

_confidential_enough if input.client.confidential == true

_client_may_have(scope) if scope in input.client.scopes

_client_may_have(_) if {
	input.subject.kind == "account"
	"*" in input.client.scopes
}

_subject_supported if {
	input.subject.kind == "account"
	input.grant_type != "client_credentials"
	_login_there
}

# A client acts for nobody but itself.
_subject_supported if {
	input.subject.kind == "client"
	input.grant_type == "client_credentials"
	input.subject.id == input.client.id
}

# A refresh without the login that it refreshes would be bounded by nothing.
_login_there if input.grant_type != "refresh_token"

_login_there if is_object(input.session)

# A refresh asks for nothing that the login did not get (RFC 6749 section 6).
_scope_within_login if not input.session

_scope_within_login if {
	is_array(input.session.scope)
	every scope in _asked_for {
		scope in input.session.scope
	}
}

_scope_grantable if {
	_none_requested
	_scope_within_login
}

_scope_grantable if {
	granted != set()
	_scope_within_login
}

_audience_grantable if not audiences

_audience_grantable if {
	is_array(audiences)
	every audience in audiences {
		audience in input.client.audiences
	}
	_audience_within_login
}

_audience_within_login if not input.session

_audience_within_login if {
	every audience in audiences {
		audience in input.session.audience
	}
}

_lifetime_declared if _seconds(data.tokens.lifetime.access_token)

_lifetimes contains "access_token"

_lifetimes contains "refresh_token" if _refreshable

_lifetimes contains "refresh_token_idle" if {
	_refreshable
	_seconds(data.tokens.lifetime.refresh_token_idle)
}

# A refresh token goes to a client that may use it, for an account's login (RFC 6749
# section 4.4.3), where a lifetime is declared.
_refreshable if {
	input.grant_type != "client_credentials"
	data.tokens.grants.refresh_token == true
	"refresh_token" in input.client.grants
	_seconds(data.tokens.lifetime.refresh_token)
}

_seconds(value) if {
	is_number(value)
	value > 0
}
