package oauth

import (
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/server/gate"
)

// Refusals tells the gate how to refuse a request to one of the endpoints, by
// declared pattern: with OAuth's own JSON instead of a problem document.
func (s *Service) Refusals() map[string]gate.RefusalWriter {
	return map[string]gate.RefusalWriter{tokenPath: writeRefusal, revocationPath: writeRefusal, introspectionPath: writeRefusal}
}

// writeRefusal answers with the status that the gate chose. A challenge goes
// with 401 only: clients take any WWW-Authenticate for one.
func writeRefusal(w http.ResponseWriter, _ *http.Request, refusal *gate.Refusal) {
	status := refusal.Problem.Status
	if refusal.Challenge != nil && status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", refusal.Challenge.String())
	}
	writeJSON(w, status, errorAnswer{Error: refusalCode(status), Description: describable(refusalDescription(refusal))})
}

// refusalCode is the error code of RFC 6749 that says best what a status does.
func refusalCode(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return codeInvalidClient
	case status == http.StatusForbidden:
		return codeUnauthorizedClient
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return codeTemporarilyUnavailable
	case status >= http.StatusInternalServerError:
		return codeServerError
	}
	return codeInvalidRequest
}

func refusalDescription(refusal *gate.Refusal) string {
	p := &refusal.Problem
	if len(p.Reasons) > 0 {
		messages := make([]string, 0, len(p.Reasons))
		for _, reason := range p.Reasons {
			messages = append(messages, reason.Message)
		}
		return strings.Join(messages, "; ")
	}
	if p.Status == http.StatusMethodNotAllowed {
		return "send a POST request"
	}
	for _, text := range []string{p.Detail, p.Title} {
		if text != "" {
			return text
		}
	}
	return http.StatusText(p.Status)
}
