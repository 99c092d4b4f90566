// Package oauth is Stagedoor's token service: the endpoints of RFC 6749 that
// hand out tokens, and the key set that verifies them.
//
// [New] makes a [Service] from the live policy, an authenticator and a keyring;
// [Service.Register] adds its routes to Gin; [Service.Refusals] makes the gate
// speak OAuth's own JSON where it refuses a request to one of them.
//
// Every token request goes through one pipeline (pipeline.go), whose steps no
// grant can skip:
//
//	parse → authenticate client → is the grant type open? → authenticate
//	subject → ask data.token.decision → sign → settle → answer
//
// A grant type is a [grant]: two hooks, for its own parameters and for finding
// out who the token is about. password.go is one; another is one more file and
// one line in grants. Whether a grant may be used, by whom, and what the token
// then says is no matter of Go: the policy decides it.
//
// What a stranger sent is read by form.go, clientauth.go and scope.go; what goes
// back is written by answer.go and refusal.go only.
package oauth
