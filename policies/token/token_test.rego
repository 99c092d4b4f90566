package token_test

import data.token

# The tables that the tests decide by. They replace data, so the tests hold for
# whatever a user's data says.
_roles := {"boss": ["item:write", "item:read"], "clerk": ["item:read"], "guest": []}

_tokens := {
	"grants": {"password": true, "client_credentials": true, "refresh_token": true, "off": false, "odd": "true"},
	"lifetime": {"access_token": 600, "refresh_token": 7200, "refresh_token_idle": 3600},
}

_client := {
	"id": "first-party",
	"confidential": false,
	"grants": ["password", "refresh_token", "off", "odd"],
	"scopes": ["*"],
	"audiences": ["https://api", "https://other"],
	"disabled": false,
}

_request := {
	"grant_type": "password",
	"subject": {"kind": "account", "id": "01A", "username": "ann", "roles": ["boss"], "disabled": false, "attributes": {}},
	"client": _client,
	"amr": ["pwd"],
}

# A client that acts for itself.
_service := [
	_set("/grant_type", "client_credentials"),
	_set("/subject", {"kind": "client", "id": "robot", "roles": ["boss"], "scopes": ["job:run", "job:see"], "disabled": false, "attributes": {}}),
	_set("/client", {"id": "robot", "confidential": true, "grants": ["client_credentials", "refresh_token"], "scopes": ["job:run", "job:see"], "audiences": ["https://api"], "disabled": false}),
	_set("/amr", []),
]

# A login that is refreshed.
_refresh := [
	_set("/grant_type", "refresh_token"),
	_set("/session", {"scope": ["item:read", "item:write"], "audience": ["https://api"], "auth_time": "2026-11-23T12:00:00Z"}),
	_set("/amr", []),
]

_decide(patches) := decision if {
	decision := token.decision with input as json.patch(_request, patches)
		with data.roles as _roles
		with data.tokens as _tokens
}

_set(path, value) := {"op": "add", "path": path, "value": value}

_without(path) := {"op": "remove", "path": path}

# An answer in one line: "allow", the scopes and the audience, or the codes of the
# reasons. Nothing else is in it.
_line(decision) := concat(" ", array.concat(array.concat(["allow"], decision.scope), _audience(decision))) if {
	decision.allow == true
	object.keys(decision) - {"audience"} == {"allow", "scope", "lifetime"}
	decision.lifetime.access_token == 600
}

_audience(decision) := [sprintf("for %s", [concat(",", decision.audience)])] if decision.audience

else := []

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
		"a client, by its password": [[_set("/subject/kind", "client")], "unsupported_subject"],
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
		"unknown": [[_set("/grant_type", "implicit")], "unauthorized_client unsupported_grant_type"],
		"off": [[_set("/grant_type", "off")], "unsupported_grant_type"],
		"neither true nor false": [[_set("/grant_type", "odd")], "unsupported_grant_type"],
		"absent": [[_without("/grant_type")], "unauthorized_client unsupported_grant_type unsupported_subject"],
		"a list": [[_set("/grant_type", ["password"])], "unauthorized_client unsupported_grant_type"],
		"in upper case": [[_set("/grant_type", "PASSWORD")], "unauthorized_client unsupported_grant_type"],
		"every reason": [
			[_set("/grant_type", "off"), _set("/scope", ["root"])],
			"invalid_scope unsupported_grant_type",
		],
	}) == {}
}

test_the_client if {
	_wrong({
		"none": [[_without("/client")], "invalid_client unauthorized_client"],
		"disabled": [[_set("/client/disabled", true)], "invalid_client"],
		"disabled is absent": [[_without("/client/disabled")], "invalid_client"],
		"disabled is null": [[_set("/client/disabled", null)], "invalid_client"],
		"nobody yet, the client disabled": [
			[_without("/subject"), _set("/client/disabled", true)],
			"invalid_client unsupported_subject",
		],
		"not its grant type": [[_set("/client/grants", ["refresh_token"])], "unauthorized_client"],
		"nobody yet, not its grant type": [
			[_without("/subject"), _set("/client/grants", [])],
			"unauthorized_client unsupported_subject",
		],
		"grants are a string": [[_set("/client/grants", "password")], "unauthorized_client"],
		"its scopes bound the roles'": [[_set("/client/scopes", ["item:read", "root"])], "allow item:read"],
		"its scopes bound what is requested": [
			[_set("/client/scopes", ["item:read"]), _set("/scope", ["item:read", "item:write"])],
			"allow item:read",
		],
		"no scopes": [[_set("/client/scopes", [])], "allow"],
		"no scopes, one requested": [[_set("/client/scopes", []), _set("/scope", ["item:read"])], "invalid_scope"],
		"scopes are a string": [[_set("/client/scopes", "*"), _set("/scope", ["item:read"])], "invalid_scope"],
	}) == {}
}

test_a_client_acts_for_itself if {
	_wrong({name: [array.concat(_service, case[0]), case[1]] | some name, case in {
		"none requested: all that are registered": [[], "allow job:run job:see"],
		"some requested": [[_set("/scope", ["job:see", "item:read"])], "allow job:see"],
		"none left": [[_set("/scope", ["item:read"])], "invalid_scope"],
		"the star grants nothing": [[_set("/subject/scopes", []), _set("/client/scopes", ["*"])], "allow"],
		"the star grants nothing, even in the subject": [
			[_set("/client/scopes", ["*"]), _set("/scope", ["job:run"])],
			"invalid_scope",
		],
		"scopes are absent": [[_without("/subject/scopes")], "allow"],
		"scopes are a string": [[_set("/subject/scopes", "job:run")], "allow"],
		"a public client": [[_set("/client/confidential", false)], "unauthorized_client"],
		"confidential is absent": [[_without("/client/confidential")], "unauthorized_client"],
		"another client": [[_set("/subject/id", "other")], "unsupported_subject"],
		"an account": [[_set("/subject/kind", "account")], "unsupported_subject"],
		"disabled": [
			[_set("/subject/disabled", true), _set("/client/disabled", true)],
			"account_disabled invalid_client",
		],
	}}) == {}
}

