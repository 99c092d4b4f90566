package pdp

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

const (
	// maxEvaluations bounds a batch.
	maxEvaluations = 1000
	// batchTime bounds how long one may take; what is not decided by then is 503.
	batchTime = 10 * time.Second
)

// The semantics of a batch (AuthZEN 1.0 section 7.1.2.1).
const (
	executeAll          = "execute_all"
	denyOnFirstDeny     = "deny_on_first_deny"
	permitOnFirstPermit = "permit_on_first_permit"
)

// decision is the answer to one question.
type decision struct {
	Decision bool           `json:"decision"`
	Context  map[string]any `json:"context,omitempty"`
}

// batchAnswer is the answer to a batch.
type batchAnswer struct {
	Evaluations []decision `json:"evaluations"`
}

// evaluation is POST /access/v1/evaluation.
func (a *API) evaluation(c *call) (any, error) {
	p, err := readParts("", c.body, "")
	if err != nil {
		return nil, err
	}
	q, err := p.question("")
	if err != nil {
		return nil, err
	}
	return a.decide(c, slog.LevelInfo, q)
}

// evaluations is POST /access/v1/evaluations.
func (a *API) evaluations(c *call) (any, error) {
	b, err := readBatch(c.body)
	if err != nil {
		return nil, err
	}
	if len(b.items) == 0 {
		return a.evaluation(c)
	}
	ctx, cancel := context.WithTimeout(c.ctx, batchTime)
	defer cancel()
	c.ctx = ctx
	answer := batchAnswer{Evaluations: make([]decision, 0, len(b.items))}
	allowed := 0
	for _, item := range b.items {
		d, err := a.decideItem(c, item, b.defaults)
		if err != nil {
			return nil, err
		}
		answer.Evaluations = append(answer.Evaluations, d)
		if d.Decision {
			allowed++
		}
		if b.semantic == denyOnFirstDeny && !d.Decision || b.semantic == permitOnFirstPermit && d.Decision {
			break
		}
	}
	a.o.Logger.LogAttrs(c.ctx, slog.LevelInfo, "access batch decided", slog.Int("asked", len(b.items)),
		slog.Int("allowed", allowed), slog.Int("denied", len(answer.Evaluations)-allowed), c.from())
	return answer, nil
}

// batch is a request for several decisions.
type batch struct {
	defaults parts
	items    []item
	semantic string
}

// item is one of them, before the defaults. lacking says what a member of it lacks.
type item struct {
	parts
	lacking error
}

func readBatch(body map[string]any) (*batch, error) {
	b := &batch{semantic: executeAll}
	options, err := objectMember("", body, "options")
	if err != nil {
		return nil, err
	}
	if v, there := options["evaluations_semantic"]; there {
		text, ok := v.(string)
		if !ok {
			return nil, wrongType("options.evaluations_semantic", v, "a string")
		}
		switch text {
		case executeAll, denyOnFirstDeny, permitOnFirstPermit:
			b.semantic = text
		default:
			return nil, invalid("options.evaluations_semantic must be one of %s, %s, %s", executeAll, denyOnFirstDeny, permitOnFirstPermit)
		}
	}
	if b.defaults, err = readParts("", body, ""); err != nil {
		return nil, err
	}
	v, there := body["evaluations"]
	if !there {
		return b, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, wrongType("evaluations", v, "an array")
	}
	if len(list) > maxEvaluations {
		return nil, invalid("evaluations has %d items; ask for at most %d at a time", len(list), maxEvaluations)
	}
	for i, v := range list {
		name := fmt.Sprintf("evaluations[%d]", i)
		o, ok := v.(map[string]any)
		if !ok {
			return nil, wrongType(name, v, "an object")
		}
		p, err := readParts(name+".", o, "")
		if err != nil && !isMissing(err) {
			return nil, err
		}
		b.items = append(b.items, item{p, err})
	}
	return b, nil
}

// decideItem denies a question that lacks something.
func (a *API) decideItem(c *call, i item, defaults parts) (decision, error) {
	whole := i.or(defaults)
	q, err := whole.question("")
	if i.lacking != nil {
		err = i.lacking
	}
	if err == nil {
		return a.decide(c, slog.LevelDebug, q)
	}
	c.count(false)
	d := decision{}
	if wantsReasons(whole.context) {
		d.Context = map[string]any{"reasons": []authz.Reason{{Code: "incomplete", Message: err.Error()}}}
	}
	return d, nil
}

// decide asks the policy. The level is that of the decision's line in the log.
func (a *API) decide(c *call, level slog.Level, q *authz.AccessRequest) (decision, error) {
	access, err := c.questions.Decide(c.ctx, q)
	if err != nil {
		return decision{}, err
	}
	c.count(access.Allow)
	a.logDecision(c, level, q, &access)
	d := decision{Decision: access.Allow, Context: access.Context}
	if wantsReasons(q.Context) && len(access.Reasons) > 0 {
		d.Context = maps.Clone(d.Context)
		if d.Context == nil {
			d.Context = map[string]any{}
		}
		d.Context["reasons"] = access.Reasons
	}
	return d, nil
}
