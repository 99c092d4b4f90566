package authz_test

import data.authz

# Replaces data.routes, so that the tests hold whatever a route asks for today.
_routes := {
	"/open": {"GET": {"public": true}},
	"/documents": {"POST": {"scope": "d:write", "tenant": "any"}},
	"/documents/{id}": {
		"GET": {"scope": "d:read", "tenant": "same"},
		"DELETE": {"scope": "d:write", "tenant": "same", "owner": true},
	},
	"/misspelt": {"GET": {"scope": "d:read", "onwer": true}},
	"/empty": {"GET": {}},
}

_asks(scopes, claims) := {
	"subject": {"kind": "external", "id": "ann", "issuer": "https://i.example", "scopes": scopes, "roles": [], "disabled": false},
	"claims": claims,
}

_ann := _asks(["d:read", "d:write"], {"tenant": "acme"})

_reader := _asks(["d:read"], {"tenant": "acme"})

_homeless := _asks(["d:read", "d:write"], {})

_document(owner, tenant) := {"resource": {"owner": owner, "tenant": tenant}}

_hers := _document("ann", "acme")

_colleagues := _document("bob", "acme")

_strangers := _document("ann", "other")

# An answer in one line: "allow", or the status, the reasons and the scope needed.
_answer(method, route, parts) := _line(decision) if {
	request := object.union_n(array.concat([{"method": method, "route": route}], parts))
	decision := authz.decision with input as request with data.routes as _routes
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
	"public": ["GET", "/open", [], "allow"],
	"public with a bad token": ["GET", "/open", [{"token_error": "expired"}], "allow"],
	"nobody": ["GET", "/documents/{id}", [_hers], "401 missing_scope other_tenant unauthenticated"],
	"nobody, undeclared": ["GET", "", [], "401 unauthenticated undeclared"],
	"a bad token": ["POST", "/documents", [{"token_error": "expired"}], "401 missing_scope other_tenant unauthenticated"],
	"undeclared": ["GET", "", [_ann], "404 undeclared"],
	"undeclared method": ["PUT", "/documents", [_ann], "405 undeclared"],
	"create": ["POST", "/documents", [_ann], "allow"],
	"create without the scope": ["POST", "/documents", [_reader], "403 missing_scope d:write"],
	"create without a tenant": ["POST", "/documents", [_homeless], "404 other_tenant"],
	"create in an empty tenant": ["POST", "/documents", [_asks(["d:write"], {"tenant": ""})], "404 other_tenant"],
	"read": ["GET", "/documents/{id}", [_reader, _colleagues], "allow"],
	"HEAD as GET": ["HEAD", "/documents/{id}", [_reader, _colleagues], "allow"],
	"read another tenant's": ["GET", "/documents/{id}", [_ann, _strangers], "404 other_tenant"],
	"read what is not there": ["GET", "/documents/{id}", [_ann], "404 other_tenant"],
	"read without a tenant": ["GET", "/documents/{id}", [_homeless, _hers], "404 other_tenant"],
	"no tenant is not the empty one": ["GET", "/documents/{id}", [_asks(["d:read"], {"tenant": ""}), _document("ann", "")], "404 other_tenant"],
	"remove": ["DELETE", "/documents/{id}", [_ann, _hers], "allow"],
	"remove a colleague's": ["DELETE", "/documents/{id}", [_ann, _colleagues], "403 not_owner"],
	"remove one's own in another tenant": ["DELETE", "/documents/{id}", [_ann, _strangers], "404 other_tenant"],
	"remove without the scope": ["DELETE", "/documents/{id}", [_reader, _hers], "403 missing_scope d:write"],
	"remove another tenant's without the scope": ["DELETE", "/documents/{id}", [_reader, _strangers], "403 missing_scope other_tenant"],
	"a condition that is not known": ["GET", "/misspelt", [_ann], "403"],
	"no condition": ["GET", "/empty", [_ann], "403"],
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
