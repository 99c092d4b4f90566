package authz_test

import data.authz

# The tables that the tests decide by. They replace data, so the tests hold for
# whatever a user's data says.
_routes := {
	"/open": {"GET": {"public": true}, "POST": {"scopes": ["item:write"]}},
	"/me": {"GET": {"authenticated": true}},
	"/staff": {"GET": {"roles": ["boss", "clerk"]}},
	"/items": {"GET": {"scopes": ["item:read"]}, "POST": {"scopes": ["item:write"]}},
	"/report": {"GET": {"scopes": ["item:write", "item:read"], "roles": ["boss"]}},
	"/items/{id}": {"DELETE": {"scopes": ["item:write"], "owner": true, "owner_exempt": ["boss"]}},
	"/notes/{id}": {"PUT": {"owner": true}},
	"/options": {"OPTIONS": {"authenticated": true}},
}

_roles := {"boss": ["item:read", "item:write"], "clerk": ["item:read"], "author": ["item:write"]}

_both := "item:read item:write"

# A token of ours, held by an account.
_account(roles, scope) := {
	"subject": {"kind": "account", "id": "01A", "username": "ann", "roles": roles, "disabled": false, "attributes": {}},
	"claims": {"iss": "https://here.example", "sub": "01A", "scope": scope, "roles": ["boss"]},
}

# A token of another issuer for which nothing is mapped: its claims count.
_external(claims) := {
	"subject": {"kind": "external", "id": "01A", "roles": ["boss"], "disabled": false},
	"claims": claims,
}

_boss := _account(["boss"], _both)

_request(method, route, who) := object.union({"method": method, "route": route}, who)

_changed(who, patches) := json.patch(who, patches)

_decide(request) := decision if {
	decision := authz.decision with input as request
		with data.routes as _routes
		with data.roles as _roles
}

# An answer in one line: "allow", or the status, the codes and the scope needed.
_answer(request) := _line(_decide(request))

_line({"allow": true}) := "allow"

_line(decision) := concat(" ", array.concat(
	[format_int(decision.status, 10)],
	array.concat([given.code | some given in decision.reasons], _challenge(decision.needs)),
)) if {
	decision.allow == false
	object.keys(decision) == {"allow", "status", "reasons", "needs"}
}

_challenge({}) := []

_challenge(needs) := [sprintf("scope=%q", [concat(" ", needs.scope)])]

# The cases, by name, that are not answered as they should be: [request, answer].
# Tests compare this with {}, so that a failure shows each wrong case and its answer.
_wrong(cases) := {name: answers |
	some name, case in cases
	answers := {line | line := _answer(case[0])}
	answers != {case[1]}
}

