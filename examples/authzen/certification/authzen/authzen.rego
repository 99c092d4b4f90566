# METADATA
# scope: package
# title: Who may do what to records
# description: >-
#   The fixture of the OpenID certification scenario for the AuthZEN Authorization API.
#   An active record says itself who may read, write and delete it, and is deleted softly
#   only; an archived one is written by administrators only. What the caller says of a
#   subject or a record counts before what is declared of it (records.yaml).
# schemas:
#   - input: schema.authzen
package authzen

# METADATA
# title: The decision
# scope: document
# entrypoint: true
decision := {"allow": true} if {
	_known
	_may
} else := {
	"allow": false,
	"reasons": [{"code": "not_permitted", "message": "nothing lets the subject do this to the record"}],
}

# METADATA
# title: The entities that searches look through
# scope: document
entities["subjects"] := data.records.subjects

entities["resources"] := data.records.resources

entities["actions"] := data.records.actions

# METADATA
# title: The subject's properties
subject := object.union(
	data.records.subjects[input.subject.type][input.subject.id],
	object.get(input.subject, "properties", {}),
)

# METADATA
# title: The record's properties
record := object.union(
	data.records.resources[input.resource.type][input.resource.id],
	object.get(input.resource, "properties", {}),
)

_known if {
	input.subject.type == "user"
	input.resource.type == "record"
	data.records.subjects.user[input.subject.id]
	data.records.resources.record[input.resource.id]
}

_may if {
	input.action.name == "read"
	record.status == "active"
	input.subject.id in record.readers
}

_may if {
	input.action.name == "write"
	record.status == "active"
	input.subject.id in record.writers
}

_may if {
	input.action.name == "write"
	record.status == "archived"
	subject.role == "admin"
}

_may if {
	input.action.name == "delete"
	input.action.properties.soft == true
	record.status == "active"
	input.subject.id in record.deleters
}
