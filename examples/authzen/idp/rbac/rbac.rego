# METADATA
# scope: package
# title: Roles and scopes
# description: >-
#   What the other packages share: which scopes roles carry, and which scopes a
#   claim lists. The table of roles (data.roles, from data/roles.yaml) is handed in,
#   so that these functions depend on nothing but their arguments.
package rbac

# METADATA
# title: Does one of the roles carry this scope?
# description: >-
#   Looks each role up in the table; true as soon as one carries the scope. A role
#   that the table does not have carries nothing.
carries(table, roles, scope) if {
	some role in roles
	scope in table[role]
}

# METADATA
# title: All scopes of the roles
# description: A set. Empty where roles is not a list.
scopes(table, roles) := {scope |
	is_array(roles)
	some role in roles
	some scope in table[role]
}

# METADATA
# title: Does the table have one of these roles?
maps(table, roles) if {
	some role in roles
	table[role]
}

# METADATA
# title: The scopes that a claim lists
# description: >-
#   A scope claim is one string with spaces between the scopes (RFC 9068 section
#   2.2.3, RFC 8693 section 4.2). A claim of any other type lists none.
listed(claim) := split(claim, " ") if is_string(claim)

else := []