# Each line of the answers table of docs/policy-guide.md.
test_answers if {
	_wrong({
		"no token, route needs one": [_request("GET", "/items", {}), "401 unauthenticated"],
		"no token, route undeclared": [{"method": "GET"}, "401 route_undeclared unauthenticated"],
		"token refused": [_request("GET", "/items", {"token_error": "expired"}), "401 token_refused"],
		"token refused, route undeclared": [{"method": "GET", "token_error": "repeated"}, "401 route_undeclared token_refused"],
		"scope missing in the token": [
			_request("POST", "/items", _account(["boss"], "item:read")),
			"403 missing_scope scope=\"item:write\"",
		],
		"scope missing in the roles": [
			_request("POST", "/items", _account(["clerk"], _both)),
			"403 missing_scope scope=\"item:write\"",
		],
		"role missing": [_request("GET", "/staff", _account(["author"], _both)), "403 missing_role"],
		"not the owner": [
			_request("DELETE", "/items/{id}", object.union(_account(["author"], _both), {"resource": {"owner": "01B"}})),
			"403 not_owner",
		],
		"undeclared route, known subject": [object.union({"method": "GET"}, _boss), "404 route_undeclared"],
		"undeclared method, public path": [_request("DELETE", "/open", {}), "405 method_undeclared"],
		"undeclared method, public path, bad token": [
			_request("DELETE", "/open", {"token_error": "expired"}),
			"405 method_undeclared token_refused",
		],
		"undeclared method, known subject": [_request("DELETE", "/me", _boss), "405 method_undeclared"],
		"undeclared method, nobody": [_request("DELETE", "/me", {}), "401 method_undeclared unauthenticated"],
		"HEAD as GET, public": [_request("HEAD", "/open", {}), "allow"],
		"HEAD as GET, allowed": [_request("HEAD", "/items", _boss), "allow"],
		"HEAD as GET, refused": [_request("HEAD", "/staff", _account([], _both)), "403 missing_role"],
		"HEAD where GET is undeclared": [_request("HEAD", "/items/{id}", _boss), "405 method_undeclared"],
		"preflight of a declared method": [_request("OPTIONS", "/items", {"preflight": "POST"}), "allow"],
		"preflight of HEAD": [_request("OPTIONS", "/items", {"preflight": "HEAD"}), "allow"],
		"preflight of an undeclared method": [
			_request("OPTIONS", "/items", {"preflight": "DELETE"}),
			"401 method_undeclared unauthenticated",
		],
		"preflight of an undeclared route": [
			{"method": "OPTIONS", "preflight": "GET"},
			"401 route_undeclared unauthenticated",
		],
		"no preflight: origin not admitted": [
			_request("OPTIONS", "/items", {}),
			"401 method_undeclared unauthenticated",
		],
		"preflight beside another method": [_request("GET", "/items", {"preflight": "GET"}), "401 unauthenticated"],
		"public": [_request("GET", "/open", {}), "allow"],
		"public with a bad token": [_request("GET", "/open", {"token_error": "bad_signature"}), "allow"],
		"public, disabled": [_request("GET", "/open", _changed(_boss, [_set("/subject/disabled", true)])), "allow"],
	}) == {}
}

test_conditions if _wrong(_condition_cases) == {}

_condition_cases := {
	"authenticated": [_request("GET", "/me", _account([], "")), "allow"],
	"authenticated without a scope claim": [
		_request("GET", "/me", _changed(_boss, [{"op": "remove", "path": "/claims/scope"}])),
		"allow",
	],
	"one of the roles": [_request("GET", "/staff", _account(["other", "clerk"], "")), "allow"],
	"the scope": [_request("GET", "/items", _account(["clerk"], _both)), "allow"],
	"scopes of two roles": [_request("POST", "/items", _account(["clerk", "author"], _both)), "allow"],
	"a scope that two roles carry": [_request("GET", "/items", _account(["clerk", "boss"], _both)), "allow"],
	"all conditions": [_request("GET", "/report", _boss), "allow"],
	"all scopes are asked for, those missing are named": [
		_request("GET", "/report", _account(["boss"], "item:read")),
		"403 missing_scope scope=\"item:read item:write\"",
	],
	"role and scope missing: no challenge": [
		_request("GET", "/report", _account(["clerk"], "item:read")),
		"403 missing_role missing_scope",
	],
	"the owner": [_request("PUT", "/notes/{id}", object.union(_boss, {"resource": {"owner": "01A"}})), "allow"],
	"nothing found": [_request("PUT", "/notes/{id}", _boss), "403 not_owner"],
	"exempt, not the owner": [
		_request("DELETE", "/items/{id}", object.union(_boss, {"resource": {"owner": "01B"}})),
		"allow",
	],
	"exempt, nothing found": [_request("DELETE", "/items/{id}", _boss), "allow"],
	"the owner without the scope": [
		_request("DELETE", "/items/{id}", object.union(_account(["clerk"], _both), {"resource": {"owner": "01A"}})),
		"403 missing_scope scope=\"item:write\"",
	],
	"neither scope nor owner: no challenge": [
		_request("DELETE", "/items/{id}", object.union(_account(["clerk"], _both), {"resource": {"owner": "01B"}})),
		"403 missing_scope not_owner",
	],
	"a client is a subject as an account is": [
		_request("GET", "/items", _changed(_boss, [_set("/subject/kind", "client")])),
		"allow",
	],
	"a client can own": [
		_request("PUT", "/notes/{id}", object.union(
			_changed(_boss, [_set("/subject/kind", "client")]),
			{"resource": {"owner": "01A"}},
		)),
		"allow",
	],
	"OPTIONS can be declared": [_request("OPTIONS", "/options", _boss), "allow"],
	"roles left out": [
		_request("GET", "/me", _changed(_boss, [{"op": "remove", "path": "/subject/roles"}])),
		"allow",
	],
	"disabled left out": [
		_request("GET", "/me", _changed(_boss, [{"op": "remove", "path": "/subject/disabled"}])),
		"allow",
	],
	"disabled": [
		_request("GET", "/me", _changed(_boss, [_set("/subject/disabled", true)])),
		"403 account_disabled",
	],
	"disabled, and more": [
		_request("GET", "/report", _changed(_account([], ""), [_set("/subject/disabled", true)])),
		"403 account_disabled missing_role missing_scope",
	],
}

