package oauth

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The error codes of RFC 6749 section 5.2, that of RFC 8707 section 2, and the two
// of RFC 6749 section 4.1.2.1 for what is our own fault.
const (
	codeInvalidRequest         = "invalid_request"
	codeInvalidClient          = "invalid_client"
	codeInvalidGrant           = "invalid_grant"
	codeUnauthorizedClient     = "unauthorized_client"
	codeUnsupportedGrantType   = "unsupported_grant_type"
	codeInvalidScope           = "invalid_scope"
	codeInvalidTarget          = "invalid_target"
	codeServerError            = "server_error"
	codeTemporarilyUnavailable = "temporarily_unavailable"
)

// Error is a refused token request, as it is answered (RFC 6749 section 5.2).
type Error struct {
	// Code is the error code, such as "invalid_grant".
	Code string
	// Description is for the client's developer; characters that the RFC does
	// not allow in it are replaced when it is written.
	Description string
	// Status is the HTTP status; 0 means 400.
	Status int
	// RetryAfter, when positive, is told to the client in whole seconds.
	RetryAfter time.Duration
	// Challenge says that the client tried HTTP Basic, so that the answer is 401
	// with a challenge.
	Challenge bool
	// Err is the cause; it is logged and never answered.
	Err error
}

// Error is for the log.
func (e *Error) Error() string {
	text := e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

func invalidRequest(description string) *Error {
	return &Error{Code: codeInvalidRequest, Description: description}
}

// refusedLogin is the one answer for a wrong password and for an account that is
// unknown, disabled, locked or refused by the policy: nothing in it may tell
// them apart.
func refusedLogin(cause error) *Error {
	return &Error{Code: codeInvalidGrant, Description: "the username or password is wrong, or the account can't log in now", Err: cause}
}

// unavailable is for a fault that may be gone when the client tries again.
func unavailable(description string, retryAfter time.Duration, cause error) *Error {
	return &Error{
		Code: codeTemporarilyUnavailable, Status: http.StatusServiceUnavailable,
		Description: description, RetryAfter: max(retryAfter, time.Second), Err: cause,
	}
}

func serverError(doing string, cause error) *Error {
	return &Error{
		Code: codeServerError, Status: http.StatusInternalServerError,
		Description: "the server failed; its log says why", Err: fmt.Errorf("%s: %w", doing, cause),
	}
}

// status is the HTTP status of the answer.
func (e *Error) status() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Challenge:
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// describable replaces what RFC 6749 section 5.2 does not allow in an
// error_description: all but %x20-21, %x23-5B and %x5D-7E.
func describable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20 || r > 0x7E:
			return '?'
		}
		return r
	}, text)
}