test_refreshing if {
	_wrong({name: [array.concat(_refresh, case[0]), case[1]] | some name, case in {
		"what the login got": [[], "allow item:read item:write for https://api"],
		"less": [[_set("/scope", ["item:read"])], "allow item:read for https://api"],
		"more than the login got": [
			[_set("/session/scope", ["item:read"]), _set("/scope", ["item:read", "item:write"])],
			"invalid_scope",
		],
		"roles that came since add nothing": [[_set("/session/scope", ["item:read"])], "allow item:read for https://api"],
		"a role that was lowered": [[_set("/subject/roles", ["clerk"])], "allow item:read for https://api"],
		"a role that was lowered, and its scope requested": [
			[_set("/subject/roles", ["clerk"]), _set("/scope", ["item:write"])],
			"invalid_scope",
		],
		"no role left": [[_set("/subject/roles", [])], "allow for https://api"],
		"a scope taken from the client": [[_set("/client/scopes", ["item:write"])], "allow item:write for https://api"],
		"a login without scopes": [[_set("/session/scope", [])], "allow for https://api"],
		"no session": [[_without("/session")], "unsupported_subject"],
		"a session without scopes": [[_set("/session", {})], "invalid_scope"],
		"a session that is no object": [[_set("/session", "x")], "unsupported_subject"],
		"scope is a string": [[_set("/scope", "item:read")], "invalid_scope"],
		"disabled meanwhile": [[_set("/subject/disabled", true)], "account_disabled"],
		"a client": [[_set("/subject/kind", "client")], "unsupported_subject"],
		"grant type taken from the client": [[_set("/client/grants", ["password"])], "unauthorized_client"],
		"an audience of the client's that the login did not get": [[_set("/audience", ["https://other"])], "invalid_target"],
		"the login's audience": [[_set("/audience", ["https://api"])], "allow item:read item:write for https://api"],
		"the login's audience taken from the client": [[_set("/client/audiences", [])], "invalid_target"],
		"a session without an audience": [[_without("/session/audience")], "allow item:read item:write"],
		"a session without an audience, one requested": [
			[_without("/session/audience"), _set("/audience", ["https://api"])],
			"invalid_target",
		],
	}}) == {}
}

test_the_audience if {
	_wrong({
		"one of the client's": [[_set("/audience", ["https://api"])], "allow item:read item:write for https://api"],
		"two of the client's": [
			[_set("/audience", ["https://api", "https://other"])],
			"allow item:read item:write for https://api,https://other",
		],
		"one of them not the client's": [[_set("/audience", ["https://api", "https://evil"])], "invalid_target"],
		"an empty list": [[_set("/audience", [])], "allow item:read item:write"],
		"a string": [[_set("/audience", "https://api")], "invalid_target"],
		"a client without any": [[_set("/client/audiences", []), _set("/audience", ["https://api"])], "invalid_target"],
	}) == {}
}

# The lifetimes of the answer.
_lifetimes(patches, tokens) := decision.lifetime if {
	decision := token.decision with input as json.patch(_request, patches)
		with data.roles as _roles
		with data.tokens as tokens
}

test_who_gets_a_refresh_token if {
	both := {"access_token": 600, "refresh_token": 7200, "refresh_token_idle": 3600}
	_lifetimes([], _tokens) == both
	_lifetimes(_refresh, _tokens) == both
	every patches in [[_set("/client/grants", ["password"])], _service] {
		_lifetimes(patches, _tokens) == {"access_token": 600}
	}
	every patch in [
		_set("/grants/refresh_token", false),
		_without("/grants/refresh_token"),
		_without("/lifetime/refresh_token"),
		_set("/lifetime/refresh_token", 0),
		_set("/lifetime/refresh_token", "7200"),
	] {
		_lifetimes([], json.patch(_tokens, [patch])) == {"access_token": 600}
	}
	every patch in [_without("/lifetime/refresh_token_idle"), _set("/lifetime/refresh_token_idle", -1)] {
		_lifetimes([], json.patch(_tokens, [patch])) == {"access_token": 600, "refresh_token": 7200}
	}
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
	decision := token.decision with input as {
		"grant_type": "x",
		"subject": {"kind": "account", "disabled": true},
		"audience": ["x"],
	}
		with data.tokens as {}
	{given.code: given.message | some given in decision.reasons} == {
		"account_disabled": "the account is disabled",
		"invalid_client": "the client is unknown or disabled",
		"invalid_target": "an audience was requested that the client's tokens, or those of this login, can't be for",
		"lifetime_undeclared": "data.tokens.lifetime.access_token is not a positive number of seconds",
		"unauthorized_client": "the client may not use this grant type",
		"unsupported_grant_type": "this grant type is not open here",
	}
}

test_an_input_that_is_no_object_is_refused if {
	every value in [null, "x", [], 1, {}] {
		decision := token.decision with input as value
			with data.tokens as _tokens
		_line(decision) == "invalid_client unauthorized_client unsupported_grant_type unsupported_subject"
	}
}

test_a_rule_without_code_and_message_refuses_all_the_same if {
	every metadata in [{}, {"custom": {"code": "x"}}, {"custom": {"message": "x"}}] {
		token.reason(metadata, []).code == "unexplained"
	}
}