# A request that passes has no reason against it, one that is refused has some, and
# each has a code and a message. So no rule refuses without a reason, and none gives a
# reason that does not refuse.
test_answers_and_reasons_agree if {
	{name |
		some name, case in _condition_cases
		reasons := authz.reasons with input as case[0]
			with data.routes as _routes
			with data.roles as _roles
		not _agree(case[1], reasons)
	} == set()
}

_agree("allow", set())

_agree(answer, reasons) if {
	answer != "allow"
	reasons != set()
	every given in reasons {
		given.code != ""
		given.message != ""
	}
}

# What counts is what the subject may have now.
# The token still says boss, and all scopes.
test_a_role_taken_away_opens_nothing if {
	_wrong({
		"role": [_request("GET", "/staff", _account([], _both)), "403 missing_role"],
		"scope": [_request("GET", "/items", _account([], _both)), "403 missing_scope scope=\"item:read\""],
		"both": [_request("GET", "/report", _account([], _both)), "403 missing_role missing_scope"],
	}) == {}
}

test_a_scope_taken_from_a_role_opens_nothing if {
	request := _request("POST", "/items", _boss)
	_answer(request) == "allow"
	decision := authz.decision with input as request
		with data.routes as _routes
		with data.roles as {"boss": ["item:read"]}
	_line(decision) == "403 missing_scope scope=\"item:write\""
}

test_external_subjects if {
	cases := {
		"roles are the claims'": ["/staff", {"roles": ["clerk"]}, "allow"],
		"the subject's roles don't count": ["/staff", {"roles": ["author"]}, "403 missing_role"],
		"no roles": ["/staff", {"scope": _both}, "403 missing_role"],
		"scope, a string": ["/items", {"scope": "openid item:read"}, "allow"],
		"scope, a list": ["/items", {"scope": ["openid", "item:read"]}, "allow"],
		"scp, a string": ["/items", {"scp": "item:read"}, "allow"],
		"scp, a list": ["/items", {"scp": ["item:read"]}, "allow"],
		"scope wins over scp": ["/items", {"scope": "openid", "scp": ["item:read"]}, "403 missing_scope scope=\"item:read\""],
		"neither": ["/items", {}, "403 missing_scope scope=\"item:read\""],
		"bounded by a role that maps": [
			"/items",
			{"scope": _both, "roles": ["author", "elsewhere"]},
			"403 missing_scope scope=\"item:read\"",
		],
		"bounded, a list": [
			"/items",
			{"scope": ["item:read"], "roles": ["author"]},
			"403 missing_scope scope=\"item:read\"",
		],
		"within a role that maps": ["/items", {"scope": _both, "roles": ["clerk", "elsewhere"]}, "allow"],
		"within a role that maps, a list": ["/items", {"scp": ["item:read"], "roles": ["clerk"]}, "allow"],
		"roles that don't map bound nothing": ["/items", {"scope": _both, "roles": ["elsewhere"]}, "allow"],
		"a role alone gives no scope": ["/items", {"roles": ["boss"]}, "403 missing_scope scope=\"item:read\""],
		"scope of an odd type": ["/items", {"scope": {"item:read": "item:read"}}, "403 missing_scope scope=\"item:read\""],
		"roles of an odd type": ["/items", {"scope": _both, "roles": "boss"}, "403 malformed_roles"],
		"known": ["/me", {}, "allow"],
	}
	_wrong({name: [_request("GET", case[0], _external(case[1])), case[2]] | some name, case in cases}) == {}
}

# A token of another issuer whose roles and scopes the configuration maps.
_mapped(roles, scopes) := {
	"subject": {"kind": "external", "id": "01A", "issuer": "https://other.example", "roles": roles, "scopes": scopes, "disabled": false, "attributes": {}},
	"claims": {"iss": "https://other.example", "sub": "01A", "scope": _both, "roles": ["boss"]},
}

