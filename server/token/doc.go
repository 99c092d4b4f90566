// Package token makes and verifies access tokens: JWTs of the shape that RFC
// 9068 describes.
//
// Three types matter. A [Keyring] signs, a [Verifier] verifies, and [TrustedIssuers]
// are those elsewhere whose tokens are good, too. A program whose callers log in
// elsewhere needs the last two only:
//
//	issuers, err := token.NewTrustedIssuers([]token.TrustedIssuer{{
//		Issuer: "https://login.example.com", Audience: []string{"notes"},
//		Scopes: token.ClaimMapping{Claim: "scope", KeepUnmapped: true},
//	}}, token.TrustedIssuersOptions{})
//	go issuers.Run(ctx)
//	verifier := token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers})
//	verified, err := verifier.Verify(ctx, raw)
//
// # Keys and signing
//
// A [Keyring] holds the keys. [OpenKeyring] reads them from a [KeyStore] and
// makes the first one when there is none; two processes that start at once on
// one store end up with the same key. [Keyring.Mint] signs with the ring's
// signing key, [Keyring.AssertIdentity] with the same what is told to services behind
// the gateway, [Keyring.JWKS] publishes the public halves (RFC 7517), and
// [Keyring.Reload] reads the store again. A ring is a snapshot behind an atomic
// pointer: every call works on one snapshot from beginning to end, and all of
// them may be made at once.
//
// A key is published before it signs, and verifies until the last token that it
// has signed has expired ([KeyState]). Which one that is follows from the clock and
// the times in the stored [Key], so all processes change over by themselves, at
// once. [KeyAdmin] makes the changes: rotation, retirement, and encryption at rest
// by a [Sealer]. [Keyring.Tend] rotates by a schedule.
//
// # Verifying
//
// A [Verifier] answers whether a token is good. It works in this order:
//
//  1. The strict reading. Size, dots, base64url and JSON are checked before
//     anything is decoded in proportion to the input (see [MaxSize]). What JSON
//     libraries disagree about (duplicate members, lone surrogates, invalid
//     UTF-8) is refused, as is what base64 decoders forgive (padding, line
//     breaks, stray bits), so a token has one reading and one spelling.
//  2. The header. crit and b64 are refused, typ must be at+jwt, and alg must be
//     one that the issuer uses. jku, x5u, jwk and x5c are never looked at.
//  3. The issuer. The unverified iss chooses a set of rules, and the rules own
//     the keys: kid is looked up among the keys of that issuer only, and the key
//     found must be one for exactly this alg. No issuer's key can speak for
//     another, and no key can be used with another algorithm than its own
//     (RFC 8725 sections 3.1 and 3.8).
//  4. The signature, by golang-jwt.
//  5. The claims, by our own rules, which are stricter than golang-jwt's.
//
// The first step that fails decides the refusal. It is an error that unwraps to
// an [authz.TokenError]: errors.As finds the code, errors.Is compares it. The
// error's text adds which rule was broken, never what the token said.
//
// The result, [Verified], is immutable and holds everything a cache in front of
// the verifier needs: until when it may be kept, and which key it stands on.
//
// # Issuers elsewhere
//
// [TrustedIssuers] are further issuers, each with its own rules, keys and mapping of
// claims. Their keys are fetched, strictly read and regularly replaced. The subjects
// of their tokens are external ([Verified].External), whatever they are called. An
// [AssertionVerifier] checks the JWTs by which clients authenticate (RFC 7523); to
// it, an access token is no assertion, and to a verifier, an assertion is no access
// token.
//
// A token is identified by its jti, never by its bytes: ECDSA signatures have
// more than one form.
package token
