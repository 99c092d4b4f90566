# METADATA
# scope: package
# title: May this request pass?
# description: >-
#   Answers data.authz.decision for every request. data.routes says what a route
#   asks for, input says who asks. What counts is what the subject may have now: its
#   roles are those of input.subject, and a scope counts only where the token holds
#   it and the subject carries it: by one of those roles (data.roles) or, as a client,
#   by itself. An external subject is known by its token alone: its roles and scopes
#   are what the configuration maps that to.
# schemas:
#   - input: schema.authz
package authz

import data.rbac

# METADATA
# title: The decision
# description: >-
#   allow says whether the request passes. A denial says why (reasons, complete,
#   sorted by code), which HTTP status suits it, and what a token would have to hold
#   (needs). Reasons are computed after a denial only. The three ways to pass stand
#   in this rule, not in one of their own, because each rule on the way costs.
# scope: document
# entrypoint: true
decision := {"allow": true} if {
	# 1. The route is public. Tokens, good or bad, don't matter.
	declared == {"public": true}
} else := {"allow": true} if {
	# 2. Nothing forbids the request, and every condition declared is met.
	deny == set()
	roles := current_roles
	asked := declared
	asked != {}
	{condition: value |
		some condition, value in asked
		met(condition, value, roles)
	} == asked
} else := {"allow": true} if {
	# 3. A CORS preflight, which carries no token, asks about a declared method. The
	# request that follows is decided by itself.
	input.method == "OPTIONS"
	is_object(_asked_about)
} else := {
	"allow": false,
	"status": _status,
	"reasons": sort(reasons),
	"needs": _needs,
}

# METADATA
# title: What the route's declaration says of this method
# description: An object of conditions; undefined where nothing is declared.
declared := data.routes[input.route].GET if input.method == "HEAD"

else := data.routes[input.route][input.method]

_asked_about := data.routes[input.route].GET if input.preflight == "HEAD"

else := data.routes[input.route][input.preflight]

# METADATA
# title: The roles that count
# description: >-
#   A list; undefined where there is no subject, its kind is unknown, or its roles
#   are not a list. Having none is an empty list.
current_roles := input.subject.roles if {
	input.subject.kind in {"account", "client"}
	is_array(input.subject.roles)
} else := [] if {
	input.subject.kind in {"account", "client"}
	not input.subject.roles
} else := input.subject.roles if {
	input.subject.kind == "external"
	input.subject.scopes
	is_array(input.subject.roles)
} else := input.claims.roles if {
	_unmapped
	is_array(input.claims.roles)
} else := [] if {
	_unmapped
	not input.claims.roles
}

# A subject of an issuer for which nothing is mapped: then its claims count.
_unmapped if {
	input.subject.kind == "external"
	not input.subject.scopes
}

# METADATA
# title: The conditions that a route can declare
# description: >-
#   By name, with the type of their values: "true" (the boolean true, and nothing
#   else) or "names" (a list of strings, not empty).
# scope: document
conditions["public"] := "true"

conditions["authenticated"] := "true"

conditions["roles"] := "names"

conditions["scopes"] := "names"

conditions["owner"] := "true"

conditions["owner_exempt"] := "names"

# METADATA
# title: Is this condition met?
# description: >-
#   Never for a condition that is not known, or whose value has the wrong type. A rule
#   that looks at more than the subject's roles begins with the declaration that it is
#   for (declared.owner == true): so what it looks at is known to make no difference to
#   other routes, and their decisions are kept for everybody who has these roles.
# scope: document
met("authenticated", true, _)

met("roles", wanted, roles) if {
	_names(wanted)
	some role in wanted
	role in roles
}

# Comparing the scopes held with those wanted also refuses whatever is no list.
met("scopes", wanted, roles) if {
	declared.scopes
	input.subject.kind == "account"
	wanted != []
	granted := split(input.claims.scope, " ")
	[scope |
		some scope in wanted
		scope in granted
		rbac.carries(data.roles, roles, scope)
	] == wanted
}

# A client carries scopes of its own besides.
met("scopes", wanted, roles) if {
	declared.scopes
	input.subject.kind == "client"
	wanted != []
	granted := split(input.claims.scope, " ")
	[scope |
		some scope in wanted
		scope in granted
		_client_carries(roles, scope)
	] == wanted
}

met("scopes", wanted, _) if {
	declared.scopes
	input.subject.kind == "external"
	_names(wanted)
	[scope |
		some scope in wanted
		scope in input.subject.scopes
	] == wanted
}

met("scopes", wanted, roles) if {
	declared.scopes
	input.subject.kind == "external"
	not input.subject.scopes
	_names(wanted)
	[scope |
		some scope in wanted
		scope in _external_scopes
		_admits(roles, scope)
	] == wanted
}

# An external subject owns nothing here: its id comes from another issuer's
# namespace, and may well be the same as that of an account.
met("owner", true, _) if {
	declared.owner == true
	input.subject.kind in {"account", "client"}
	is_string(input.subject.id)
	input.subject.id != ""
	input.resource.owner == input.subject.id
}

met("owner", true, roles) if {
	some role in declared.owner_exempt
	role in roles
}

met("owner_exempt", exempt, _) if {
	declared.owner == true
	_names(exempt)
}

_client_carries(roles, scope) if rbac.carries(data.roles, roles, scope)

_client_carries(_, scope) if {
	declared.scopes
	scope in input.subject.scopes
}

_admits(roles, scope) if rbac.carries(data.roles, roles, scope)

_admits(roles, _) if not rbac.maps(data.roles, roles)

# Other issuers write scopes as a string or as a list, in scope or in scp.
_external_scopes := input.claims.scope if {
	is_array(input.claims.scope)
} else := rbac.listed(input.claims.scope) if {
	input.claims.scope
} else := input.claims.scp if {
	is_array(input.claims.scp)
} else := rbac.listed(input.claims.scp)

# A list of strings that is not empty: concat is undefined for anything else.
_names(value) if concat("", value) != ""