test_mapped_external_subjects if {
	_wrong({
		"a mapped scope": [_request("GET", "/items", _mapped([], ["item:read"])), "allow"],
		"a mapped scope that a known role does not carry": [_request("POST", "/items", _mapped(["clerk"], ["item:write"])), "allow"],
		"a scope in a claim that is not mapped": [
			_request("GET", "/items", _mapped([], [])),
			"403 missing_scope scope=\"item:read\"",
		],
		"a role carries nothing that the token does not say": [
			_request("GET", "/items", _mapped(["clerk"], [])),
			"403 missing_scope scope=\"item:read\"",
		],
		"one of two": [
			_request("GET", "/report", _mapped(["boss"], ["item:read"])),
			"403 missing_scope scope=\"item:read item:write\"",
		],
		"a mapped role": [_request("GET", "/staff", _mapped(["clerk"], [])), "allow"],
		"a role in a claim that is not mapped": [_request("GET", "/staff", _mapped([], [])), "403 missing_role"],
		"roles that are no list": [_request("GET", "/staff", _mapped("clerk", [])), "403 malformed_roles"],
		"scopes that are no list": [
			_request("GET", "/items", _mapped([], "item:read")),
			"403 missing_scope scope=\"item:read\"",
		],
	}) == {}
}

# A client that acts for itself carries its registered scopes, and those of its roles.
_client(roles, scopes, scope) := {
	"subject": {"kind": "client", "id": "robot", "roles": roles, "scopes": scopes, "disabled": false, "attributes": {}},
	"claims": {"iss": "https://here.example", "sub": "robot", "client_id": "robot", "scope": scope},
}

test_clients if {
	_wrong({
		"a registered scope": [_request("GET", "/items", _client([], ["item:read"], _both)), "allow"],
		"a scope of a role": [_request("GET", "/items", _client(["clerk"], [], _both)), "allow"],
		"one of each": [_request("GET", "/report", _client(["boss"], ["item:write"], _both)), "allow"],
		"a scope taken from it": [
			_request("POST", "/items", _client([], ["item:read"], _both)),
			"403 missing_scope scope=\"item:write\"",
		],
		"a scope that the token does not hold": [
			_request("POST", "/items", _client([], ["item:read", "item:write"], "item:read")),
			"403 missing_scope scope=\"item:write\"",
		],
		"the star is no scope": [
			_request("GET", "/items", _client([], ["*"], _both)),
			"403 missing_scope scope=\"item:read\"",
		],
		"a role": [_request("GET", "/staff", _client(["clerk"], [], "")), "allow"],
		"disabled": [
			_request("GET", "/items", _changed(_client([], ["item:read"], _both), [_set("/subject/disabled", true)])),
			"403 account_disabled",
		],
		"scopes that are no list": [
			_request("GET", "/items", _client([], "item:read", _both)),
			"403 missing_scope scope=\"item:read\"",
		],
		"an account has no scopes of its own": [
			_request("GET", "/items", _changed(_account([], _both), [_set("/subject/scopes", ["item:read"])])),
			"403 missing_scope scope=\"item:read\"",
		],
	}) == {}
}

test_an_external_subject_with_the_id_of_an_account_owns_nothing if {
	request := _request("PUT", "/notes/{id}", object.union(_external({"sub": "01A"}), {"resource": {"owner": "01A"}}))
	_answer(request) == "403 not_owner"
}

# An odd declaration is refused to everybody, and says why.
test_odd_declarations if {
	who := object.union(_boss, {"resource": {"owner": "01A"}})
	{name: answers |
		some name, case in _odd_declarations
		answers := {line | line := _odd(name, who)}
		answers != {case[1]}
	} == {}
}

test_odd_declarations_open_nothing_to_nobody if {
	every name, _ in _odd_declarations {
		startswith(_odd(name, {}), "401 ")
	}
}

# The answer for the route that is declared under this name.
_odd(name, who) := line if {
	decision := authz.decision with input as _request("GET", name, who)
		with data.routes as {route: {"GET": case[0]} | some route, case in _odd_declarations}
		with data.roles as _roles
	line := _line(decision)
}

