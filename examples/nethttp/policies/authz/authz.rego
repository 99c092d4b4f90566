# METADATA
# scope: package
# title: Who may do what with documents
# description: >-
#   A policy made for one program. data.routes says what a method asks for, in four
#   conditions that all have to be met. Whoever asks is known by a token of the one
#   issuer that the program trusts, so the subject's id is nobody else's.
# schemas:
#   - input: schema.authz
package authz

# METADATA
# title: The decision
# scope: document
# entrypoint: true
decision := {"allow": true} if {
	asked := declared
	asked != {}
	{condition: value |
		some condition, value in asked
		met(condition, value)
	} == asked
} else := {
	"allow": false,
	"status": _status,
	"reasons": sort(reasons),
	"needs": _needs,
}

# METADATA
# title: What the route asks for
declared := data.routes[input.route].GET if input.method == "HEAD"

else := data.routes[input.route][input.method]

# METADATA
# title: Is this condition met?
# description: >-
#   Never for one that is not known. What is missing in the input is undefined, and so
#   meets nothing: a token without a tenant is in nobody's.
# scope: document
met("public", true)

met("scope", scope) if scope in input.subject.scopes

met("tenant", "any") if input.claims.tenant != ""

met("tenant", "same") if {
	input.claims.tenant != ""
	input.resource.tenant == input.claims.tenant
}

met("owner", true) if input.resource.owner == input.subject.id

# METADATA
# title: Why the request is refused
# scope: document

# METADATA
# title: Nobody asks
# custom:
#   code: unauthenticated
#   message: needs a valid token
reasons contains _reason(rego.metadata.rule()) if not input.subject

# METADATA
# title: Nothing is declared
# custom:
#   code: undeclared
#   message: there is nothing to do here
reasons contains _reason(rego.metadata.rule()) if not declared

# METADATA
# title: Scope missing
# custom:
#   code: missing_scope
#   message: the token lacks the scope
reasons contains _reason(rego.metadata.rule()) if {
	declared.scope
	not met("scope", declared.scope)
}

# METADATA
# title: Another tenant's, or nobody's
# custom:
#   code: other_tenant
#   message: the caller's tenant has no such document
reasons contains _reason(rego.metadata.rule()) if {
	declared.tenant
	not met("tenant", declared.tenant)
}

# METADATA
# title: Not the owner
# custom:
#   code: not_owner
#   message: the document belongs to another
reasons contains _reason(rego.metadata.rule()) if {
	declared.owner
	not met("owner", declared.owner)
}

_reason(metadata) := {"code": metadata.custom.code, "message": metadata.custom.message}

_codes := {reason.code | some reason in reasons}

# The scope is named where it is all that is missing: a new token would help then.
default _needs := {}

_needs := {"scope": [declared.scope]} if _codes == {"missing_scope"}

# Whether another tenant has a document of this id is nobody's business: 404 is what
# an id gets that no document has.
_status := 401 if {
	not input.subject
} else := 405 if {
	not declared
	data.routes[input.route]
} else := 403 if {
	"missing_scope" in _codes
} else := 404 if {
	_codes & {"other_tenant", "undeclared"} != set()
} else := 403
