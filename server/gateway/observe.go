package gateway

import (
	"net/http"
	"time"
)

// Event is something that [Options.Observe] is told.
type Event struct {
	Kind EventKind
	// Upstream is the upstream's name; empty for a Question.
	Upstream string
	// Outcome is that of an Exchange or a Question.
	Outcome Outcome
	// Wait is how long an Exchange took until the answer's header was there; 0 where
	// the upstream gave none.
	Wait time.Duration
}

// EventKind says what an [Event] is about.
type EventKind int

// The kinds of events.
const (
	// Exchange is a request whose route has an upstream. It comes once for each, when
	// the answer's header is there or it is certain that none will come.
	Exchange EventKind = iota
	// Cut is an answer that ended before its end, after its Exchange.
	Cut
	// Opened and Closed are the ends of an upgraded connection.
	Opened
	Closed
	// Question is a forward-auth question that was answered.
	Question
)

// Outcome is how a request or a question ended.
type Outcome string

// The outcomes of an Exchange: the class of the upstream's status, or why there is
// none.
const (
	Informational Outcome = "1xx" // an upgrade
	Successful    Outcome = "2xx"
	Redirected    Outcome = "3xx"
	ClientError   Outcome = "4xx"
	ServerError   Outcome = "5xx"
	// Unreachable is answered 502, TimedOut 504.
	Unreachable Outcome = "unreachable"
	TimedOut    Outcome = "timeout"
	// Aborted is a caller that went away.
	Aborted Outcome = "aborted"
	// Refused is what the gateway did not pass on, or not whole: the body is too large,
	// malformed or did not come in time, the caller can't be told, or it is a CONNECT.
	Refused Outcome = "refused"
)

// The outcomes of a Question.
const (
	Allowed   Outcome = "allow"
	Denied    Outcome = "deny"
	Failed    Outcome = "error" // answered 5xx
	Malformed Outcome = "malformed"
	Untrusted Outcome = "untrusted" // asked by somebody who is no trusted proxy
)

// ExchangeOutcomes are the outcomes of an Exchange.
func ExchangeOutcomes() []Outcome {
	return []Outcome{Informational, Successful, Redirected, ClientError, ServerError, Unreachable, TimedOut, Aborted, Refused}
}

// QuestionOutcomes are the outcomes of a Question.
func QuestionOutcomes() []Outcome {
	return []Outcome{Allowed, Denied, Failed, Malformed, Untrusted}
}

// class is the outcome of an answer with a status.
func class(status int) Outcome {
	switch status / 100 {
	case 1:
		return Informational
	case 2:
		return Successful
	case 3:
		return Redirected
	case 4:
		return ClientError
	}
	return ServerError
}

// observe tells an exchange's event.
func (e *exchange) observe(event Event) {
	if observe := e.gateway.o.Observe; observe != nil {
		event.Upstream = e.upstream.Name
		observe(event)
	}
}

// ends tells how the exchange ended, once.
func (e *exchange) ends(outcome Outcome, wait time.Duration) {
	if !e.ended {
		e.ended = true
		e.observe(Event{Kind: Exchange, Outcome: outcome, Wait: wait})
	}
}

// answered tells of an answer whose header is there.
func (e *exchange) answered(status int) {
	e.ends(class(status), time.Since(e.began))
	e.passing = true
	if status == http.StatusSwitchingProtocols {
		e.upgraded = true
		e.observe(Event{Kind: Opened})
	}
}

// leave tells what an answer that had begun came to. ReverseProxy panics where one
// ended before its end.
func (e *exchange) leave() {
	switch {
	case e.upgraded:
		e.observe(Event{Kind: Closed})
	case e.passing:
		e.observe(Event{Kind: Cut})
	}
}
