package admin

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/stagedoor/stagedoor/server/account"
)

// accountForm is what can be set of an account.
type accountForm struct {
	Username   string         `json:"username"`
	Email      string         `json:"email"`
	FullName   string         `json:"full_name"`
	Roles      []string       `json:"roles"`
	Disabled   bool           `json:"disabled"`
	Attributes jsontext.Value `json:"attributes"`
}

// newAccountForm is an account that does not exist yet: with its password, or the
// hash of one that another program has made.
type newAccountForm struct {
	accountForm  `json:",inline"`
	Password     string `json:"password"`
	PasswordHash string `json:"hashed_password"`
}

func formOf(a *account.Account) (accountForm, error) {
	attributes, err := attributesText(a.Attributes)
	return accountForm{a.Username, a.Email, a.FullName, a.Roles, a.Disabled, attributes}, err
}

// fill puts the form's members into an account.
func (f *accountForm) fill(a *account.Account) error {
	attributes, err := readAttributes(f.Attributes)
	if err != nil {
		return err
	}
	a.Username, a.Email, a.FullName, a.Roles, a.Disabled, a.Attributes = f.Username, f.Email, f.FullName, f.Roles, f.Disabled, attributes
	return nil
}

func (a *API) listAccounts(c *call) error {
	if err := known(c, "limit", "after", "role", "disabled", "q"); err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	query := account.Query{Limit: limit + 1}
	for _, p := range []struct {
		name string
		into *string
	}{{"after", &query.After}, {"role", &query.Role}, {"q", &query.Text}} {
		if *p.into, _, err = parameter(c, p.name); err != nil {
			return err
		}
	}
	text, given, err := parameter(c, "disabled")
	if err != nil {
		return err
	}
	if given {
		disabled, err := strconv.ParseBool(text)
		if err != nil {
			return fault(http.StatusBadRequest, "disabled must be true or false")
		}
		query.Disabled = &disabled
	}
	accounts, err := a.o.Accounts.Page(c.ctx, query)
	if err != nil {
		return err
	}
	return answerPage(c, accounts, limit, "after", func(a account.Account) string { return a.ID })
}

func (a *API) createAccount(c *call) error {
	var form newAccountForm
	if err := readBody(c, &form); err != nil {
		return err
	}
	created := account.Account{PasswordHash: form.PasswordHash}
	if err := form.fill(&created); err != nil {
		return err
	}
	created, err := a.o.Accounts.Create(c.ctx, created, form.Password)
	if err != nil {
		return err
	}
	c.Header("Location", "/admin/v1/users/"+created.ID)
	return answerItem(c, http.StatusCreated, created)
}

// findAccount finds by id only: a name may be somebody else's by the next request.
func (a *API) findAccount(c *call) (account.Account, error) {
	found, err := a.o.Accounts.Find(c.ctx, c.id())
	if err == nil && found.ID != c.id() {
		err = account.ErrNotFound
	}
	return found, err
}

func (a *API) getAccount(c *call) error {
	found, err := a.findAccount(c)
	if err != nil {
		return err
	}
	return answerItem(c, http.StatusOK, found)
}

func (a *API) patchAccount(c *call) error {
	matches, err := precondition(c)
	if err != nil {
		return err
	}
	patch, err := readPatch[accountForm](c)
	if err != nil {
		return err
	}
	found, err := a.findAccount(c)
	if err != nil {
		return err
	}
	changed, err := a.o.Accounts.Update(c.ctx, found.ID, func(stored *account.Account) error {
		if err := matches(*stored); err != nil {
			return err
		}
		before, err := formOf(stored)
		if err != nil {
			return err
		}
		after, err := patch(before)
		if err != nil {
			return err
		}
		return after.fill(stored)
	})
	if err != nil {
		return err
	}
	return answerItem(c, http.StatusOK, changed)
}

func (a *API) removeAccount(c *call) error {
	matches, err := precondition(c)
	if err != nil {
		return err
	}
	found, err := a.findAccount(c)
	if err != nil {
		return err
	}
	err = a.o.Accounts.Remove(c.ctx, found.ID, func(stored *account.Account) error { return matches(*stored) })
	if err != nil {
		return err
	}
	return done(c)
}

// setPassword sets the password of another's account. It ends the account's
// sessions.
func (a *API) setPassword(c *call) error {
	var form struct {
		Password string `json:"password"`
	}
	if err := readBody(c, &form); err != nil {
		return err
	}
	if err := account.CheckPassword(form.Password); err != nil {
		return err
	}
	found, err := a.findAccount(c)
	if err != nil {
		return err
	}
	if err := a.o.Accounts.SetPassword(c.ctx, found.ID, form.Password); err != nil {
		return err
	}
	return done(c)
}
