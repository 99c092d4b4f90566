# METADATA
# scope: package
# title: May this subject do this action on this resource?
# description: >-
#   Answers data.authzen.decision, for services that ask over the AuthZEN Authorization
#   API (docs/authzen.md). data.access declares the subjects, the resources and the
#   actions there are, with their properties, and who may do what by role and by
#   ownership; without it everything is denied. What is declared of an entity counts
#   before what the caller says of it.
# schemas:
#   - input: schema.authzen
package authzen

# METADATA
# title: The decision
# description: >-
#   allow is true where a permission is declared for the resource's type and the action,
#   and the subject has one of its roles, or owns the resource. A denial says why.
# scope: document
# entrypoint: true
decision := {"allow": true} if {
	_subject_declared
	_permitted
} else := {
	"allow": false,
	"reasons": sort(reasons),
}

# METADATA
# title: The entities that searches look through
# description: >-
#   subjects and resources by type and id, actions by name. A search asks the decision
#   about each of them, by type and id alone. Must not depend on input.
# scope: document
entities["subjects"] := data.access.subjects

entities["resources"] := data.access.resources

entities["actions"] := data.access.actions

# METADATA
# title: What the data permits for this type of resource and this action
# description: An object with roles, or owner, or both; undefined where nothing is declared.
permission := data.access.permissions[input.resource.type][input.action.name]

_permitted if _role_suffices

_permitted if _owns

_role_suffices if {
	some role in data.access.subjects[input.subject.type][input.subject.id].roles
	role in permission.roles
}

# The owner is the one that the data declares, or, of a resource that it does not
# have, the one that the caller names.
_owns if {
	permission.owner == true
	_owner == input.subject.id
}

_owner := data.access.resources[input.resource.type][input.resource.id].owner

_owner := input.resource.properties.owner if not _resource_declared

_subject_declared if data.access.subjects[input.subject.type][input.subject.id]

_resource_declared if data.access.resources[input.resource.type][input.resource.id]
