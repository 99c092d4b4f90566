package gate

import (
	"errors"
	"net/http"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/route"
)

// Question is what the policy would be asked about the request; it is not asked,
// and nothing is answered. The request needs a RequestURI, as a server's has. A
// target or Host that is not canonical is a [*route.TargetError]: such a request never
// comes before the policy.
func (g *Gate) Question(r *http.Request) (*authz.Request, error) {
	target, err := route.ParseTarget(r.RequestURI)
	if err != nil {
		return nil, err
	}
	host, err := route.ParseHost(r.Host)
	if err != nil {
		return nil, err
	}
	v := &visit{gate: g, r: r, snapshot: g.o.Policy.Current()}
	if v.snapshot == nil {
		return nil, errors.New("gate: there is no policy")
	}
	v.question.Now = g.o.Now()
	v.read(&target, host)
	if err := v.gather(); err != nil {
		return nil, err
	}
	return &v.question, nil
}
