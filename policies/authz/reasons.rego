package authz

# Why a request is refused. Each reason's code and message come from the METADATA of
# the rule that gives it.
#
# To refuse something besides, write one more `deny` rule: any of them beats every
# grant but `public: true`. They are evaluated for every request that asks for a
# subject, so keep them few and cheap, and begin one that is for some routes only with
# what these declare. `reasons` rules only explain conditions that `decision` found
# unmet; they refuse nothing by themselves.

# METADATA
# title: What forbids a request, whatever else speaks for it
# scope: document

# METADATA
# title: Disabled
# custom:
#   code: account_disabled
#   message: the account is disabled
deny contains reason(rego.metadata.rule(), []) if input.subject.disabled != false

# METADATA
# title: Token refused
# custom:
#   code: token_refused
#   message: "the token presented was refused: %v"
deny contains reason(rego.metadata.rule(), [input.token_error]) if input.token_error

# METADATA
# title: Why the request is refused
# scope: document
reasons contains forbidden if some forbidden in deny

# METADATA
# title: Nobody asks
# custom:
#   code: unauthenticated
#   message: needs a valid token
reasons contains reason(rego.metadata.rule(), []) if {
	_status == 401
	not input.token_error
}

# METADATA
# title: Unknown kind of subject
# custom:
#   code: unsupported_subject
#   message: the kind of subject is not known here
reasons contains reason(rego.metadata.rule(), []) if {
	_known
	not input.subject.kind in {"account", "client", "external"}
}

# METADATA
# title: Roles that are no list
# custom:
#   code: malformed_roles
#   message: the subject's roles are not a list
reasons contains reason(rego.metadata.rule(), []) if {
	input.subject.kind in {"account", "client", "external"}
	not current_roles
}

# METADATA
# title: Undeclared route
# custom:
#   code: route_undeclared
#   message: no route is declared for this path
reasons contains reason(rego.metadata.rule(), []) if not _route_declared

# METADATA
# title: Undeclared method
# custom:
#   code: method_undeclared
#   message: this route is not declared for this method
reasons contains reason(rego.metadata.rule(), []) if {
	_route_declared
	not _method_declared
}

# METADATA
# title: Declaration without a condition
# custom:
#   code: empty_declaration
#   message: the route's declaration has no condition
reasons contains reason(rego.metadata.rule(), []) if declared in [{}, null]

# METADATA
# title: Declaration that is no object
# custom:
#   code: malformed_declaration
#   message: the route's declaration is not an object of conditions
reasons contains reason(rego.metadata.rule(), []) if {
	declared != null
	not is_object(declared)
}

# METADATA
# title: Unknown condition
# custom:
#   code: unknown_condition
#   message: "the route's declaration has a condition that is not known: %s"
reasons contains reason(rego.metadata.rule(), [condition]) if {
	some condition, _ in _declared_conditions
	not conditions[condition]
}

# METADATA
# title: Condition with an unsuitable value
# custom:
#   code: malformed_condition
#   message: "the route's declaration has a value that is empty or of the wrong type: %s"
reasons contains reason(rego.metadata.rule(), [condition]) if {
	some condition, value in _declared_conditions
	not _has_type(value, conditions[condition])
	conditions[condition]
}

# METADATA
# title: Public beside other conditions
# custom:
#   code: public_with_conditions
#   message: "the route's declaration has other conditions beside public: true"
reasons contains reason(rego.metadata.rule(), []) if {
	_declared_conditions.public == true
	count(_declared_conditions) > 1
}

# METADATA
# title: Exemption from nothing
# custom:
#   code: owner_exempt_without_owner
#   message: "the route's declaration has owner_exempt without owner: true"
reasons contains reason(rego.metadata.rule(), []) if {
	_declared_conditions.owner_exempt
	not _declared_conditions.owner == true
}

# METADATA
# title: Role missing
# custom:
#   code: missing_role
#   message: needs role %s
reasons contains reason(rego.metadata.rule(), [concat(" or ", declared.roles)]) if {
	_names(declared.roles)
	not met("roles", declared.roles, current_roles)
	current_roles
}

# METADATA
# title: Scope missing
# custom:
#   code: missing_scope
#   message: needs scope %s
reasons contains reason(rego.metadata.rule(), [concat(" ", missing)]) if {
	_names(declared.scopes)
	missing := {scope |
		some scope in declared.scopes
		not met("scopes", [scope], current_roles)
	}
	missing != set()
	current_roles
}

# METADATA
# title: Not the owner
# custom:
#   code: not_owner
#   depends_on: resource
#   message: the resource belongs to another subject
reasons contains reason(rego.metadata.rule(), []) if {
	declared.owner == true
	not met("owner", true, current_roles)
	current_roles
}

# METADATA
# title: A reason
# description: >-
#   Made of the METADATA of the rule that gives it (rego.metadata.rule()) and of the
#   values for its message. custom.depends_on: resource says that the same request
#   might pass for another resource; GET /access/routes tells such routes apart. A rule
#   that forgot custom.code or custom.message refuses all the same.
reason(metadata, values) := object.union(
	{
		"code": metadata.custom.code,
		"message": sprintf(metadata.custom.message, values),
	},
	object.filter(metadata.custom, ["depends_on"]),
) if {
	metadata.custom
} else := {
	"code": "unexplained",
	"message": "refused by a rule without custom.code and custom.message",
}

# All scopes that the resource asks for (RFC 6750 section 3), and only where nothing
# but a missing scope stands in the way: a new token with fewer, or one that would be
# refused all the same, helps nobody.
default _needs := {}

_needs := {"scope": sort({scope | some scope in declared.scopes})} if {
	{given.code | some given in reasons} == {"missing_scope"}
}

_status := 405 if {
	_route_declared
	not _method_declared
	_may_know_methods
} else := 401 if {
	not _known
} else := 404 if {
	not _route_declared
} else := 403

_may_know_methods if _known

_may_know_methods if {
	some declaration in data.routes[input.route]
	declaration == {"public": true}
}

_known if {
	input.subject.kind
	not input.token_error
}

_route_declared if is_object(data.routes[input.route])

_method_declared if type_name(declared)

_declared_conditions := declared if is_object(declared)

_has_type(true, "true")

_has_type(value, "names") if _names(value)
