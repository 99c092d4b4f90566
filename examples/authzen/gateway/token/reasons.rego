package token

# Why a token is not issued. Each reason's code and message come from the METADATA of
# the rule that gives it. To refuse something besides, write one more `deny` rule: any
# of them beats every grant.

# METADATA
# title: What forbids a token, whatever else speaks for it
# scope: document

# METADATA
# title: Disabled
# description: Answered exactly as a wrong password is, so no other code may go with it.
# custom:
#   code: account_disabled
#   message: the account is disabled
deny contains reason(rego.metadata.rule(), []) if _disabled

# METADATA
# title: Why the token is not issued
# scope: document
reasons contains forbidden if some forbidden in deny

# METADATA
# title: Grant type not open
# custom:
#   code: unsupported_grant_type
#   message: this grant type is not open here
reasons contains reason(rego.metadata.rule(), []) if not _grant_open

# METADATA
# title: No client, or a disabled one
# custom:
#   code: invalid_client
#   message: the client is unknown or disabled
reasons contains reason(rego.metadata.rule(), []) if not _client_known

# METADATA
# title: Grant type not the client's
# custom:
#   code: unauthorized_client
#   message: the client may not use this grant type
reasons contains reason(rego.metadata.rule(), []) if not _client_may

# METADATA
# title: Nobody has authenticated, or a subject that the grant type is not for
# custom:
#   code: unsupported_subject
#   message: needs an account, or for client_credentials the client itself, that has authenticated
reasons contains reason(rego.metadata.rule(), []) if not _subject_supported

# METADATA
# title: No requested scope left
# description: >-
#   Said to whoever may have a token at all. Said of a disabled account it would tell
#   that the password was right.
# custom:
#   code: invalid_scope
#   message: none of the requested scopes can be granted, or one that the login did not get
reasons contains reason(rego.metadata.rule(), []) if {
	_subject_supported
	not _disabled
	not _scope_grantable
}

# METADATA
# title: Audience not the client's
# description: RFC 8707 section 2.
# custom:
#   code: invalid_target
#   message: an audience was requested that the client's tokens, or those of this login, can't be for
reasons contains reason(rego.metadata.rule(), []) if not _audience_grantable

# METADATA
# title: No lifetime
# custom:
#   code: lifetime_undeclared
#   message: data.tokens.lifetime.access_token is not a positive number of seconds
reasons contains reason(rego.metadata.rule(), []) if not _lifetime_declared

# METADATA
# title: A reason
# description: >-
#   Made of the METADATA of the rule that gives it (rego.metadata.rule()) and of the
#   values for its message. A rule that forgot custom.code or custom.message refuses
#   all the same.
reason(metadata, values) := {
	"code": metadata.custom.code,
	"message": sprintf(metadata.custom.message, values),
} if {
	metadata.custom
} else := {
	"code": "unexplained",
	"message": "refused by a rule without custom.code and custom.message",
}

_disabled if input.subject.disabled != false
