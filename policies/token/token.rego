# METADATA
# scope: package
# title: May this token be issued, and what is in it?
# description: >-
#   Answers data.token.decision once the subject has authenticated (a request whose
#   subject has not is denied; its reasons still say whether the grant type is open).
#   data.tokens says which grant types are open and how long tokens live, data.roles
#   which scopes the subject's roles carry. The audience is not judged here: without
#   one in the decision a token is for the configured audience.
# schemas:
#   - input: schema.token
package token

import data.rbac

# METADATA
# title: The decision
# description: >-
#   allow says whether to issue; scope is what is granted, sorted, and lifetime is in
#   seconds. A denial says why: reasons are complete and sorted by code. One whose code
#   is an error code of RFC 6749 section 5.2 is answered as that error, any other as a
#   wrong password is.
# scope: document
# entrypoint: true
decision := {
	"allow": true,
	"scope": sort(granted),
	"lifetime": {"access_token": data.tokens.lifetime.access_token},
} if {
	deny == set()
	_grant_open
	_subject_supported
	_scope_grantable
	_lifetime_declared
} else := {
	"allow": false,
	"reasons": sort(reasons),
}

# METADATA
# title: The scopes granted
# description: >-
#   Those requested that the subject's roles carry; where none were requested, all
#   that the roles carry. A role that was taken away grants nothing.
granted := carried if {
	_none_requested
} else := {scope |
	is_array(input.scope)
	some scope in input.scope
	scope in carried
}

# METADATA
# title: The scopes that the subject's roles carry
default carried := set()

carried := rbac.scopes(data.roles, input.subject.roles)

_none_requested if not input.scope

_none_requested if input.scope == []

_grant_open if data.tokens.grants[input.grant_type] == true

_subject_supported if input.subject.kind in {"account", "client"}

_scope_grantable if _none_requested

_scope_grantable if granted != set()

_lifetime_declared if {
	is_number(data.tokens.lifetime.access_token)
	data.tokens.lifetime.access_token > 0
}
