package authz

// TokenError says why a presented token was refused. The policy sees it as
// input.token_error. It is an error so that verification can return it.
type TokenError string

// The reasons for refusing a token. The first three are faults of the request
// that carried it (RFC 6750 section 3.1, invalid_request); the others are
// faults of the token (invalid_token).
const (
	// TokenMalformedRequest: the Authorization header is not a Bearer credential
	// of RFC 6750 section 2.1.
	TokenMalformedRequest TokenError = "malformed_request"
	// TokenRepeated: more than one Authorization header.
	TokenRepeated TokenError = "repeated"
	// TokenInQuery: an access_token query parameter, alone or beside the header
	// (RFC 9700 section 4.3.2 forbids it).
	TokenInQuery TokenError = "in_query"

	// TokenMalformed: not a well-formed JWT of ours (RFC 7519, RFC 8725).
	TokenMalformed TokenError = "malformed"
	// TokenUnsupported: an algorithm, crit or b64 that is never accepted.
	TokenUnsupported TokenError = "unsupported"
	// TokenUnknownKey: no key of the issuer has this kid and algorithm.
	TokenUnknownKey TokenError = "unknown_key"
	// TokenBadSignature: the signature does not verify.
	TokenBadSignature TokenError = "bad_signature"
	// TokenWrongType: typ is not at+jwt (RFC 9068 section 4).
	TokenWrongType TokenError = "wrong_type"
	// TokenWrongIssuer: iss is not exactly a trusted issuer.
	TokenWrongIssuer TokenError = "wrong_issuer"
	// TokenWrongAudience: aud does not contain us.
	TokenWrongAudience TokenError = "wrong_audience"
	// TokenInvalidClaims: a required claim is missing or of the wrong type.
	TokenInvalidClaims TokenError = "invalid_claims"
	// TokenExpired: exp has passed.
	TokenExpired TokenError = "expired"
	// TokenNotYetValid: nbf or iat lies in the future.
	TokenNotYetValid TokenError = "not_yet_valid"
	// TokenRevoked: the token, its session or its account was revoked.
	TokenRevoked TokenError = "revoked"
	// TokenUnknownSubject: our issuer signed it, but the subject is gone.
	TokenUnknownSubject TokenError = "unknown_subject"
)

// Error makes TokenError an error.
func (e TokenError) Error() string { return "token refused: " + string(e) }

// InvalidRequest reports whether the fault lies in the request rather than in
// the token, so that the answer is 400 invalid_request instead of 401
// invalid_token (RFC 6750 section 3.1).
func (e TokenError) InvalidRequest() bool {
	switch e {
	case TokenMalformedRequest, TokenRepeated, TokenInQuery:
		return true
	}
	return false
}
