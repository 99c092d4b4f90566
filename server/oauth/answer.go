package oauth

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tokenAnswer is a successful answer (RFC 6749 section 5.1). Scope is always
// sent, so that a client need not know when it differs from what it asked for.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
	// RefreshToken is left out where there is none.
	RefreshToken string `json:"refresh_token,omitempty"`
}

// errorAnswer is any other (RFC 6749 section 5.2).
type errorAnswer struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// writeError answers a refused request. Only an answer with status 401 carries a
// challenge: clients take any WWW-Authenticate for one.
func (s *Service) writeError(w http.ResponseWriter, e *Error) {
	status := e.status()
	if status == http.StatusUnauthorized && e.Challenge {
		w.Header().Set("WWW-Authenticate", "Basic realm="+quote(s.realm)+`, charset="UTF-8"`)
	}
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	writeJSON(w, status, errorAnswer{Error: e.Code, Description: describable(e.Description)})
}

// writeJSON writes an answer that nobody may store (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // strings and numbers only: it can't happen
		status, text = http.StatusInternalServerError, []byte(`{"error":"`+codeServerError+`"}`)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	forbidStoring(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a lost connection is no news
}

func forbidStoring(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// quote makes a quoted-string (RFC 9110 section 5.6.4).
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
