package authz

import data.rbac

# METADATA
# title: The scopes that count
# description: >-
#   Those of the token that its subject carries now, by the same rules as `met` has for
#   a route that asks for scopes; a disabled subject has none. Whoever trusts our word
#   is told these (X-Auth-Scopes); they decide nothing here. A set.
# scope: document
# entrypoint: true
scopes contains scope if {
	input.subject.disabled == false
	input.subject.kind in {"account", "client"}
	some scope in rbac.listed(input.claims.scope)
	_carried(scope)
}

scopes contains scope if {
	input.subject.disabled == false
	input.subject.kind == "external"
	some scope in input.subject.scopes
}

scopes contains scope if {
	input.subject.disabled == false
	_unmapped
	some scope in _external_scopes
	_admits(current_roles, scope)
}

_carried(scope) if rbac.carries(data.roles, current_roles, scope)

_carried(scope) if {
	input.subject.kind == "client"
	scope in input.subject.scopes
}
