package pdp

import (
	"errors"
	"time"
)

// Event is an answered question, as [Options.Observe] is told it.
type Event struct {
	Endpoint Endpoint
	Outcome  Outcome
	// Took is from the question's arrival to its answer.
	Took time.Duration
	// Allowed and Denied are how many decisions were made for it: one for an
	// evaluation, one for each item of a batch, and one for each name that a search
	// looked at. Those of a question that failed are among them.
	Allowed, Denied int
}

// Endpoint is what was asked for.
type Endpoint string

// The endpoints: the three searches are one.
const (
	Evaluation  Endpoint = "evaluation"
	Evaluations Endpoint = "evaluations"
	Search      Endpoint = "search"
)

// Endpoints are all of them.
func Endpoints() []Endpoint { return []Endpoint{Evaluation, Evaluations, Search} }

// Outcome is how a question ended.
type Outcome string

// The outcomes: Answered says nothing about what was decided, Invalid is the caller's
// fault (4xx), Failed ours (5xx).
const (
	Answered Outcome = "answered"
	Invalid  Outcome = "invalid"
	Failed   Outcome = "error"
)

// Outcomes are all of them.
func Outcomes() []Outcome { return []Outcome{Answered, Invalid, Failed} }

func (a *API) observe(endpoint Endpoint, c *call, err error, began time.Time) {
	if a.o.Observe == nil {
		return
	}
	e := Event{Endpoint: endpoint, Outcome: Answered, Took: a.o.Now().Sub(began), Allowed: c.allowed, Denied: c.denied}
	if f := (*fault)(nil); errors.As(err, &f) {
		e.Outcome = Invalid
	} else if err != nil {
		e.Outcome = Failed
	}
	a.o.Observe(e)
}
