package authzen_test

import data.authzen

_todo := {
	"subjects": {"user": {
		"rick": {"email": "rick@x", "roles": ["admin", "evil_genius"]},
		"boss": {"email": "boss@x", "roles": ["admin"]},
		"morty": {"email": "morty@x", "roles": ["editor"]},
		"beth": {"email": "beth@x", "roles": ["viewer"]},
	}},
	"resources": {
		"user": {"rick@x": {}, "morty@x": {}},
		"todo": {"one": {"ownerID": "morty@x"}, "two": {"ownerID": "rick@x"}, "three": {"ownerID": "beth@x"}},
	},
	"actions": {"can_read_user": {}, "can_read_todos": {}, "can_create_todo": {}, "can_update_todo": {}, "can_delete_todo": {}},
}

_allows(subject, action, resource) if {
	decision := authzen.decision with input as {
		"subject": {"type": "user", "id": subject},
		"action": {"name": action},
		"resource": resource,
	}
		with data.todo as _todo
	decision.allow
}

# Who may do what: the subjects that are let do an action on a resource.
_who(action, resource) := {subject | some subject in ["rick", "boss", "morty", "beth", "mallory"]; _allows(subject, action, resource)}

_one := {"type": "todo", "id": "one"}

_two := {"type": "todo", "id": "two"}

test_anyone_reads if {
	_who("can_read_user", {"type": "user", "id": "rick@x"}) == {"rick", "boss", "morty", "beth"}
	_who("can_read_todos", _one) == {"rick", "boss", "morty", "beth"}
}

test_editors_and_admins_create if _who("can_create_todo", _one) == {"rick", "boss", "morty"}

test_update if {
	_who("can_update_todo", _one) == {"rick", "morty"}
	_who("can_update_todo", _two) == {"rick"}
	_who("can_update_todo", {"type": "todo", "id": "three"}) == {"rick"}
}

test_delete if {
	_who("can_delete_todo", _one) == {"rick", "boss", "morty"}
	_who("can_delete_todo", _two) == {"rick", "boss"}
}

test_the_caller_names_the_owner if {
	_who("can_update_todo", object.union(_one, {"properties": {"ownerID": "rick@x"}})) == {"rick"}
	_who("can_update_todo", {"type": "todo", "id": "new", "properties": {"ownerID": "morty@x"}}) == {"rick", "morty"}
}

test_each_action_has_its_type if {
	every action in ["can_create_todo", "can_read_todos", "can_update_todo", "can_delete_todo"] {
		_who(action, {"type": "user", "id": "one"}) == set()
	}
	_who("can_read_user", _one) == set()
	_who("can_burn_todo", _one) == set()
}

test_entities if authzen.entities == _todo with data.todo as _todo
