package token

# METADATA
# title: The tenant
# description: >-
#   Whoever has an attribute tenant (`stagedoor user add ann --attribute tenant=acme`)
#   has it in the token, for the programs that verify it. One more rule beside the
#   shipped ones: what is issued is an object that any file of the package adds to.
issued["claims"] := {"tenant": input.subject.attributes.tenant}
