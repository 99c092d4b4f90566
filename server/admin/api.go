package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// Authenticator checks the old password of who wants a new one.
// [account.Authenticator] is one.
type Authenticator interface {
	Authenticate(ctx context.Context, login, password string, addr netip.Addr) (*account.Attempt, error)
}

// Keys administers the signing keys. [token.Keyring] is one.
type Keys interface {
	Keys(ctx context.Context) ([]token.KeyStatus, error)
	Rotate(ctx context.Context, atOnce bool) (token.Key, error)
	Retire(ctx context.Context, kid string) error
}

// Policy says how the policy does. [policy.Engine] is one.
type Policy interface {
	Status() policy.Status
}

// Options are what an [API] is made of. All but Logger are required.
type Options struct {
	Accounts      *account.Directory
	Authenticator Authenticator
	Clients       *account.Clients
	Sessions      *account.Sessions
	Events        *account.Events
	Keys          Keys
	Policy        Policy
	// Logger gets a line for each failure. Default: discarded.
	Logger *slog.Logger
}

// API is the REST interface. It is safe for concurrent use.
type API struct {
	o      Options
	logger *slog.Logger
}

// New makes an API.
func New(o Options) *API {
	a := &API{o: o, logger: o.Logger}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	return a
}

// Register adds the routes.
func (a *API) Register(routes gin.IRouter) {
	for _, r := range []struct {
		method, path string
		handle       handler
	}{
		{http.MethodGet, "/users/me", a.me},
		{http.MethodPost, "/users/me/password", a.changeOwnPassword},

		{http.MethodGet, "/admin/v1/users", a.listAccounts},
		{http.MethodPost, "/admin/v1/users", a.createAccount},
		{http.MethodGet, "/admin/v1/users/:id", a.getAccount},
		{http.MethodPatch, "/admin/v1/users/:id", a.patchAccount},
		{http.MethodDelete, "/admin/v1/users/:id", a.removeAccount},
		{http.MethodPut, "/admin/v1/users/:id/password", a.setPassword},
		{http.MethodGet, "/admin/v1/users/:id/sessions", a.listSessions},
		{http.MethodDelete, "/admin/v1/users/:id/sessions", a.revokeSessions},

		{http.MethodGet, "/admin/v1/sessions/:id", a.getSession},
		{http.MethodDelete, "/admin/v1/sessions/:id", a.revokeSession},

		{http.MethodGet, "/admin/v1/clients", a.listClients},
		{http.MethodPost, "/admin/v1/clients", a.createClient},
		{http.MethodGet, "/admin/v1/clients/:id", a.getClient},
		{http.MethodPatch, "/admin/v1/clients/:id", a.patchClient},
		{http.MethodDelete, "/admin/v1/clients/:id", a.removeClient},
		{http.MethodPost, "/admin/v1/clients/:id/secret", a.rotateSecret},

		{http.MethodGet, "/admin/v1/keys", a.listKeys},
		{http.MethodPost, "/admin/v1/keys", a.rotateKey},
		{http.MethodDelete, "/admin/v1/keys/:id", a.retireKey},

		{http.MethodGet, "/admin/v1/policy", a.policyStatus},
		{http.MethodGet, "/admin/v1/events", a.listEvents},
	} {
		routes.Handle(r.method, r.path, a.serve(r.handle))
	}
}

// handler answers a request, or returns an error that says how to: see refusal.
type handler func(c *call) error

// call is one request, with who sent it.
type call struct {
	*gin.Context
	passage *gate.Passage
	// ctx names the caller as the actor of what is changed.
	ctx context.Context
}

// id is the value of {id}, as the policy has decided on it.
func (c *call) id() string { return c.passage.Request.Params["id"] }

// caller is who the gate let pass; nil where the policy let somebody unknown pass.
func (c *call) caller() *authz.Subject { return c.passage.Request.Subject }

// claim is a claim of the presented token that is a text.
func (c *call) claim(name string) string {
	if claims := c.passage.Request.Claims; claims != nil {
		text, _ := claims.Values[name].(string)
		return text
	}
	return ""
}

// serve is a handler for Gin.
func (a *API) serve(handle handler) gin.HandlerFunc {
	return func(g *gin.Context) {
		passage := gate.FromGin(g)
		if passage == nil || passage.Request == nil {
			a.refuse(g, fault(http.StatusInternalServerError, "this route must be served behind the gate"))
			return
		}
		c := &call{Context: g, passage: passage}
		c.ctx = account.WithActor(g.Request.Context(), c.actor())
		if err := handle(c); err != nil {
			a.refuse(g, err)
		}
	}
}

// actor is who the audit log names. A subject of another issuer is named with the
// issuer, without which its id says nothing; the client that its token names is the
// issuer's, and may well be called like one of ours.
func (c *call) actor() account.Actor {
	actor := account.Actor{Kind: account.ActorAnonymous, RequestID: c.passage.RequestID}
	if c.passage.ClientIP.IsValid() {
		actor.ClientIP = c.passage.ClientIP.String()
	}
	subject := c.caller()
	switch {
	case subject == nil:
	case subject.Kind == authz.KindExternal:
		actor.Kind, actor.ID = account.ActorExternal, subject.UniqueID()
	default:
		actor.Kind, actor.ID, actor.ClientID = string(subject.Kind), subject.ID, c.claim("client_id")
	}
	return actor
}
