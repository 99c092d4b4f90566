// Package authz is the vocabulary that the rest of Stagedoor speaks.
//
// There are two questions and their answers. A [Request] asks whether an HTTP
// request may pass, and a [Decision] answers it. A [GrantRequest] asks whether
// a token may be issued, and a [Grant] answers it. Who the question is about is
// a [Subject]; what a verified token says is [Claims]; why a presented token
// was refused is a [TokenError].
//
// The package holds no rules. It imports the standard library only, so that
// every other package can share these words without sharing anything else.
//
// Whatever an answer is not, it is a denial: the zero Decision and the zero
// Grant deny.
package authz
