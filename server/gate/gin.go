package gate

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// WrapGin puts the gate around a Gin program:
//
//	http.ListenAndServe(address, door.WrapGin(engine))
//
// Gin's redirects to other spellings of a path are turned off: they would be
// answers that the policy was never asked about. So is its trust in forwarding
// headers; the caller's address is [Passage].ClientIP.
func (g *Gate) WrapGin(engine *gin.Engine) http.Handler {
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.RemoveExtraSlash = false
	engine.ForwardedByClientIP = false
	return g.Wrap(engine)
}

// Middleware is the gate as a Gin middleware, for a program that can't be
// wrapped. Register it first, with engine.Use before any route, and turn off
// engine.RedirectTrailingSlash and RedirectFixedPath: Gin answers with those
// before any middleware. Prefer [Gate.WrapGin].
func (g *Gate) Middleware() gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		g.serve(c.Writer, c.Request, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c.Request = r
			c.Next()
			passed = true // not after a panic, whose answer is the last word
		}))
		if !passed {
			c.Abort()
		}
	}
}

// FromGin returns the passage of a Gin handler's request; nil outside of a gate.
func FromGin(c *gin.Context) *Passage { return FromContext(c.Request.Context()) }
