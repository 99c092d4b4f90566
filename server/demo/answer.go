package demo

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/problem"
)

// answer writes JSON that nobody may store: it is for one caller.
func answer(c *gin.Context, status int, body any) {
	c.Header("Cache-Control", "no-store")
	c.JSON(status, body)
}

// refuse writes a problem document with the ids that the gate gave the request.
func refuse(c *gin.Context, status int, detail string) {
	p := problem.Problem{Status: status, Detail: detail}
	if passage := gate.FromContext(c.Request.Context()); passage != nil {
		p.RequestID = passage.RequestID
		if passage.Request != nil && passage.Request.Subject != nil {
			p.DecisionID = passage.DecisionID
		}
	}
	problem.Write(c.Writer, p)
}

// fail answers a fault of the server. Its cause goes to the log only.
func (a *API) fail(c *gin.Context, doing string, err error) {
	requestID := ""
	if passage := gate.FromContext(c.Request.Context()); passage != nil {
		requestID = passage.RequestID
	}
	a.logger.ErrorContext(c.Request.Context(), "a demo route failed", "doing", doing, "request_id", requestID, "error", err)
	refuse(c, http.StatusInternalServerError, "the server failed; its log says why")
}
