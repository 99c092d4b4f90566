# METADATA
# scope: package
# title: Who may do what to todos
# description: >-
#   The interop scenario "todo" of the AuthZEN working group. Roles and e-mail addresses
#   are those that todo.yaml declares, whatever the caller says; who owns a todo is for
#   the application to say, which keeps them, and declared for searches only.
# schemas:
#   - input: schema.authzen
package authzen

# METADATA
# title: The decision
# scope: document
# entrypoint: true
decision := {"allow": true} if {
	subject
	_may
} else := {
	"allow": false,
	"reasons": [{"code": "not_permitted", "message": "none of the subject's roles may do this"}],
}

# METADATA
# title: The entities that searches look through
# scope: document
entities["subjects"] := data.todo.subjects

entities["resources"] := data.todo.resources

entities["actions"] := data.todo.actions

# METADATA
# title: What is declared of the subject
subject := data.todo.subjects[input.subject.type][input.subject.id]

# METADATA
# title: Who owns the todo, by e-mail address
owner := input.resource.properties.ownerID if {
	input.resource.properties.ownerID
} else := data.todo.resources.todo[input.resource.id].ownerID

_may if {
	input.action.name == "can_read_user"
	input.resource.type == "user"
}

_may if {
	input.action.name == "can_read_todos"
	input.resource.type == "todo"
}

_may if {
	input.action.name == "can_create_todo"
	input.resource.type == "todo"
	some role in ["admin", "editor"]
	role in subject.roles
}

_may if {
	input.action.name == "can_update_todo"
	input.resource.type == "todo"
	"evil_genius" in subject.roles
}

_may if {
	input.action.name == "can_delete_todo"
	input.resource.type == "todo"
	"admin" in subject.roles
}

_may if {
	input.action.name in ["can_update_todo", "can_delete_todo"]
	input.resource.type == "todo"
	"editor" in subject.roles
	owner == subject.email
}