_odd_declarations := {
	"empty": [{}, "403 empty_declaration"],
	"null": [null, "403 empty_declaration"],
	"true": [true, "403 malformed_declaration"],
	"false": [false, "403 malformed_declaration"],
	"a string": ["public", "403 malformed_declaration"],
	"a list": [["public"], "403 malformed_declaration"],
	"unknown condition": [{"scoops": ["item:read"]}, "403 unknown_condition"],
	"unknown beside a known one": [{"authenticated": true, "no_such_condition": true}, "403 unknown_condition"],
	"unknown beside public": [{"public": true, "no_such_condition": true}, "403 public_with_conditions unknown_condition"],
	"a condition in upper case": [{"Public": true}, "403 unknown_condition"],
	"public beside another": [{"public": true, "authenticated": true}, "403 public_with_conditions"],
	"public is false": [{"public": false}, "403 malformed_condition"],
	"public is a string": [{"public": "true"}, "403 malformed_condition"],
	"public is null": [{"public": null}, "403 malformed_condition"],
	"public is 1": [{"public": 1}, "403 malformed_condition"],
	"authenticated is false": [{"authenticated": false}, "403 malformed_condition"],
	"authenticated is a string": [{"authenticated": "yes"}, "403 malformed_condition"],
	"roles is a string": [{"roles": "boss"}, "403 malformed_condition"],
	"roles is an object": [{"roles": {"x": "boss"}}, "403 malformed_condition"],
	"roles is empty": [{"roles": []}, "403 malformed_condition"],
	"roles holds a number": [{"roles": ["boss", 7]}, "403 malformed_condition"],
	"scopes is a string": [{"scopes": "item:read"}, "403 malformed_condition"],
	"scopes is an object": [{"scopes": {"0": "item:read"}}, "403 malformed_condition"],
	"scopes is empty": [{"scopes": []}, "403 malformed_condition"],
	"scopes is true": [{"scopes": true}, "403 malformed_condition"],
	"scopes holds null": [{"scopes": ["item:read", null]}, "403 malformed_condition"],
	"owner is false": [{"owner": false}, "403 malformed_condition"],
	"owner is a string": [{"owner": "01A"}, "403 malformed_condition"],
	"exempt from nothing": [{"owner_exempt": ["boss"]}, "403 owner_exempt_without_owner"],
	"exempt from nothing, beside another": [
		{"authenticated": true, "owner_exempt": ["boss"]},
		"403 owner_exempt_without_owner",
	],
	"owner_exempt is a string": [{"owner": true, "owner_exempt": "boss"}, "403 malformed_condition"],
	"owner_exempt holds a number": [{"owner": true, "owner_exempt": ["boss", 7]}, "403 malformed_condition"],
	"two faults": [{"no_such_condition": true, "roles": 7, "scopes": ["rare"]}, "403 malformed_condition missing_scope unknown_condition"],
}

# Numbers among an external subject's roles don't match numbers in a declaration.
test_odd_declarations_open_nothing_to_odd_claims if {
	every declaration in [{"roles": [7]}, {"scopes": [7]}, {"scopes": {"x": 7}}] {
		decision := authz.decision with input as _request("GET", "/odd", _external({"roles": [7], "scope": [7]}))
			with data.routes as {"/odd": {"GET": declaration}}
			with data.roles as {}
		_line(decision) == "403 malformed_condition"
	}
}

test_odd_tables_open_nothing if {
	every routes in [
		{}, null, ["/items"], "/items",
		{"/items": null}, {"/items": ["GET"]}, {"/items": {"public": true}}, {"/items": {"get": {"public": true}}},
	] {
		decision := authz.decision with input as _request("GET", "/items", _boss)
			with data.routes as routes
			with data.roles as _roles
		decision.allow == false
		decision.status in {404, 405}
	}
}

test_odd_role_tables_open_nothing if {
	every roles in [{}, null, ["boss"], "boss", {"boss": "item:read"}, {"boss": null}] {
		decision := authz.decision with input as _request("GET", "/items", _boss)
			with data.routes as _routes
			with data.roles as roles
		_line(decision) == "403 missing_scope scope=\"item:read\""
	}
}

