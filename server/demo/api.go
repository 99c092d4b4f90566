package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

// Directory finds the account behind a caller. [account.Directory] is one.
type Directory interface {
	Find(ctx context.Context, ref string) (account.Account, error)
}

// Options are what an [API] is made of. Accounts is required.
type Options struct {
	// Accounts knows the e-mail address and full name of a caller.
	Accounts Directory
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Rand makes the items' ids. Default [crypto/rand.Reader].
	Rand io.Reader
	// Logger gets a line for each failure. Default: discarded.
	Logger *slog.Logger
}

// API is the demo's API and its items. It is safe for concurrent use.
type API struct {
	accounts Directory
	items    *items
	logger   *slog.Logger
}

// New makes an API with a few items in it.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &API{accounts: o.Accounts, items: newItems(o.Now, o.Rand), logger: o.Logger}
}

// itemRoute is the pattern, as data/routes.yaml declares it, whose requests are
// about one item.
const itemRoute = "/items/{id}"

// Register adds the demo's routes. They must be served behind the gate.
func (a *API) Register(routes gin.IRouter) {
	routes.GET("/", index)
	routes.GET("/admin-only", greet("Hello, admin!"))
	routes.GET("/client-only", greet("Hello, client!"))
	routes.GET("/items/", a.listItems)
	routes.POST("/items/", a.createItem)
	routes.GET("/items/:id", a.getItem)
	routes.DELETE("/items/:id", a.deleteItem)
}

// Loaders finds, for the gate, the facts about the resource that a request is
// about; the policy judges them.
func (a *API) Loaders() map[string]gate.Loader {
	return map[string]gate.Loader{
		itemRoute: func(ctx context.Context, r *authz.Request) (map[string]any, error) {
			it, found := a.items.find(r.Params["id"])
			if !found {
				return nil, nil
			}
			facts := map[string]any{"type": "item", "id": it.ID}
			owner, err := a.ownerOf(ctx, it)
			if err != nil {
				return nil, err
			}
			if owner != "" {
				facts["owner"] = owner
			}
			return facts, nil
		},
	}
}

// ownerOf is the owner's account id; "" when the owner is no more.
func (a *API) ownerOf(ctx context.Context, it item) (string, error) {
	if it.ownerID != "" {
		return it.ownerID, nil
	}
	owner, err := a.accounts.Find(ctx, it.Owner)
	if errors.Is(err, account.ErrNotFound) {
		return "", nil
	}
	return owner.ID, err
}

// index says what there is to try. It is public.
func index(c *gin.Context) {
	answer(c, http.StatusOK, gin.H{
		"message": "Stagedoor's demo: log in at POST /token, then try the routes; policy decides every one",
		"docs":    "/docs",
		"openapi": "/openapi.json",
		"login":   gin.H{"method": "POST", "path": "/token", "form": gin.H{"username": "johndoe", "password": "secret"}},
		"try": []string{
			"GET /admin-only", "GET /client-only", "GET /items/", "POST /items/",
			"GET /items/{id}", "DELETE /items/{id}", "GET /users/me",
		},
	})
}

// greet answers as the original article does.
func greet(message string) gin.HandlerFunc {
	return func(c *gin.Context) { answer(c, http.StatusOK, gin.H{"message": message}) }
}

func (a *API) listItems(c *gin.Context) {
	answer(c, http.StatusOK, gin.H{"items": a.items.all()})
}

func (a *API) createItem(c *gin.Context) {
	caller, ok := callerOf(c)
	if !ok {
		return
	}
	title, err := readTitle(c.Writer, c.Request)
	if err != nil {
		var bad *badBody
		if errors.As(err, &bad) {
			refuse(c, bad.status, bad.detail)
			return
		}
		a.fail(c, "reading an item", err)
		return
	}
	it, err := a.items.add(title, caller.Username, caller.UniqueID())
	switch {
	case errors.Is(err, errFull):
		refuse(c, http.StatusConflict, err.Error())
	case err != nil:
		a.fail(c, "making an item", err)
	default:
		c.Header("Location", "/items/"+it.ID)
		answer(c, http.StatusCreated, it)
	}
}

func (a *API) getItem(c *gin.Context) {
	it, found := a.items.find(decidedID(c))
	if !found {
		refuse(c, http.StatusNotFound, "there is no such item")
		return
	}
	answer(c, http.StatusOK, it)
}

func (a *API) deleteItem(c *gin.Context) {
	if !a.items.remove(decidedID(c)) {
		refuse(c, http.StatusNotFound, "there is no such item")
		return
	}
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}

// callerOf is who the gate let pass. Where there is nobody (the policy made the
// route public, or there is no gate) it answers 401 itself.
func callerOf(c *gin.Context) (*authz.Subject, bool) {
	if p := gate.FromContext(c.Request.Context()); p != nil && p.Request != nil && p.Request.Subject != nil {
		return p.Request.Subject, true
	}
	refuse(c, http.StatusUnauthorized, "this route needs to know who calls")
	return nil, false
}

// decidedID is the id that the policy has decided on; "" outside the gate.
func decidedID(c *gin.Context) string {
	if p := gate.FromContext(c.Request.Context()); p != nil && p.Request != nil {
		return p.Request.Params["id"]
	}
	return ""
}
