package authzen

# Why something is denied. Each reason's code and message come from the METADATA of
# the rule that gives it. They explain a denial, and deny nothing by themselves.

# METADATA
# title: Why it is denied
# scope: document

# METADATA
# title: Unknown subject
# custom:
#   code: subject_undeclared
#   message: the subject is not declared
reasons contains reason(rego.metadata.rule()) if not _subject_declared

# METADATA
# title: Nothing permitted
# custom:
#   code: permission_undeclared
#   message: no permission is declared for this action on this type of resource
reasons contains reason(rego.metadata.rule()) if not permission

# METADATA
# title: Not permitted
# custom:
#   code: not_permitted
#   message: the subject has none of the roles that may do this, and is not an owner who may
reasons contains reason(rego.metadata.rule()) if {
	_subject_declared
	permission
	not _permitted
}

# METADATA
# title: A reason
# description: Made of the METADATA of the rule that gives it (rego.metadata.rule()).
reason(metadata) := {"code": metadata.custom.code, "message": metadata.custom.message}
