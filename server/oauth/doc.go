// Package oauth is Stagedoor's token service: the endpoints that hand out tokens
// (RFC 6749), take them back (RFC 7009), say what they are worth (RFC 7662) and tell
// clients where all this is (RFC 8414), and the key set that verifies them.
//
// [New] makes a [Service] from the live policy, an authenticator, a keyring, and
// what keeps clients, sessions and revocations; [Service.Register] adds its routes to
// Gin; [Service.Refusals] makes the gate speak OAuth's own JSON where it refuses a
// request to one of them; [Service.AtIssuer] stands in front of the gate where the
// issuer has a path, and gives it the path that it decides.
//
// Every token request goes through one pipeline (pipeline.go), whose steps no
// grant can skip:
//
//	parse → authenticate client → is the grant type open, to this client? →
//	authenticate subject → ask data.token.decision → sign → settle → answer
//
// A grant type is a [grant]: two hooks, for its own parameters and for finding
// out who the token is about. password.go, clientcredentials.go and refresh.go are
// the three there are; another is one more file and one line in [New]. Whether a
// grant may be used, by whom, and what the token then says is no matter of Go: the
// policy decides it. What is stored is no matter of a grant either: settle.go begins
// a session for every account's token, or goes on with the one that is refreshed,
// and writes the audit event in the same transaction.
//
// The other endpoints begin with the same two steps (endpoint.go): read the form,
// authenticate the client.
//
// What a stranger sent is read by form.go, clientauth.go and scope.go; what goes
// back is written by answer.go and refusal.go only.
package oauth
