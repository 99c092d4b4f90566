package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
)

type userAddCmd struct {
	Name       string   `arg:"" help:"Username."`
	Role       []string `help:"Role of the account; repeat it for several." placeholder:"ROLE"`
	Email      string   `help:"E-mail address, which can be logged in with too." placeholder:"ADDRESS"`
	FullName   string   `help:"Name for people to read." placeholder:"NAME"`
	Attribute  []string `help:"Attribute for the policy: KEY=TEXT, or KEY:=JSON. Repeat it for several." sep:"none" placeholder:"KEY=TEXT"`
	policyDirs          // to know the roles
}

func (*userAddCmd) Help() string {
	return `The password is asked for twice without echo, or read as one line when standard input is no terminal. It is never an argument.

  stagedoor user add jo --role admin
  stagedoor user add carol --role client --email carol@example.com --attribute tenant=acme --attribute level:=3
  pwgen 20 1 | tee carol.txt | stagedoor user add carol`
}

// Run asks for the password and adds the account.
func (c *userAddCmd) Run(ctx context.Context, e *env) error {
	attributes, err := parseAttributes(c.Attribute)
	if err != nil {
		return err
	}
	if err := c.refuseTaken(ctx, e); err != nil {
		return err
	}
	c.warnOfUnknownRoles(ctx, e, c.Role)
	password, err := readPassword(ctx, e, c.Name)
	if err != nil {
		return err
	}
	return withNewState(ctx, e, account.Options{}, func(s *state) error {
		a, err := s.accounts.Create(ctx, account.Account{
			Username: c.Name, Email: c.Email, FullName: c.FullName,
			Roles: notEmpty(c.Role), Attributes: attributes,
		}, password)
		if err != nil {
			return err
		}
		warnOfWeakPassword(e, password)
		fmt.Fprintf(e.stdout, "Added %s (%s).\n", printable(a.Username), a.ID)
		return nil
	})
}

// refuseTaken spares somebody from typing a password for nothing.
func (c *userAddCmd) refuseTaken(ctx context.Context, e *env) error {
	err := withAccounts(ctx, e, func(accounts *account.Directory) error {
		for _, name := range notEmpty([]string{c.Name, c.Email}) {
			switch holder, err := accounts.Find(ctx, name); {
			case err == nil:
				return fmt.Errorf("%s is a name of the account %s already; `stagedoor user set` changes it", name, printable(holder.Username))
			case !errors.Is(err, account.ErrNotFound):
				return err
			}
		}
		return nil
	})
	if errors.Is(err, server.ErrNoState) {
		return nil
	}
	return err
}

type userSetCmd struct {
	accountArg
	Username        *string  `help:"New username." placeholder:"NAME"`
	Role            []string `help:"Roles of the account, instead of those that it has; repeat it for several, --role \"\" for none." placeholder:"ROLE"`
	Email           *string  `help:"E-mail address; \"\" for none." placeholder:"ADDRESS"`
	FullName        *string  `help:"Name for people to read; \"\" for none." placeholder:"NAME"`
	Attribute       []string `help:"Attribute to set: KEY=TEXT, or KEY:=JSON." sep:"none" placeholder:"KEY=TEXT"`
	RemoveAttribute []string `help:"Attribute to remove." sep:"none" placeholder:"KEY"`
	policyDirs
}

func (*userSetCmd) Help() string {
	return `What is not named stays as it is. Tokens that are out already are decided by what the account has now.

  stagedoor user set carol --role client --role auditor
  stagedoor user set carol --email carol@example.org --remove-attribute tenant`
}

// Validate refuses a command that would change nothing.
func (c *userSetCmd) Validate() error {
	if c.Username == nil && c.Role == nil && c.Email == nil && c.FullName == nil && c.Attribute == nil && c.RemoveAttribute == nil {
		return errors.New("nothing to set; name what shall change, such as --role client")
	}
	return nil
}

// Run changes the account.
func (c *userSetCmd) Run(ctx context.Context, e *env) error {
	attributes, err := parseAttributes(c.Attribute)
	if err != nil {
		return err
	}
	c.warnOfUnknownRoles(ctx, e, c.Role)
	return changeAccount(ctx, e, c.Account, "Changed", func(a *account.Account) error {
		replace(&a.Username, c.Username)
		replace(&a.Email, c.Email)
		replace(&a.FullName, c.FullName)
		if c.Role != nil {
			a.Roles = notEmpty(c.Role)
		}
		a.Attributes = maps.Clone(a.Attributes)
		if a.Attributes == nil {
			a.Attributes = map[string]any{}
		}
		maps.Copy(a.Attributes, attributes)
		for _, name := range c.RemoveAttribute {
			delete(a.Attributes, name)
		}
		return nil
	})
}

