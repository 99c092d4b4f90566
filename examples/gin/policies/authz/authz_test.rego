package authz_test

import data.authz

# Replaces data.limits, so that the tests hold whatever the limits are today.
_limits := {"approver": 500, "director": 50000}

_asks(id, roles, scopes) := {
	"subject": {"kind": "external", "id": id, "issuer": "https://i.example", "roles": roles, "scopes": scopes, "disabled": false},
	"claims": {},
}

_ann := _asks("ann", [], ["reports:write"])

_bob := _asks("bob", [], ["reports:write"])

_boss := _asks("boss", ["approver"], ["reports:write", "reports:approve"])

_director := _asks("director", ["approver", "director"], ["reports:approve"])

_anns(amount) := {"resource": {"owner": "ann", "amount": amount, "approved": false}, "params": {"id": "1"}}

_approved := {"resource": {"owner": "ann", "amount": 20, "approved": true}, "params": {"id": "1"}}

_bosses := {"resource": {"owner": "boss", "amount": 20, "approved": false}, "params": {"id": "1"}}

_missing := {"params": {"id": "1"}}

# An answer in one line: "allow", or the status, the reasons and the scope needed.
_answer(method, route, parts) := _line(decision) if {
	request := object.union_n(array.concat([{"method": method, "route": route}], parts))
	decision := authz.decision with input as request with data.limits as _limits
}

_line({"allow": true}) := "allow"

_line(decision) := concat(" ", array.concat(
	[format_int(decision.status, 10)],
	array.concat([reason.code | some reason in decision.reasons], object.get(decision.needs, "scope", [])),
)) if {
	decision.allow == false
	every reason in decision.reasons {
		reason.message != ""
	}
}

_cases := {
	"nobody": ["POST", "/reports", [], "401 missing_scope unauthenticated"],
	"a bad token": ["POST", "/reports", [{"token_error": "expired"}], "401 missing_scope unauthenticated"],
	"undeclared": ["GET", "", [_ann], "404"],
	"undeclared method": ["DELETE", "/reports", [_ann], "405"],
	"hand in": ["POST", "/reports", [_ann], "allow"],
	"hand in without the scope": ["POST", "/reports", [_director], "403 missing_scope reports:write"],
	"read one's own": ["GET", "/reports/{id}", [_ann, _anns(20)], "allow"],
	"read another's": ["GET", "/reports/{id}", [_bob, _anns(20)], "403 not_yours"],
	"read another's as an approver": ["GET", "/reports/{id}", [_boss, _anns(20)], "allow"],
	"read what is not there": ["GET", "/reports/{id}", [_bob, _missing], "403 not_yours"],
	"read what is not there as an approver": ["GET", "/reports/{id}", [_boss, _missing], "404"],
	"approve": ["POST", "/reports/{id}/approval", [_boss, _anns(500)], "allow"],
	"approve beyond the limit": ["POST", "/reports/{id}/approval", [_boss, _anns(501)], "403 beyond_limit"],
	"approve with the higher limit": ["POST", "/reports/{id}/approval", [_director, _anns(501)], "allow"],
	"approve one's own": ["POST", "/reports/{id}/approval", [_boss, _bosses], "403 own_report"],
	"approve twice": ["POST", "/reports/{id}/approval", [_boss, _approved], "403 approved_before"],
	"approve what is not there": ["POST", "/reports/{id}/approval", [_boss, _missing], "404 beyond_limit own_report"],
	"approve without the scope": [
		"POST",
		"/reports/{id}/approval",
		[_asks("chief", ["approver"], []), _anns(20)],
		"403 missing_scope reports:approve",
	],
	"approve without the role": [
		"POST",
		"/reports/{id}/approval",
		[_asks("bob", ["other"], ["reports:approve"]), _anns(20)],
		"403 beyond_limit",
	],
}

# The cases that are not answered as they should be, with their answers.
test_answers if {
	{name: answer |
		some name, [method, route, parts, want] in _cases
		answer := _answer(method, route, parts)
		answer != want
	} == {}
	{name | some name, [method, route, parts, _] in _cases; _answer(method, route, parts)} == object.keys(_cases)
}
