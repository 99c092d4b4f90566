package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// registerHealth adds the probes. They are public because data/routes.yaml says
// so.
func (s *Server) registerHealth(routes gin.IRouter) {
	routes.GET("/livez", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	routes.GET("/readyz", s.ready)
}

// ready answers 200 while requests can be served. A refused policy does not
// make the server unready: it decides well, by the last good one.
func (s *Server) ready(c *gin.Context) {
	if s.draining.Load() {
		c.String(http.StatusServiceUnavailable, "shutting down\n")
		return
	}
	if _, err := s.store.Setting(c.Request.Context(), issuerSetting); err != nil {
		s.logger.Error("the store does not answer", "error", err)
		c.String(http.StatusServiceUnavailable, "the store does not answer\n")
		return
	}
	c.String(http.StatusOK, "ok\n")
}
