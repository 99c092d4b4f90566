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
		if err := CheckOrigin(origin); err != nil {
			return nil, fmt.Errorf("gate: CORSOrigins: %w", err)
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

// CheckOrigin reports what can't be an entry of Options.CORSOrigins: it is "*",
// an origin (RFC 6454 section 6.1), or one whose host's leftmost label is an
// asterisk, such as https://*.example.com.
func CheckOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	scheme, host, _ := strings.Cut(origin, "://")
	exact := origin
	if parent, wildcard := strings.CutPrefix(host, "*."); wildcard && strings.Contains(parent, ".") {
		exact = scheme + "://" + parent
	}
	u, err := url.Parse(exact)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || exact != u.Scheme+"://"+u.Host || strings.Contains(exact, "*") {
		return fmt.Errorf("%q is not an origin: scheme://host[:port], such as https://app.example.com or https://*.example.com, or * for all", origin)
	}
	return nil
}

// preflight is the method that an admitted CORS preflight asks about; empty for
// every other request.
func (g *Gate) preflight(r *http.Request) string {
	if g.cors == nil || r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || !g.cors.OriginAllowed(r) {
		return ""
	}
	return r.Header.Get("Access-Control-Request-Method")
}
