package token_test

import data.token

# The tables that the tests decide by. They replace data, so the tests hold for
# whatever a user's data says.
_roles := {"boss": ["item:write", "item:read"], "clerk": ["item:read"], "guest": []}

_tokens := {"grants": {"password": true, "off": false, "odd": "true"}, "lifetime": {"access_token": 600}}

_request := {
	"grant_type": "password",
	"subject": {"kind": "account", "id": "01A", "username": "ann", "roles": ["boss"], "disabled": false, "attributes": {}},
	"client": {"id": "first-party"},
	"amr": ["pwd"],
}

_decide(patches) := decision if {
	decision := token.decision with input as json.patch(_request, patches)
		with data.roles as _roles
		with data.tokens as _tokens
}

_set(path, value) := {"op": "add", "path": path, "value": value}

_without(path) := {"op": "remove", "path": path}

# An answer in one line: "allow" and the scopes, or the codes of the reasons.
_line(decision) := concat(" ", array.concat(["allow"], decision.scope)) if {
	decision == {"allow": true, "scope": decision.scope, "lifetime": {"access_token": 600}}
}

_line(decision) := concat(" ", [given.code | some given in decision.reasons]) if {
	object.keys(decision) == {"allow", "reasons"}
	decision.allow == false
}

# The cases, by name, that are not answered as they should be: [patches, answer].
# Tests compare this with {}, so that a failure shows each wrong case and its answer.
_wrong(cases) := {name: answers |
	some name, case in cases
	answers := {line | line := _line(_decide(case[0]))}
	answers != {case[1]}
}

test_scope if {
	_wrong({
		"none requested: all, sorted": [[], "allow item:read item:write"],
		"an empty list requested: all": [[_set("/scope", [])], "allow item:read item:write"],
		"some requested": [[_set("/scope", ["item:write"])], "allow item:write"],
		"requested twice": [[_set("/scope", ["item:write", "item:write"])], "allow item:write"],
		"more requested than may be": [[_set("/scope", ["root", "item:read", ""])], "allow item:read"],
		"nothing left": [[_set("/scope", ["root"])], "invalid_scope"],
		"nothing left of the roles": [[_set("/subject/roles", ["clerk"]), _set("/scope", ["item:write"])], "invalid_scope"],
		"all of several roles": [[_set("/subject/roles", ["clerk", "guest"])], "allow item:read"],
		"a role without scopes": [[_set("/subject/roles", ["guest"])], "allow"],
		"no roles": [[_set("/subject/roles", [])], "allow"],
		"roles absent": [[_without("/subject/roles")], "allow"],
		"unknown roles": [[_set("/subject/roles", ["root", 1, null, ["boss"]])], "allow"],
		"roles are a string": [[_set("/subject/roles", "boss")], "allow"],
		"roles are an object": [[_set("/subject/roles", {"x": "boss"})], "allow"],
		"scope is a string": [[_set("/scope", "item:read")], "invalid_scope"],
		"scope is an object": [[_set("/scope", {"x": "item:read"})], "invalid_scope"],
		"scope is null": [[_set("/scope", null)], "invalid_scope"],
		"scopes of odd types": [[_set("/scope", [null, 1, ["item:read"]])], "invalid_scope"],
	}) == {}
}

test_who if {
	_wrong({
		"a client": [[_set("/subject/kind", "client")], "allow item:read item:write"],
		"a subject of another issuer": [[_set("/subject/kind", "external")], "unsupported_subject"],
		"an unknown kind": [[_set("/subject/kind", "root")], "unsupported_subject"],
		"nobody yet": [[_without("/subject")], "unsupported_subject"],
		"nobody yet, scopes requested": [[_without("/subject"), _set("/scope", ["item:read"])], "unsupported_subject"],
		"nobody yet, a closed grant type": [
			[_without("/subject"), _set("/grant_type", "off")],
			"unsupported_grant_type unsupported_subject",
		],
		"subject is a string": [[_set("/subject", "boss")], "unsupported_subject"],
		"disabled": [[_set("/subject/disabled", true)], "account_disabled"],
		"disabled, nothing left: no word of scopes": [
			[_set("/subject/disabled", true), _set("/scope", ["root"])],
			"account_disabled",
		],
		"disabled is null": [[_set("/subject/disabled", null)], "account_disabled"],
		"disabled is a string": [[_set("/subject/disabled", "false")], "account_disabled"],
		"disabled left out": [[_without("/subject/disabled")], "allow item:read item:write"],
	}) == {}
}

test_grant_types if {
	_wrong({
		"unknown": [[_set("/grant_type", "implicit")], "unsupported_grant_type"],
		"off": [[_set("/grant_type", "off")], "unsupported_grant_type"],
		"neither true nor false": [[_set("/grant_type", "odd")], "unsupported_grant_type"],
		"absent": [[_without("/grant_type")], "unsupported_grant_type"],
		"a list": [[_set("/grant_type", ["password"])], "unsupported_grant_type"],
		"in upper case": [[_set("/grant_type", "PASSWORD")], "unsupported_grant_type"],
		"every reason": [
			[_set("/grant_type", "off"), _set("/scope", ["root"])],
			"invalid_scope unsupported_grant_type",
		],
	}) == {}
}

test_the_lifetime_is_a_positive_number if {
	every lifetime in [0, -1, "1800", null, true, [1800]] {
		decision := token.decision with input as _request
			with data.roles as _roles
			with data.tokens as {"grants": {"password": true}, "lifetime": {"access_token": lifetime}}
		_line(decision) == "lifetime_undeclared"
	}
}

test_without_data_nothing_is_issued if {
	every tokens in [{}, null, [], "x", {"grants": null}, {"grants": ["password"]}] {
		decision := token.decision with input as _request
			with data.roles as {}
			with data.tokens as tokens
		_line(decision) == "lifetime_undeclared unsupported_grant_type"
	}
}

test_odd_role_tables_carry_nothing if {
	every roles in [{}, null, [], "boss", {"boss": "item:read"}, {"boss": null}] {
		decision := token.decision with input as _request
			with data.roles as roles
			with data.tokens as _tokens
		_line(decision) == "allow"
	}
}

test_each_reason_has_a_message if {
	decision := token.decision with input as {"subject": {"kind": "account", "disabled": true}}
		with data.tokens as {}
	{given.code: given.message | some given in decision.reasons} == {
		"account_disabled": "the account is disabled",
		"lifetime_undeclared": "data.tokens.lifetime.access_token is not a positive number of seconds",
		"unsupported_grant_type": "this grant type is not open here",
	}
}

test_an_input_that_is_no_object_is_refused if {
	every value in [null, "x", [], 1, {}] {
		decision := token.decision with input as value
			with data.tokens as _tokens
		_line(decision) == "unsupported_grant_type unsupported_subject"
	}
}

test_a_rule_without_code_and_message_refuses_all_the_same if {
	every metadata in [{}, {"custom": {"code": "x"}}, {"custom": {"message": "x"}}] {
		token.reason(metadata, []).code == "unexplained"
	}
}
