package authzen_test

import data.authzen

_identity := {
	"subjects": {
		"user": {"ann": {"groups": ["staff"]}, "bob": {"groups": ["guests"]}, "eve": {"groups": []}},
		"client": {"batch": {"groups": ["staff"]}, "ann": {"groups": []}},
	},
	"resources": {
		"record": {"1": {"owner": "ann"}},
		"application": {"app": {"roles": ["editor"]}},
		"audience": {"api": {
			"groups": ["staff", "guests"],
			"scopes": {"read": ["guests", "staff"], "write": ["staff"]},
			"lifetime": {"single": 60, "multi": 600},
		}},
	},
	"actions": {"delete": {}, "issue": {}, "read": {}, "write": {}},
}

_question(kind, id, action, resource) := {
	"subject": {"type": kind, "id": id},
	"action": {"name": action},
	"resource": {"type": resource[0], "id": resource[1]},
}

_decide(question) := decision if {
	decision := authzen.decision with data.identity as _identity with input as question
}

_login := "issue:access_token:authorization_code"

_api := ["audience", "api"]

test_a_token_is_shaped if {
	_decide(_question("user", "ann", _login, _api)) == {"allow": true, "context": {"issuance": {
		"token_lifetime": 60,
		"granted_scope": "read write",
		"claims": {"groups": ["staff"]},
	}}}
	second := object.union(_question("user", "bob", _login, _api), {"context": {"amr": ["pwd", "otp", "mfa"]}})
	_decide(second).context.issuance == {"token_lifetime": 600, "granted_scope": "read", "claims": {"groups": ["guests"]}}
}

test_who_gets_none if {
	every question in [
		_question("user", "eve", _login, _api),
		_question("user", "stranger", _login, _api),
		_question("user", "ann", _login, ["audience", "other"]),
		_question("user", "ann", "issue:access_token:client_credentials", _api),
		_question("client", "batch", _login, _api),
	] {
		decision := _decide(question)
		not decision.allow
		decision.reasons[0].code == "not_issued"
		decision.context.reason_user
	}
}

test_a_client_gets_one_for_itself if _decide(_question("client", "batch", "issue:access_token:client_credentials", _api)).allow

test_scopes_one_by_one if {
	_decide(_question("user", "bob", "read", _api)) == {"allow": true}
	not _decide(_question("user", "bob", "write", _api)).allow
	not _decide(_question("user", "ann", "admin", _api)).allow
	not _decide(_question("user", "ann", "read", ["record", "1"])).allow
}

test_applications if {
	asked := _question("user", "ann", "issue", ["application", "app"])
	not _decide(asked).allow
	_decide(json.patch(asked, [{"op": "add", "path": "/subject/properties", "value": {"role": "editor", "balance": 60}}])).allow
	not _decide(json.patch(asked, [{"op": "add", "path": "/subject/properties", "value": {"role": "contractor"}}])).allow
}

test_records if {
	_decide(_question("user", "ann", "delete", ["record", "1"])).allow
	not _decide(_question("user", "bob", "delete", ["record", "1"])).allow
	denied := _decide(_question("client", "ann", "delete", ["record", "1"]))
	not denied.allow
	not denied.context
}

test_entities if authzen.entities == _identity with data.identity as _identity
