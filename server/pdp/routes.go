package pdp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/route"
)

// routesTime bounds how long it may take to ask about all routes, and to wait for that:
// it costs as many decisions as there are routes, which must leave room for those of
// requests.
const routesTime = 10 * time.Second

// openRoute is what a caller may do with one declared route.
type openRoute struct {
	Route string `json:"route"`
	// Methods are those that the caller may use; Depends those of which it can't be
	// said without the resource, for nothing else stands in the way.
	Methods []string `json:"methods,omitempty"`
	Depends []string `json:"depends,omitempty"`
}

// serveRoutes is GET /access/routes: which of the declared routes the caller may
// use. It asks the gate's very decision of each, so it can't contradict one, but for
// what only a real request has: parameters, a query, a resource.
func (a *API) serveRoutes(g *gin.Context) {
	c := a.newCall(g)
	open, err := a.openRoutes(c)
	if err != nil {
		a.refuse(g, c, err)
		return
	}
	writeJSON(g.Writer, map[string]any{"routes": open}, "no-store")
}

func (a *API) openRoutes(c *call) ([]openRoute, error) {
	if c.snapshot == nil {
		return nil, errOutside
	}
	ctx, cancel := context.WithTimeout(c.ctx, routesTime)
	defer cancel()
	select {
	case a.lists <- struct{}{}:
		defer func() { <-a.lists }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for other callers' lists of routes: %w", ctx.Err())
	}
	open := []openRoute{}
	for _, pattern := range c.snapshot.Routes() {
		r := openRoute{Route: pattern}
		methods := c.snapshot.Methods(pattern)
		for _, method := range methods {
			if method == http.MethodHead && slices.Contains(methods, http.MethodGet) {
				continue // is GET's
			}
			d, err := c.snapshot.Decide(ctx, anyRequest(c.passage.Request, pattern, method))
			switch {
			case err != nil:
				return nil, fmt.Errorf("deciding %s %s: %w", method, pattern, err)
			case d.Allow:
				r.Methods = append(r.Methods, method)
			case dependsOnResource(&d):
				r.Depends = append(r.Depends, method)
			}
		}
		if r.Methods != nil || r.Depends != nil {
			open = append(open, r)
		}
	}
	return open, nil
}

// anyRequest is a request by the same caller for a route, of which only that is known.
func anyRequest(own *authz.Request, pattern, method string) *authz.Request {
	r := &authz.Request{
		Method: method, Route: pattern, Host: own.Host, Headers: own.Headers,
		Subject: own.Subject, Claims: own.Claims, TokenError: own.TokenError, ClientIP: own.ClientIP, Now: own.Now,
	}
	host, path := route.SplitPattern(pattern)
	if host != "" {
		r.Host = route.Host(host)
	}
	if strings.Contains(path, "{") {
		return r
	}
	// The one path that it matches. A pattern may be spelled as no request is.
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if text, err := url.PathUnescape(segment); err == nil {
			segments[i], _ = route.EscapeSegment(text)
		}
	}
	if target, err := route.ParseTarget(strings.Join(segments, "/")); err == nil {
		r.Path, r.Segments = target.Path, target.Segments
	}
	return r
}

// dependsOnResource reports whether a denial has no reason but such as could go with
// another resource.
func dependsOnResource(d *authz.Decision) bool {
	for _, reason := range d.Reasons {
		if reason.DependsOn != authz.DependsOnResource {
			return false
		}
	}
	return len(d.Reasons) > 0
}
