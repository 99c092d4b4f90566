package authzen_test

import data.authzen

_records := {
	"subjects": {"user": {"alice": {}, "bob": {"role": "admin"}}},
	"resources": {"record": {
		"record-1": {"status": "active", "readers": ["alice", "bob"], "writers": ["alice"], "deleters": ["alice"]},
		"record-2": {"status": "archived"},
	}},
	"actions": {"read": {}, "write": {}, "delete": {}},
}

_request(subject, action, record) := {
	"subject": {"type": "user", "id": subject},
	"action": {"name": action},
	"resource": {"type": "record", "id": record},
}

_with(request, path, value) := json.patch(request, [{"op": "add", "path": path, "value": value}])

# The cases, by name, that are not decided as they should be: [request, allow].
_wrong(cases) := {name |
	some name, case in cases
	decision := authzen.decision with input as case[0] with data.records as _records
	decision.allow != case[1]
}

test_decision if {
	_wrong({
		"alice reads": [_request("alice", "read", "record-1"), true],
		"bob reads": [_request("bob", "read", "record-1"), true],
		"alice writes": [_request("alice", "write", "record-1"), true],
		"bob does not write": [_request("bob", "write", "record-1"), false],
		"nobody unknown": [_request("mallory", "read", "record-1"), false],
		"no unknown record": [_request("alice", "read", "record-3"), false],
		"no other type of subject": [_with(_request("alice", "read", "record-1"), "/subject/type", "spaceship"), false],
		"no other type of resource": [_with(_request("alice", "read", "record-1"), "/resource/type", "page"), false],
		"no other action": [_request("alice", "burn", "record-1"), false],
		"the archived is not read": [_request("alice", "read", "record-2"), false],
		"the archived by an administrator": [_request("bob", "write", "record-2"), true],
		"the archived by nobody else": [_request("alice", "write", "record-2"), false],
		"the archived, as the caller says": [
			_with(_request("alice", "write", "record-1"), "/resource/properties", {"status": "archived"}),
			false,
		],
		"no administrator, as the caller says": [
			_with(_request("bob", "write", "record-2"), "/subject/properties", {"role": "guest"}),
			false,
		],
		"deleted softly": [_with(_request("alice", "delete", "record-1"), "/action/properties", {"soft": true}), true],
		"not hard": [_with(_request("alice", "delete", "record-1"), "/action/properties", {"soft": false}), false],
		"not without saying how": [_request("alice", "delete", "record-1"), false],
		"not by others": [_with(_request("bob", "delete", "record-1"), "/action/properties", {"soft": true}), false],
	}) == set()
}

test_entities if authzen.entities == _records with data.records as _records
