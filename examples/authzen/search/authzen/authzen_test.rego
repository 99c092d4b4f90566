package authzen_test

import data.authzen

_archive := {
	"subjects": {"user": {
		"ann": {"role": "manager", "department": "Sales"},
		"bob": {"role": "employee", "department": "Legal"},
		"eve": {"role": "contractor", "department": "Finance"},
	}},
	"resources": {"record": {
		"1": {"department": "Legal", "owner": "eve"},
		"2": {"department": "Sales", "owner": "bob"},
	}},
	"actions": {"view": {}, "edit": {}, "delete": {}},
}

_decides(user, action, record) if {
	authzen.decision with data.archive as _archive with input as {
		"subject": {"type": "user", "id": user, "properties": {"role": "manager"}},
		"action": {"name": action},
		"resource": {"type": "record", "id": record, "properties": {"owner": user}},
	}
}

_who(action, record) := {user | some user in ["ann", "bob", "eve", "stranger"]; _decides(user, action, record)}

test_owners_do_everything if {
	_who("delete", "1") == {"eve"}
	_who("delete", "2") == {"bob"}
}

test_departments_and_managers_view if {
	_who("view", "1") == {"ann", "bob", "eve"}
	_who("view", "2") == {"ann", "bob"}
}

test_managers_edit_in_their_department if {
	_who("edit", "1") == {"eve"}
	_who("edit", "2") == {"ann", "bob"}
}

test_nothing_else if {
	_who("view", "3") == set()
	_who("burn", "1") == set()
	authzen.decision == false with data.archive as _archive with input as {
		"subject": {"type": "user", "id": "ann"},
		"action": {"name": "view"},
		"resource": {"type": "page", "id": "1"},
	}
}

test_entities if authzen.entities == _archive with data.archive as _archive
