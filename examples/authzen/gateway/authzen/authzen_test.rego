package authzen_test

import data.authzen

_gateway := {
	"subjects": {"identity": {"ann": {"roles": ["editor"]}, "bob": {"roles": []}}},
	"resources": {"route": {
		"/todos": {"GET": {"anyone": true}, "POST": {"roles": ["admin", "editor"]}},
		"/todos/{id}": {"PUT": {"roles": ["editor"]}},
	}},
	"actions": {"GET": {}, "POST": {}, "PUT": {}},
}

_decide(identity, method, resource) := decision if {
	decision := authzen.decision with data.gateway as _gateway with input as {
		"subject": {"type": "identity", "id": identity},
		"action": {"name": method},
		"resource": resource,
	}
}

_route(id) := {"type": "route", "id": id}

_allows(identity, method, id) if _decide(identity, method, _route(id)).allow

_codes(identity, method, resource) := [reason.code | some reason in _decide(identity, method, resource).reasons]

test_anyone_who_is_declared if {
	_allows("ann", "GET", "/todos")
	_allows("bob", "GET", "/todos")
	not _allows("eve", "GET", "/todos")
}

test_roles if {
	_allows("ann", "POST", "/todos")
	not _allows("bob", "POST", "/todos")
	not _allows("eve", "POST", "/todos")
}

test_a_route_by_its_pattern_or_by_a_path if {
	every id in ["/todos/{id}", "/todos/7", "/todos/a-b"] {
		_allows("ann", "PUT", id)
		not _allows("bob", "PUT", id)
	}
	every id in ["/todos/", "/todos/7/x", "/todos/7/", "todos/7", "/Todos/7", "//7", "", "/users/7"] {
		not _allows("ann", "PUT", id)
	}
}

test_what_the_gateway_adds_changes_nothing if {
	properties := {"uri": "https://todo.example.com/todos", "schema": "https", "hostname": "todo.example.com", "path": "/todos", "ip": "192.0.2.1"}
	_decide("ann", "POST", object.union(_route("/todos"), {"properties": properties})).allow
	not _decide("bob", "POST", object.union(_route("/todos"), {"properties": properties})).allow
}

test_no_other_type_of_resource if not _decide("ann", "GET", {"type": "todo", "id": "/todos"}).allow

test_reasons if {
	_codes("eve", "GET", _route("/todos")) == ["unknown_identity"]
	_codes("ann", "GET", _route("/nowhere")) == ["unknown_route"]
	_codes("ann", "PATCH", _route("/todos")) == ["method_not_allowed"]
	_codes("bob", "POST", _route("/todos")) == ["missing_role"]
	_codes("eve", "GET", {"type": "todo", "id": "/todos"}) == ["unknown_identity", "unknown_route"]
}

test_entities if authzen.entities == _gateway with data.gateway as _gateway
