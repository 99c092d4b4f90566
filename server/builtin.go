package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/pdp"
	"github.com/stagedoor/stagedoor/server/route"
)

// BuiltInRoutes are the patterns that the server itself serves, which no upstream
// can. They have to be known before the policy is loaded, so they are written here;
// build refuses to start with a handler that is not among them.
func BuiltInRoutes(demo bool) []string {
	patterns := []string{
		gateway.ForwardAuthPath, gateway.ForwardAuthPath + "/{path...}",
		"/token", "/revoke", "/introspect",
		"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/jwks.json",
		"/livez", "/readyz", "/metrics",
		"/openapi.json", "/docs", "/docs/{path...}",
		"/users/me", "/users/me/password",
		"/admin/v1/users", "/admin/v1/users/{id}", "/admin/v1/users/{id}/password", "/admin/v1/users/{id}/sessions",
		"/admin/v1/sessions/{id}",
		"/admin/v1/clients", "/admin/v1/clients/{id}", "/admin/v1/clients/{id}/secret",
		"/admin/v1/keys", "/admin/v1/keys/{id}", "/admin/v1/policy", "/admin/v1/events",
	}
	patterns = append(patterns, pdp.Paths()...)
	if demo {
		patterns = append(patterns, "/", "/admin-only", "/client-only", "/items/", "/items/{id}")
	}
	return patterns
}

// onlyDeclared serves what the server itself has only where a route for it was decided,
// on whatever host. One that is wider (/{path...}, on a host that is protected for
// somebody else) was declared for other things: who may call /admin/v1/users is not
// said by it.
func onlyDeclared(c *gin.Context) {
	passage := gate.FromGin(c)
	if passage == nil || passage.Request.Route == "" || c.FullPath() == "" {
		return
	}
	if _, path := route.SplitPattern(passage.Request.Route); !within(path, c.FullPath()) {
		c.Abort()
		refuse(http.StatusNotFound)(c)
	}
}

// within reports whether all paths of a pattern are those of one of Gin's.
func within(pattern, served string) bool {
	for {
		part, rest, more := strings.Cut(pattern, "/")
		own, ownRest, ownMore := strings.Cut(served, "/")
		switch {
		case strings.HasPrefix(own, "*"):
			return true
		case strings.HasPrefix(own, ":"):
			if strings.HasSuffix(part, "...}") {
				return false
			}
		case part != own:
			if text, err := url.PathUnescape(part); err != nil || text != own {
				return false
			}
		}
		if !more || !ownMore {
			return more == ownMore
		}
		pattern, served = rest, ownRest
	}
}

// checkBuiltIn compares what Gin serves with BuiltInRoutes.
func checkBuiltIn(routes *gin.Engine, patterns []string) error {
	for _, r := range routes.Routes() {
		parts := strings.Split(r.Path, "/")
		for i, part := range parts {
			switch {
			case strings.HasPrefix(part, ":"):
				parts[i] = "{" + part[1:] + "}"
			case strings.HasPrefix(part, "*"):
				parts[i] = "{" + part[1:] + "...}"
			}
		}
		if pattern := strings.Join(parts, "/"); !slices.Contains(patterns, pattern) {
			return fmt.Errorf("building the server: %s is served, but is not in BuiltInRoutes", pattern)
		}
	}
	return nil
}
