package admin

import (
	"net/http"

	"github.com/stagedoor/stagedoor/server/token"
)

func (a *API) listKeys(c *call) error {
	keys, err := a.o.Keys.Keys(c.ctx)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, page[token.KeyStatus]{Items: append([]token.KeyStatus{}, keys...)})
}

// rotateKey makes the key that signs next; with `now`, at once.
func (a *API) rotateKey(c *call) error {
	var form struct {
		Now bool `json:"now"`
	}
	if c.Request.ContentLength != 0 {
		if err := readBody(c, &form); err != nil {
			return err
		}
	}
	key, err := a.o.Keys.Rotate(c.ctx, form.Now)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, key)
}

func (a *API) retireKey(c *call) error {
	if err := a.o.Keys.Retire(c.ctx, c.id()); err != nil {
		return err
	}
	return done(c)
}
