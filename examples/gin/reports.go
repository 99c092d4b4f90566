package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

// report is what somebody has spent and wants back.
type report struct {
	ID         string `json:"id"`
	Owner      string `json:"owner"`
	Amount     int    `json:"amount" binding:"required,gt=0"`
	ApprovedBy string `json:"approved_by,omitempty"`
}

// reports are all reports, by id. The zero value is ready.
type reports struct {
	mu   sync.Mutex
	byID map[string]report
}

func (r *reports) find(id string) (report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.byID[id]
	return found, ok
}

func (r *reports) add(made report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]report{}
	}
	r.byID[made.ID] = made
}

// settle notes who approved a report. It is false where somebody was faster: the
// policy has judged what the loader saw, a moment ago.
func (r *reports) settle(id, by string) (report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.byID[id]
	if !ok || found.ApprovedBy != "" {
		return found, false
	}
	found.ApprovedBy = by
	r.byID[id] = found
	return found, true
}

// resource tells the policy of the report that a request is about.
func (r *reports) resource(_ context.Context, asked *authz.Request) (map[string]any, error) {
	found, ok := r.find(asked.Params["id"])
	if !ok {
		return nil, nil
	}
	return map[string]any{"owner": found.Owner, "amount": found.Amount, "approved": found.ApprovedBy != ""}, nil
}

// router is the API. It asks nobody who they are: whoever gets here may.
func (r *reports) router() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/reports", r.create)
	router.GET("/reports/:id", r.read)
	router.POST("/reports/:id/approval", r.approve)
	return router
}

func (r *reports) create(c *gin.Context) {
	var made report
	if err := c.ShouldBindJSON(&made); err != nil {
		c.String(http.StatusBadRequest, "send JSON such as {\"amount\": 20}: %v", err)
		return
	}
	made = report{ID: rand.Text(), Owner: caller(c), Amount: made.Amount}
	r.add(made)
	c.Header("Location", "/reports/"+made.ID)
	c.JSON(http.StatusCreated, made)
}

func (r *reports) read(c *gin.Context) {
	found, _ := r.find(c.Param("id")) // the policy has seen it, and nobody removes one
	c.JSON(http.StatusOK, found)
}

func (r *reports) approve(c *gin.Context) {
	approved, ok := r.settle(c.Param("id"), caller(c))
	if !ok {
		c.String(http.StatusConflict, "the report has been approved meanwhile")
		return
	}
	c.JSON(http.StatusOK, approved)
}

// caller is who asks, as the gate found out.
func caller(c *gin.Context) string { return gate.FromGin(c).Request.Subject.ID }
