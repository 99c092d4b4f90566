package oauth

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/authz"
)

// metadata is the document of RFC 8414 section 2. OpenID Connect Discovery 1.0
// wants the last two members besides.
//
// It says nothing that is not so. Two members are required without there being
// anything to say. response_types_supported is "none", which OAuth 2.0 Multiple
// Response Type Encoding Practices section 4 registers for an authorization that
// hands out nothing: there is no authorization endpoint yet, and neither the member
// nor its elements may be missing (RFC 8414 sections 2 and 3.2). And
// id_token_signing_alg_values_supported names what the keys of jwks_uri sign with:
// there are no ID tokens, but go-oidc takes the algorithms of every JWT from there,
// and RS256 where it finds none.
type metadata struct {
	Issuer                   string   `json:"issuer"`
	TokenEndpoint            string   `json:"token_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	IntrospectionEndpoint    string   `json:"introspection_endpoint"`
	ResponseTypes            []string `json:"response_types_supported"`
	GrantTypes               []string `json:"grant_types_supported,omitempty"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms      []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

// assertionAlgorithms are those of client assertions that every [Assertions] has.
// Ed25519 is the name that RFC 9864 has for EdDSA with that curve.
func assertionAlgorithms() []string { return []string{"EdDSA", "Ed25519", "ES256", "RS256", "PS256"} }

// serveMetadata is GET of both metadata paths.
func (s *Service) serveMetadata(w http.ResponseWriter, r *http.Request) {
	grants, err := s.openGrants(r.Context())
	if err != nil {
		s.writeError(w, asError(err))
		return
	}
	confidential := []string{authBasic, authPost}
	var algorithms []string
	if s.assertions != nil {
		confidential, algorithms = append(confidential, authAssertion), assertionAlgorithms()
	}
	all := append([]string{authNone}, confidential...)
	text, err := json.Marshal(metadata{
		Issuer: s.issuer, TokenEndpoint: s.url(tokenPath), JWKSURI: s.url(jwksPath),
		RevocationEndpoint: s.url(revocationPath), IntrospectionEndpoint: s.url(introspectionPath),
		ResponseTypes: []string{"none"}, GrantTypes: grants,
		TokenAuthMethods: all, TokenAuthAlgorithms: algorithms,
		RevocationAuthMethods: all, RevocationAuthAlgs: algorithms,
		IntrospectionAuthMethods: confidential, IntrospectionAuthAlgs: algorithms,
		SubjectTypes: []string{"public"}, IDTokenAlgorithms: s.signingAlgorithms(),
	})
	if err != nil { // strings only: it can't happen
		s.writeError(w, serverError("writing the metadata", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(append(text, '\n')) // a lost connection is no news
}

// openGrants are the grant types that are built and that the policy has open: it is
// asked about each for a client that may use all, before anybody has authenticated.
func (s *Service) openGrants(ctx context.Context) ([]string, error) {
	built := slices.Sorted(maps.Keys(s.grants))
	var open []string
	for _, grantType := range built {
		err := s.open(ctx, clientCredentials{}, authz.GrantRequest{
			GrantType: grantType, Now: s.now(),
			Client: &authz.GrantClient{ID: FirstPartyClient, Confidential: true, Grants: built, Scopes: []string{"*"}, Audiences: []string{s.audience}},
		})
		if err == nil {
			open = append(open, grantType)
			continue
		}
		switch e := asError(err); {
		case e.status() >= http.StatusInternalServerError:
			return nil, err
		case e.Code != codeUnsupportedGrantType: // closed to this client, and not to all
			open = append(open, grantType)
		}
	}
	return open, nil
}

// signingAlgorithms are those of the keys that are published now.
func (s *Service) signingAlgorithms() []string {
	var set struct {
		Keys []struct {
			Algorithm string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(s.jwks(), &set); err != nil {
		return nil
	}
	var algorithms []string
	for _, key := range set.Keys {
		if key.Algorithm != "" && !slices.Contains(algorithms, key.Algorithm) {
			algorithms = append(algorithms, key.Algorithm)
		}
	}
	slices.Sort(algorithms)
	return algorithms
}

// url is where an endpoint is: below the issuer, which is where clients reach this
// server (see [Service.AtIssuer]).
func (s *Service) url(path string) string { return strings.TrimSuffix(s.issuer, "/") + path }

// AtIssuer lets the endpoints, and those of others that are named besides, answer below the path of the issuer too, where it has
// one: of https://example.com/auth, at /auth/token as well as at /token, whether or
// not a proxy in front strips /auth. Metadata is there at the paths of RFC 8414
// section 3.1, which inserts the well-known name before the issuer's path, and of
// OpenID Connect Discovery section 4, which appends it. A request is rewritten
// before anything has looked at it, so that it is decided as what it becomes.
func (s *Service) AtIssuer(next http.Handler, besides ...string) http.Handler {
	aliases := s.aliases(besides)
	if len(aliases) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, query, hasQuery := strings.Cut(r.RequestURI, "?")
		path, known := aliases[sent]
		if !known {
			next.ServeHTTP(w, r)
			return
		}
		rewritten := *r
		rewritten.URL = &url.URL{Path: path, RawQuery: query, ForceQuery: hasQuery && query == ""}
		rewritten.RequestURI = rewritten.URL.RequestURI()
		next.ServeHTTP(w, &rewritten)
	})
}

// aliases are the paths below the issuer's, and what they stand for.
func (s *Service) aliases(besides []string) map[string]string {
	parsed, err := url.Parse(s.issuer)
	if err != nil {
		return nil
	}
	below := strings.TrimSuffix(parsed.EscapedPath(), "/")
	if below == "" {
		return nil
	}
	aliases := map[string]string{}
	for _, path := range append([]string{tokenPath, revocationPath, introspectionPath, jwksPath, metadataPath, discoveryPath}, besides...) {
		aliases[below+path] = path
		if strings.HasPrefix(path, "/.well-known/") && path != jwksPath {
			aliases[path+below] = path
		}
	}
	return aliases
}
