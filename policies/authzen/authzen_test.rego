package authzen_test

import data.authzen

# The table that the tests decide by. It replaces data, so the tests hold for whatever
# a user's data says.
_access := {
	"subjects": {
		"user": {"ann": {"roles": ["editor"]}, "bob": {"roles": ["viewer"]}, "eve": {}},
		"service": {"ann": {"roles": []}},
	},
	"resources": {"page": {"home": {"owner": "bob"}, "plan": {}}},
	"actions": {"read": {}, "write": {}, "delete": {}},
	"permissions": {"page": {
		"read": {"roles": ["viewer", "editor"]},
		"write": {"roles": ["editor"], "owner": true},
		"delete": {"owner": true},
		"print": {"owner": "true", "roles": "viewer"},
	}},
}

_request(subject, action, resource) := {
	"subject": {"type": "user", "id": subject},
	"action": {"name": action},
	"resource": {"type": "page", "id": resource},
}

_with(request, path, value) := json.patch(request, [{"op": "add", "path": path, "value": value}])

_decide(request, access) := decision if {
	decision := authzen.decision with input as request with data.access as access
}

# An answer in one line: "allow", or the codes of the reasons.
_line({"allow": true}) := "allow"

_line(decision) := concat(" ", [given.code | some given in decision.reasons]) if decision.allow == false

# The cases, by name, that are not answered as they should be: [request, answer].
_wrong(cases) := {name: answers |
	some name, case in cases
	answers := {line | line := _line(_decide(case[0], _access))}
	answers != {case[1]}
}

test_decision if {
	_wrong({
		"by role": [_request("ann", "read", "home"), "allow"],
		"by another role": [_request("bob", "read", "plan"), "allow"],
		"the role is missing": [_request("bob", "write", "plan"), "not_permitted"],
		"no roles": [_request("eve", "read", "home"), "not_permitted"],
		"the owner": [_request("bob", "write", "home"), "allow"],
		"the owner, where no role may": [_request("bob", "delete", "home"), "allow"],
		"not the owner": [_request("ann", "delete", "home"), "not_permitted"],
		"no owner": [_request("ann", "delete", "plan"), "not_permitted"],
		"an unknown subject": [_request("root", "read", "home"), "subject_undeclared"],
		"an unknown type of subject": [
			_with(_request("ann", "read", "home"), "/subject/type", "robot"),
			"subject_undeclared",
		],
		"the same id, another type": [_with(_request("ann", "read", "home"), "/subject/type", "service"), "not_permitted"],
		"an unknown action": [_request("ann", "burn", "home"), "permission_undeclared"],
		"an unknown type of resource": [
			_with(_request("ann", "read", "home"), "/resource/type", "file"),
			"permission_undeclared",
		],
		"a permission of odd types": [_request("bob", "print", "home"), "not_permitted"],
		"nothing known": [_with(_request("root", "burn", "x"), "/resource/type", "y"), "permission_undeclared subject_undeclared"],
	}) == {}
}

# What the caller says counts only where the data says nothing.
test_properties_of_the_caller if {
	_wrong({
		"roles": [_with(_request("eve", "read", "home"), "/subject/properties", {"roles": ["editor"]}), "not_permitted"],
		"the owner of what is declared": [
			_with(_request("ann", "delete", "home"), "/resource/properties", {"owner": "ann"}),
			"not_permitted",
		],
		"the owner of what is declared without one": [
			_with(_request("ann", "delete", "plan"), "/resource/properties", {"owner": "ann"}),
			"not_permitted",
		],
		"the owner of what is not declared": [
			_with(_request("ann", "delete", "new"), "/resource/properties", {"owner": "ann"}),
			"allow",
		],
		"another owner of what is not declared": [
			_with(_request("ann", "delete", "new"), "/resource/properties", {"owner": "bob"}),
			"not_permitted",
		],
	}) == {}
}

test_nothing_declared_denies if {
	every access in [{}, [], null, "x", {"subjects": []}, {"subjects": {"user": ["ann"]}}] {
		_line(_decide(_request("ann", "read", "home"), access)) == "permission_undeclared subject_undeclared"
	}
}

test_entities if {
	authzen.entities == object.remove(_access, ["permissions"]) with data.access as _access
	authzen.entities == {} with data.access as {}
}
