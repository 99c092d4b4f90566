package rbac_test

import data.rbac

_table := {"reader": ["a:read"], "writer": ["a:read", "a:write"], "guest": []}

test_carries if {
	cases := {
		"the only role": {"roles": ["reader"], "scope": "a:read", "want": true},
		"the last of several": {"roles": ["guest", "reader", "writer"], "scope": "a:write", "want": true},
		"two roles carry it": {"roles": ["reader", "writer"], "scope": "a:read", "want": true},
		"none carries it": {"roles": ["guest", "reader"], "scope": "a:write", "want": false},
		"no roles": {"roles": [], "scope": "a:read", "want": false},
		"unknown role": {"roles": ["root", "__proto__"], "scope": "a:read", "want": false},
		"roles of odd types": {"roles": [null, 0, {}, ["reader"]], "scope": "a:read", "want": false},
		"roles are a string": {"roles": "reader", "scope": "a:read", "want": false},
		"prefix of a scope": {"roles": ["reader"], "scope": "a:rea", "want": false},
	}
	{name |
		some name, case in cases
		{true | rbac.carries(_table, case.roles, case.scope)} != {true | case.want}
	} == set()
}

test_carries_nothing_where_the_table_is_malformed if {
	every table in [{}, [], "reader", {"reader": "a:read"}, {"reader": null}, {"reader": 1}] {
		not rbac.carries(table, ["reader"], "a:read")
	}
}

test_scopes if {
	cases := {
		"union of the roles": {"roles": ["reader", "writer"], "want": {"a:read", "a:write"}},
		"a role without scopes": {"roles": ["guest"], "want": set()},
		"no roles": {"roles": [], "want": set()},
		"unknown roles": {"roles": ["root", 1, null], "want": set()},
		"roles are a string": {"roles": "reader", "want": set()},
		"roles are an object": {"roles": {"x": "reader"}, "want": set()},
	}
	{name | some name, case in cases; not rbac.scopes(_table, case.roles) == case.want} == set()
}

test_maps if {
	rbac.maps(_table, ["root", "guest"])
	not rbac.maps(_table, ["root"])
	not rbac.maps(_table, [])
}

test_listed if {
	cases := {
		"several": {"claim": "a b", "want": ["a", "b"]},
		"one": {"claim": "a", "want": ["a"]},
		"an array": {"claim": ["a", "b"], "want": []},
		"a number": {"claim": 7, "want": []},
		"an object": {"claim": {"a": "b"}, "want": []},
		"null": {"claim": null, "want": []},
	}
	{name | some name, case in cases; not rbac.listed(case.claim) == case.want} == set()
}