# What a stranger, or a broken issuer, may send: decided or refused, never an error.
test_odd_inputs if {
	cases := {
		"roles are a string": [[_set("/subject/roles", "boss")], "403 malformed_roles"],
		"roles are an object": [[_set("/subject/roles", {"x": "boss"})], "403 malformed_roles"],
		"roles are null": [[_set("/subject/roles", null)], "403 malformed_roles"],
		"roles are a number": [[_set("/subject/roles", 1)], "403 malformed_roles"],
		"roles of odd types": [
			[_set("/subject/roles", [null, 1, {}, [], ["boss"], {"boss": "boss"}])],
			"403 missing_role missing_scope",
		],
		"scope is a list": [[_set("/claims/scope", ["item:read", "item:write"])], _no_scope],
		"scope is a number": [[_set("/claims/scope", 1e300)], _no_scope],
		"scope is an object": [[_set("/claims/scope", {"item:read": true, "item:write": true})], _no_scope],
		"scope is null": [[_set("/claims/scope", null)], _no_scope],
		"scope is true": [[_set("/claims/scope", true)], _no_scope],
		"scope is empty": [[_set("/claims/scope", "")], _no_scope],
		"scope is absent": [[{"op": "remove", "path": "/claims/scope"}], _no_scope],
		"scope with other white space": [[_set("/claims/scope", "item:read\titem:write")], _no_scope],
		"scope in another case": [[_set("/claims/scope", "ITEM:READ ITEM:WRITE")], _no_scope],
		"scope with more spaces": [[_set("/claims/scope", "  item:write   item:read ")], "allow"],
		"scp does not count for ours": [
			[{"op": "remove", "path": "/claims/scope"}, _set("/claims/scp", _both)],
			_no_scope,
		],
		"claims are absent": [[{"op": "remove", "path": "/claims"}], _no_scope],
		"claims are a list": [[_set("/claims", ["scope"])], _no_scope],
		"a claim named __proto__": [[_set("/claims/__proto__", {"scope": _both})], "allow"],
		"a number past 2^53": [[_set("/claims/exp", 9007199254740993)], "allow"],
		"disabled is a string": [[_set("/subject/disabled", "false")], "403 account_disabled"],
		"disabled is null": [[_set("/subject/disabled", null)], "403 account_disabled"],
		"disabled is 0": [[_set("/subject/disabled", 0)], "403 account_disabled"],
		"kind is unknown": [[_set("/subject/kind", "root")], "403 unsupported_subject"],
		"kind is null": [[_set("/subject/kind", null)], "403 unsupported_subject"],
		"kind is absent": [[{"op": "remove", "path": "/subject/kind"}], "401 unauthenticated"],
		"subject is null": [[_set("/subject", null)], "401 unauthenticated"],
		"subject is a string": [[_set("/subject", "boss")], "401 unauthenticated"],
		"a subject and a token error": [[_set("/token_error", "expired")], "401 token_refused"],
		"a token error of an odd type": [[_set("/token_error", {"x": 1})], "401 token_refused"],
		"method is absent": [[{"op": "remove", "path": "/method"}], "405 method_undeclared"],
		"method is a number": [[_set("/method", 7)], "405 method_undeclared"],
		"method in lower case": [[_set("/method", "get")], "405 method_undeclared"],
		"route is __proto__": [[_set("/route", "__proto__")], "404 route_undeclared"],
		"route is a list": [[_set("/route", ["/items"])], "404 route_undeclared"],
	}
	request := _request("GET", "/report", _boss)
	_wrong({name: [_changed(request, case[0]), case[1]] | some name, case in cases}) == {}
}

_no_scope := "403 missing_scope scope=\"item:read item:write\""

test_an_input_that_is_no_object_is_refused if {
	every value in [null, "x", [], 1, {}] {
		_answer(value) == "401 route_undeclared unauthenticated"
	}
}

test_owners_of_odd_types if {
	every pair in [["", ""], [null, null], [7, 7], [["01A"], ["01A"]], ["01A", ["01A"]], ["01A", "01a"]] {
		who := _changed(_boss, [_set("/subject/id", pair[0])])
		request := _request("PUT", "/notes/{id}", object.union(who, {"resource": {"owner": pair[1]}}))
		_answer(request) == "403 not_owner"
	}
}

