# METADATA
# scope: package
# title: Who may use which route of an API
# description: >-
#   The interop scenario "API gateway" of the AuthZEN working group. A gateway in front of
#   the todo application asks whether an identity may use a method on a route, before the
#   application asks its own, finer questions. gateway.yaml declares identities and routes;
#   what the gateway says of them beyond type and id (host, address, headers) is not
#   believed, and not needed.
# schemas:
#   - input: schema.authzen
package authzen

# METADATA
# title: The decision
# scope: document
# entrypoint: true
decision := {"allow": true} if _may

else := {"allow": false, "reasons": sort(reasons)}

# METADATA
# title: The entities that searches look through
entities := data.gateway

# METADATA
# title: What is declared of the caller
subject := data.gateway.subjects[input.subject.type][input.subject.id]

# METADATA
# title: The routes that are asked about
# description: >-
#   One by its pattern, as /todos/{todoId}; or, for gateways that send the path as it is,
#   those that it matches.
# scope: document
routes contains input.resource.id if {
	input.resource.type == "route"
	data.gateway.resources.route[input.resource.id]
}

routes contains pattern if {
	input.resource.type == "route"
	some pattern, _ in data.gateway.resources.route
	_matches(split(pattern, "/"), split(input.resource.id, "/"))
}

# METADATA
# title: What is declared of the method, for each of the routes
# scope: document
rules contains data.gateway.resources.route[route][input.action.name] if some route in routes

_may if {
	subject
	some rule in rules
	rule.anyone
}

_may if {
	some rule in rules
	some role in rule.roles
	role in subject.roles
}

# A parameter stands for one segment that is not empty.
_matches(pattern, path) if {
	count(pattern) == count(path)
	every i, segment in pattern {
		_segment_matches(segment, path[i])
	}
}

_segment_matches(segment, given) if segment == given

_segment_matches(segment, given) if {
	startswith(segment, "{")
	given != ""
}

# METADATA
# title: Why it is denied
# scope: document
reasons contains {"code": "unknown_identity", "message": "the identity is not declared"} if not subject

reasons contains {"code": "unknown_route", "message": "no such route is declared"} if count(routes) == 0

reasons contains {"code": "method_not_allowed", "message": "the route has no such method"} if {
	count(routes) > 0
	count(rules) == 0
}

reasons contains {"code": "missing_role", "message": "none of the identity's roles may do this"} if {
	subject
	count(rules) > 0
}
