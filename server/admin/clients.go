package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/route"
)

// clientForm is what can be set of a client.
type clientForm struct {
	Name         string         `json:"client_name"`
	JWKS         jsontext.Value `json:"jwks,omitempty"`
	Grants       []string       `json:"grant_types"`
	Scopes       []string       `json:"scopes"`
	Roles        []string       `json:"roles"`
	Audiences    []string       `json:"audiences"`
	RedirectURIs []string       `json:"redirect_uris"`
	Disabled     bool           `json:"disabled"`
}

// newClientForm is a client that does not exist yet.
type newClientForm struct {
	clientForm   `json:",inline"`
	ID           string `json:"client_id"`
	Confidential bool   `json:"confidential"`
	AuthMethod   string `json:"token_endpoint_auth_method"`
}

// withSecret is a client with the secret that was made for it, which is shown once
// (RFC 7591 section 3.2.1).
type withSecret struct {
	account.Client
	Secret string `json:"client_secret,omitempty"`
}

func (f *clientForm) fill(client *account.Client) {
	client.Name, client.JWKS, client.Grants, client.Scopes = f.Name, []byte(f.JWKS), f.Grants, f.Scopes
	client.Roles, client.Audiences, client.RedirectURIs, client.Disabled = f.Roles, f.Audiences, f.RedirectURIs, f.Disabled
}

func (a *API) listClients(c *call) error {
	if err := known(c, "limit", "after"); err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	after, _, err := parameter(c, "after")
	if err != nil {
		return err
	}
	clients, err := a.o.Clients.List(c.ctx)
	if err != nil {
		return err
	}
	from, found := slices.BinarySearchFunc(clients, after, func(client account.Client, id string) int { return strings.Compare(client.ID, id) })
	if found {
		from++
	}
	clients = clients[from:]
	return answerPage(c, clients[:min(len(clients), limit+1)], limit, "after", func(client account.Client) string { return client.ID })
}

func (a *API) createClient(c *call) error {
	var form newClientForm
	if err := readBody(c, &form); err != nil {
		return err
	}
	client := account.Client{ID: form.ID, Confidential: form.Confidential, AuthMethod: form.AuthMethod}
	form.fill(&client)
	created, secret, err := a.o.Clients.Create(c.ctx, client)
	if err != nil {
		return err
	}
	tag, err := entityTag(created)
	if err != nil {
		return err
	}
	c.Header("ETag", tag) // of the client, which does not have its secret
	if name, ok := route.EscapeSegment(created.ID); ok {
		c.Header("Location", "/admin/v1/clients/"+name)
	}
	return answer(c, http.StatusCreated, withSecret{created, secret})
}

func (a *API) getClient(c *call) error {
	client, err := a.o.Clients.Find(c.ctx, c.id())
	if err != nil {
		return err
	}
	return answerItem(c, http.StatusOK, client)
}

func (a *API) patchClient(c *call) error {
	matches, err := precondition(c)
	if err != nil {
		return err
	}
	patch, err := readPatch[clientForm](c)
	if err != nil {
		return err
	}
	changed, err := a.o.Clients.Update(c.ctx, c.id(), func(stored *account.Client) error {
		if err := matches(*stored); err != nil {
			return err
		}
		after, err := patch(clientForm{
			stored.Name, jsontext.Value(stored.JWKS), stored.Grants, stored.Scopes,
			stored.Roles, stored.Audiences, stored.RedirectURIs, stored.Disabled,
		})
		if err != nil {
			return err
		}
		after.fill(stored)
		return nil
	})
	if err != nil {
		return err
	}
	return answerItem(c, http.StatusOK, changed)
}

func (a *API) removeClient(c *call) error {
	matches, err := precondition(c)
	if err != nil {
		return err
	}
	err = a.o.Clients.Remove(c.ctx, c.id(), func(stored *account.Client) error { return matches(*stored) })
	if err != nil {
		return err
	}
	return done(c)
}

// maxOverlap bounds how long a former secret may stay good.
const maxOverlap = 90 * 24 * time.Hour

// rotateSecret makes a new secret. The former ones are good for `overlap` seconds
// yet.
func (a *API) rotateSecret(c *call) error {
	var form struct {
		Overlap int64 `json:"overlap"`
	}
	if c.Request.ContentLength != 0 {
		if err := readBody(c, &form); err != nil {
			return err
		}
	}
	if form.Overlap < 0 || form.Overlap > int64(maxOverlap/time.Second) {
		return fault(http.StatusBadRequest, `"overlap" must be a number of seconds from 0 to %d`, int64(maxOverlap/time.Second))
	}
	secret, err := a.o.Clients.RotateSecret(c.ctx, c.id(), time.Duration(form.Overlap)*time.Second)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, map[string]string{"client_id": c.id(), "client_secret": secret})
}