type userDisableCmd struct{ accountArg }

func (*userDisableCmd) Help() string {
	return `A disabled account can't log in, and the tokens that it has open nothing any more. Nothing is lost; ` + "`stagedoor user enable`" + ` undoes it, and whoever was logged in is again. To log them out for good, ` + "`stagedoor user sessions revoke`" + `.

  stagedoor user disable carol`
}

// Run disables the account.
func (c *userDisableCmd) Run(ctx context.Context, e *env) error {
	return changeAccount(ctx, e, c.Account, "Disabled", func(a *account.Account) error {
		a.Disabled = true
		return nil
	})
}

type userEnableCmd struct{ accountArg }

func (*userEnableCmd) Help() string { return `  stagedoor user enable carol` }

// Run enables the account.
func (c *userEnableCmd) Run(ctx context.Context, e *env) error {
	return changeAccount(ctx, e, c.Account, "Enabled", func(a *account.Account) error {
		a.Disabled = false
		return nil
	})
}

type userPasswdCmd struct{ accountArg }

func (*userPasswdCmd) Help() string {
	return `The password is asked for twice without echo, or read as one line when standard input is no terminal. Whoever is logged in as the account has to log in again.

  stagedoor user passwd carol
  stagedoor user passwd carol < password.txt`
}

// Run asks for the password and sets it.
func (c *userPasswdCmd) Run(ctx context.Context, e *env) error {
	return withAccounts(ctx, e, func(accounts *account.Directory) error {
		a, err := accounts.Find(ctx, c.Account)
		if err != nil {
			return err
		}
		password, err := readPassword(ctx, e, a.Username)
		if err != nil {
			return err
		}
		if err := accounts.SetPassword(ctx, a.ID, password); err != nil {
			return err
		}
		warnOfWeakPassword(e, password)
		fmt.Fprintf(e.stdout, "Set the password of %s (%s).\n", printable(a.Username), a.ID)
		return nil
	})
}

type userRemoveCmd struct {
	accountArg
	Yes bool `help:"Do not ask. Only a terminal is asked at all." short:"y"`
}

func (*userRemoveCmd) Help() string {
	return `The account is gone for good, and the tokens that it has open nothing any more. A new account of the same name is somebody else: what belonged to the old one is not theirs. To shut somebody out for a while, use ` + "`stagedoor user disable`" + `.

  stagedoor user remove carol
  stagedoor user remove carol --yes`
}

// Run asks, at a terminal and unless --yes is given, and removes the account.
func (c *userRemoveCmd) Run(ctx context.Context, e *env) error {
	return withAccounts(ctx, e, func(accounts *account.Directory) error {
		a, err := accounts.Find(ctx, c.Account)
		if err != nil {
			return err
		}
		if err := sure(ctx, e, c.Yes, fmt.Sprintf("Remove the account %s (%s) for good?", printable(a.Username), a.ID)); err != nil {
			return err
		}
		if err := accounts.Remove(ctx, a.ID); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "Removed %s (%s).\n", printable(a.Username), a.ID)
		return nil
	})
}

// changeAccount changes one account and says so.
func changeAccount(ctx context.Context, e *env, ref, done string, change func(*account.Account) error) error {
	return withAccounts(ctx, e, func(accounts *account.Directory) error {
		a, err := accounts.Update(ctx, ref, change)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s %s (%s).\n", done, printable(a.Username), a.ID)
		return nil
	})
}

func warnOfWeakPassword(e *env, password string) {
	if why := account.WeakPassword(password); why != "" {
		fmt.Fprintf(e.stderr, "Warning: %s.\n", why)
	}
}

// parseAttributes reads KEY=TEXT and KEY:=JSON.
func parseAttributes(settings []string) (map[string]any, error) {
	attributes := make(map[string]any, len(settings))
	for _, setting := range settings {
		key, text, found := strings.Cut(setting, "=")
		key, isJSON := strings.CutSuffix(key, ":")
		if !found || key == "" {
			return nil, usageError(fmt.Sprintf("--attribute %q is neither KEY=TEXT, such as tenant=acme, nor KEY:=JSON, such as level:=3", setting))
		}
		if !isJSON {
			attributes[key] = text
			continue
		}
		var value any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil || decoder.More() {
			return nil, usageError(fmt.Sprintf("--attribute %q: %q is no JSON; for text, leave out the colon: %s=%s", setting, text, key, text))
		}
		attributes[key] = value
	}
	return attributes, nil
}

// notEmpty leaves out the empty role that --role with no name gives.
func notEmpty(roles []string) []string {
	kept := []string{}
	for _, role := range roles {
		if role != "" {
			kept = append(kept, role)
		}
	}
	return kept
}

func replace(field, value *string) {
	if value != nil {
		*field = *value
	}
}
