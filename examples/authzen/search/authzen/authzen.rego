# METADATA
# scope: package
# title: Who may do what to the records of an archive
# description: >-
#   The interop scenario "search" of the AuthZEN working group. Owners do everything to
#   their records; a record is viewed by its department and by managers, and edited by its
#   department's managers. archive.yaml declares users and records, and nothing that the
#   caller says of them counts.
# schemas:
#   - input: schema.authzen
package authzen

# METADATA
# title: The decision
# scope: document
# entrypoint: true
default decision := false

decision if {
	input.action.name in ["view", "edit", "delete"]
	record.owner == input.subject.id
	user
}

decision if {
	input.action.name == "view"
	record.department == user.department
}

decision if {
	input.action.name == "view"
	record
	user.role == "manager"
}

decision if {
	input.action.name == "edit"
	record.department == user.department
	user.role == "manager"
}

# METADATA
# title: The entities that searches look through
entities := data.archive

# METADATA
# title: The user's properties
user := data.archive.subjects[input.subject.type][input.subject.id]

# METADATA
# title: The record's properties
record := data.archive.resources[input.resource.type][input.resource.id]
