# METADATA
# scope: package
# title: Who may do what with expense reports
# description: >-
#   A policy that spells out each route instead of reading conditions from data.routes,
#   which only declares them here. Whoever asks is known by a token of the one issuer
#   that the program trusts, so the subject's id is nobody else's.
# schemas:
#   - input: schema.authz
package authz

# METADATA
# title: The decision
# scope: document
# entrypoint: true
decision := {"allow": true} if {
	allow
} else := {
	"allow": false,
	"status": _status,
	"reasons": sort(reasons),
	"needs": _needs,
}

# METADATA
# title: Who may pass
# scope: document

# METADATA
# title: Whoever may write reports hands one in
allow if {
	_asked == "POST /reports"
	_has_scope
}

# METADATA
# title: A report is read by its owner
allow if {
	_asked == "GET /reports/{id}"
	_has_scope
	_owner
}

# METADATA
# title: A report is read by approvers
allow if {
	_asked == "GET /reports/{id}"
	_has_scope
	_approver
	input.resource.owner
}

# METADATA
# title: Approval
# description: >-
#   By an approver, within the approver's limit, once, and never of a report of one's
#   own. What the loader has not found is undefined: nobody approves it.
allow if {
	_asked == "POST /reports/{id}/approval"
	_has_scope
	_within_limit
	_anothers
	input.resource.approved == false
}

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
# title: Scope missing
# custom:
#   code: missing_scope
#   message: the token lacks the scope
reasons contains _reason(rego.metadata.rule()) if {
	_scope
	not _has_scope
}

# METADATA
# title: Neither owner nor approver
# custom:
#   code: not_yours
#   message: a report is shown to its owner and to approvers
reasons contains _reason(rego.metadata.rule()) if {
	_asked == "GET /reports/{id}"
	not _owner
	not _approver
}

# METADATA
# title: Beyond the limit
# custom:
#   code: beyond_limit
#   message: no role of the caller may approve this amount
reasons contains _reason(rego.metadata.rule()) if {
	_asked == "POST /reports/{id}/approval"
	not _within_limit
}

# METADATA
# title: One's own
# custom:
#   code: own_report
#   message: nobody approves a report of their own
reasons contains _reason(rego.metadata.rule()) if {
	_asked == "POST /reports/{id}/approval"
	not _anothers
}

# METADATA
# title: Approved before
# custom:
#   code: approved_before
#   message: the report is approved already
reasons contains _reason(rego.metadata.rule()) if {
	_asked == "POST /reports/{id}/approval"
	input.resource.approved
}

_reason(metadata) := {"code": metadata.custom.code, "message": metadata.custom.message}

# METADATA
# title: What is asked for
# description: Undefined for a route or a method that is not declared.
_asked := sprintf("%s %s", [input.method, input.route]) if data.routes[input.route][input.method]

_scope := {
	"POST /reports": "reports:write",
	"GET /reports/{id}": "reports:write",
	"POST /reports/{id}/approval": "reports:approve",
}[_asked]

_has_scope if _scope in input.subject.scopes

_approver if "approver" in input.subject.roles

_owner if input.resource.owner == input.subject.id

_anothers if input.resource.owner != input.subject.id

_within_limit if {
	some role in input.subject.roles
	input.resource.amount <= data.limits[role]
}

# The scope is named where it is all that is missing: a new token would help then.
default _needs := {}

_needs := {"scope": [_scope]} if {reason.code | some reason in reasons} == {"missing_scope"}

_status := 401 if {
	not input.subject
} else := 405 if {
	not _asked
	data.routes[input.route]
} else := 404 if {
	not _asked
} else := 404 if {
	_approver
	input.params.id
	not input.resource
} else := 403
