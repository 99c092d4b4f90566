package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxFormBytes bounds the body of a token request.
const maxFormBytes = 64 << 10

// formType is the only media type of a token request (RFC 6749 appendix B).
const formType = "application/x-www-form-urlencoded"

// form holds a request's parameters by name. A parameter without a value is not
// in it (RFC 6749 section 3.2: it counts as omitted).
type form map[string][]string

// repeatable names the parameters that may be sent more than once (RFC 8707
// section 2, RFC 8693 section 2.1).
func repeatable(name string) bool { return name == "resource" || name == "audience" }

// get is the value of a parameter, or "" when it was omitted.
func (f form) get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// readForm reads the body of a token request. The target's query is never
// looked at: credentials must not travel there (RFC 6749 section 2.3.1).
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, invalidRequest("send exactly one Content-Type header, and the parameters as " + formType)
	}
	if mediaType, _, err := mime.ParseMediaType(types[0]); err != nil || mediaType != formType {
		return nil, invalidRequest("the Content-Type must be " + formType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &Error{Code: codeInvalidRequest, Status: http.StatusRequestEntityTooLarge, Description: "the body is larger than 64 KiB"}
		}
		return nil, &Error{Code: codeInvalidRequest, Description: "the body could not be read to its end", Err: err}
	}
	return parseForm(string(body))
}

// parseForm is strict where readers of a form differ, so that a request means
// one thing only: a parameter sent twice (even with an empty value, even one
// that nobody knows), a broken percent-encoding and invalid UTF-8 are refused.
// Unknown parameters are kept and ignored.
func parseForm(body string) (form, error) {
	f := form{}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, ok := unescapeForm(rawName)
		if !ok {
			return nil, invalidRequest("a parameter's name is not percent-encoded UTF-8")
		}
		value, ok := unescapeForm(rawValue)
		if !ok {
			return nil, invalidRequest("a parameter's value is not percent-encoded UTF-8")
		}
		if seen[name] && !repeatable(name) {
			return nil, invalidRequest("a parameter was sent more than once")
		}
		seen[name] = true
		if value != "" {
			f[name] = append(f[name], value)
		}
	}
	return f, nil
}

// unescapeForm undoes the encoding of RFC 6749 appendix B.
func unescapeForm(s string) (string, bool) {
	decoded, err := url.QueryUnescape(s)
	return decoded, err == nil && utf8.ValidString(decoded)
}
