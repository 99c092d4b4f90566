package token_test

import data.token

test_tenant if {
	token.issued.claims == {"tenant": "acme"} with input.subject.attributes as {"tenant": "acme"}
}

test_no_tenant if {
	not token.issued.claims with input.subject.attributes as {}
}