test_a_thousand_roles if {
	many := split(sprintf("%01000d", [0]), "")
	_answer(_request("GET", "/staff", _account(many, _both))) == "403 missing_role"
	_answer(_request("GET", "/items", _account(array.concat(many, ["clerk"]), _both))) == "allow"
}

test_huge_strings if {
	huge := sprintf("%0100000d", [0])
	_answer(_request("GET", huge, _account(["clerk"], _both))) == "404 route_undeclared"
	_answer(_request("GET", "/items", _account(["clerk", huge], huge))) == "403 missing_scope scope=\"item:read\""
	_answer(_request("GET", "/items", _account(["clerk"], concat(" ", [huge, "item:read"])))) == "allow"
}

test_messages if {
	cases := {
		"token refused": [_request("GET", "/items", {"token_error": "expired"}), "the token presented was refused: expired"],
		"one role": [_request("GET", "/report", _account([], _both)), "needs role boss"],
		"roles": [_request("GET", "/staff", _account([], _both)), "needs role boss or clerk"],
		"only the scopes that are missing": [_request("GET", "/report", _account(["boss"], "item:read")), "needs scope item:write"],
		"scopes, sorted": [_request("GET", "/report", _account(["boss"], "")), "needs scope item:read item:write"],
	}
	{name: messages |
		some name, case in cases
		messages := [given.message | some given in _decide(case[0]).reasons]
		not case[1] in messages
	} == {}
}

test_an_odd_condition_is_named if {
	decision := authz.decision with input as _request("GET", "/odd", _boss)
		with data.routes as {"/odd": {"GET": {"no_such_condition": true, "Owner": true, "roles": "boss"}}}
	[given.message | some given in decision.reasons] == [
		"the route's declaration has a value that is empty or of the wrong type: roles",
		"the route's declaration has a condition that is not known: Owner",
		"the route's declaration has a condition that is not known: no_such_condition",
	]
}

_set(path, value) := {"op": "add", "path": path, "value": value}

test_a_rule_without_code_and_message_refuses_all_the_same if {
	every metadata in [{}, {"custom": {"code": "x"}}, {"custom": {"message": "x"}}] {
		authz.reason(metadata, []).code == "unexplained"
	}
}

test_only_the_owner_depends_on_the_resource if {
	decision := authz.decision with input as _request("DELETE", "/odd", _account(["client"], ""))
		with data.routes as {"/odd": {"DELETE": {"roles": ["boss"], "owner": true}}}
	{given.code: object.get(given, "depends_on", "") | some given in decision.reasons} == {
		"missing_role": "",
		"not_owner": "resource",
	}
}

test_the_scopes_that_are_told_are_those_that_open_routes if {
	external := {"kind": "external", "id": "1", "disabled": false}
	cases := {
		"nobody": [{}, set()],
		"account, the token has more than the roles": [{"subject": _person("account", []), "claims": {"scope": "item:read other"}}, {"item:read"}],
		"account, the token has less": [{"subject": _person("account", []), "claims": {"scope": ""}}, set()],
		"account, no scope": [{"subject": _person("account", []), "claims": {}}, set()],
		"a scope that is a list": [{"subject": _person("account", []), "claims": {"scope": ["item:read"]}}, set()],
		"client, scopes of its own": [{"subject": _person("client", ["own"]), "claims": {"scope": "item:read own other"}}, {"item:read", "own"}],
		"external, mapped": [{"subject": object.union(external, {"scopes": ["x"]}), "claims": {"scope": "y"}}, {"x"}],
		"external, by its claims": [{"subject": external, "claims": {"scp": ["x", "y"]}}, {"x", "y"}],
		"external, by its claims and roles": [{"subject": external, "claims": {"scp": "item:read y", "roles": ["reader"]}}, {"item:read"}],
		"disabled": [{"subject": object.union(_person("account", []), {"disabled": true}), "claims": {"scope": "item:read"}}, set()],
	}
	{name: got |
		some name, case in cases
		got := authz.scopes with input as case[0] with data.roles as {"reader": ["item:read"]}
		got != case[1]
	} == {}
}

_person(kind, scopes) := {"kind": kind, "id": "1", "roles": ["reader"], "scopes": scopes, "disabled": false}
