package gate

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// preflightMaxAge is how long browsers may remember a preflight's answer, in
// seconds. Short: the policy may change meanwhile.
const preflightMaxAge = 60

// newCORS returns nil without origins. Cookies are never admitted; a token is
// sent by the page itself, as a header.
func newCORS(origins []string) (*cors.Cors, error) {
	if len(origins) == 0 {
		return nil, nil // the library would admit every origin
	}
	for _, origin := range origins {
		if !isOrigin(origin) {
			return nil, fmt.Errorf(`gate: CORSOrigins: %q is no origin; write it as in "https://app.example.com", without a path`, origin)
		}
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "QUERY",
		},
		AllowedHeaders:     []string{"*"},
		ExposedHeaders:     []string{"WWW-Authenticate", headerRequestID, headerDecisionID},
		MaxAge:             preflightMaxAge,
		OptionsPassthrough: true,
	}), nil
}

// isOrigin is RFC 6454 section 6.1, with at most one asterisk.
func isOrigin(origin string) bool {
	if origin == "*" {
		return true
	}
	u, err := url.Parse(strings.Replace(origin, "*", "x", 1))
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(origin, "?#") &&
		!strings.Contains(u.Host, "*")
}

// preflight is the method that an admitted CORS preflight asks about; empty for
// every other request.
func (g *Gate) preflight(r *http.Request) string {
	if g.cors == nil || r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || !g.cors.OriginAllowed(r) {
		return ""
	}
	return r.Header.Get("Access-Control-Request-Method")
}
