package admin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
)

// policyStatus says which policy is live, and why another one is not.
func (a *API) policyStatus(c *call) error {
	return answer(c, http.StatusOK, a.o.Policy.Status())
}

// listEvents lists the audit log, the latest first.
func (a *API) listEvents(c *call) error {
	if err := known(c, "since", "until", "action", "actor_kind", "actor", "account", "client", "outcome", "limit", "before"); err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	query := account.EventQuery{Limit: limit + 1}
	for _, name := range c.passage.Request.Query["action"] {
		named := account.NamedActions(name)
		if named == nil {
			return fault(http.StatusBadRequest, "there is no action %q, but %s", name, strings.Join(account.Actions(), ", "))
		}
		query.Actions = append(query.Actions, named...)
	}
	if query.Since, err = momentOf(c, "since"); err != nil {
		return err
	}
	if query.Until, err = momentOf(c, "until"); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		into *string
	}{{"actor_kind", &query.ActorKind}, {"actor", &query.ActorID}, {"account", &query.AccountID}, {"client", &query.ClientID}, {"outcome", &query.Outcome}, {"before", &query.Before}} {
		if *p.into, _, err = parameter(c, p.name); err != nil {
			return err
		}
	}
	if query.ActorKind != "" && !slices.Contains(account.ActorKinds(), query.ActorKind) {
		return fault(http.StatusBadRequest, "actor_kind must be one of %s", strings.Join(account.ActorKinds(), ", "))
	}
	if query.Outcome != "" && query.Outcome != account.Success && query.Outcome != account.Failure {
		return fault(http.StatusBadRequest, "outcome must be %s or %s", account.Success, account.Failure)
	}
	events, err := a.o.Events.List(c.ctx, query)
	if err != nil {
		return err
	}
	return answerPage(c, events, limit, "before", func(e account.Event) string { return e.ID })
}
