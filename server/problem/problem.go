package problem

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// ContentType is the media type of RFC 9457 section 6.1.
const ContentType = "application/problem+json"

// Problem is a problem document (RFC 9457 section 3.1) with three members of our
// own.
type Problem struct {
	// Type is a URI; "about:blank" when empty: the status says it all.
	Type string `json:"type"`
	// Title is a short summary; the status's own words when empty.
	Title string `json:"title"`
	// Status is the HTTP status, 400 to 599; anything else is written as 500.
	Status int `json:"status"`
	// Detail says what to do next.
	Detail string `json:"detail,omitempty"`
	// Instance is a URI of this occurrence; left out when empty.
	Instance string `json:"instance,omitempty"`
	// Reasons are the policy's reasons, in its order.
	Reasons []Reason `json:"reasons,omitempty"`
	// DecisionID is the decision's, for whoever looks it up in the log.
	DecisionID string `json:"decision_id,omitempty"`
	// RequestID is the request's, as in X-Request-ID.
	RequestID string `json:"request_id,omitempty"`
}

// Reason is one reason for a denial.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Write answers with p and Cache-Control: no-store. Headers that were set
// before, such as WWW-Authenticate, stay. A client that is gone is no error.
func Write(w http.ResponseWriter, p Problem) {
	body := p.encode()
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.status())
	_, _ = w.Write(body)
}

func (p *Problem) status() int {
	if p.Status < 400 || p.Status > 599 {
		return http.StatusInternalServerError
	}
	return p.Status
}

func (p Problem) encode() []byte {
	p.Status = p.status()
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // the media type is never rendered as HTML
	_ = encoder.Encode(p)        // strings and integers always encode
	return body.Bytes()
}
