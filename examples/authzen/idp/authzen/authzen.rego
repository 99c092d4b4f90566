# METADATA
# scope: package
# title: What an identity provider may put into a token
# description: >-
#   The interop scenario "identity provider" of the AuthZEN working group, and its profile
#   for the issuance of OAuth tokens. An identity provider asks three kinds of questions
#   before it signs: which records belong to the user (a search, whose results become a
#   claim), whether a token may be issued at all, and which of the scopes that were asked
#   for. What shapes the token is in the answer's context.
# schemas:
#   - input: schema.authzen
package authzen

# METADATA
# title: The decision
# scope: document
# entrypoint: true
decision := {"allow": true, "context": {"issuance": issuance}} if _gate

else := {"allow": true} if _may

else := {
	"allow": false,
	"reasons": [{"code": "not_issued", "message": "nothing lets the subject have this"}],
	"context": {"reason_user": {"403": "Ask your administrator for access."}},
} if {
	_issues
} else := {"allow": false, "reasons": [{"code": "not_permitted", "message": "nothing lets the subject do this"}]}

# METADATA
# title: The entities that searches look through
entities := data.identity

# METADATA
# title: What is declared of the subject
subject := data.identity.subjects[input.subject.type][input.subject.id]

# METADATA
# title: What is declared of the record, application or audience
resource := data.identity.resources[input.resource.type][input.resource.id]

_issues if startswith(input.action.name, "issue")

# May there be a token for the audience? Clients get one for themselves, users by logging
# in.
_gate if {
	input.resource.type == "audience"
	input.action.name == {
		"user": "issue:access_token:authorization_code",
		"client": "issue:access_token:client_credentials",
	}[input.subject.type]
	some group in resource.groups
	group in subject.groups
}

# METADATA
# title: What shapes the token
issuance := {
	"token_lifetime": resource.lifetime[_factors],
	"granted_scope": concat(" ", sort(granted)),
	"claims": {"groups": subject.groups},
}

# METADATA
# title: The audience's scopes that the subject may have
# scope: document
granted contains scope if {
	input.resource.type == "audience"
	some scope, groups in resource.scopes
	some group in groups
	group in subject.groups
}

# How the user was authenticated is for the identity provider to say (RFC 8176).
_factors := "multi" if "mfa" in input.context.amr

else := "single"

# One scope.
_may if input.action.name in granted

# The roles of an application's users are the identity provider's, too.
_may if {
	input.action.name == "issue"
	input.resource.type == "application"
	subject
	input.subject.properties.role in resource.roles
}

_may if {
	input.action.name == "delete"
	input.resource.type == "record"
	input.subject.type == "user"
	subject
	resource.owner == input.subject.id
}
