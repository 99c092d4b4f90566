package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
)

type clientSetCmd struct {
	clientArg
	Name       *string    `help:"Name for people to read; \"\" for none." placeholder:"NAME"`
	AuthMethod authMethod `help:"How it proves itself from now on, such as private_key_jwt with --jwks." placeholder:"METHOD"`
	JWKS       string     `name:"jwks" help:"File with the client's public keys as a JWK set, instead of those that it has." type:"existingfile" placeholder:"FILE"`

	Grant       []string `help:"Grants, instead of those that it has; repeat it for several, --grant \"\" for none." xor:"grant+,grant-" placeholder:"GRANT" group:"Lists, given anew"`
	Scope       []string `help:"Scopes, instead of those that it has." xor:"scope+,scope-" placeholder:"SCOPE" group:"Lists, given anew"`
	Role        []string `help:"Roles, instead of those that it has." xor:"role+,role-" placeholder:"ROLE" group:"Lists, given anew"`
	Audience    []string `help:"Audiences, instead of those that it has." xor:"audience+,audience-" sep:"none" placeholder:"URI" group:"Lists, given anew"`
	RedirectURI []string `name:"redirect-uri" help:"Redirect URIs, instead of those that it has." xor:"uri+,uri-" sep:"none" placeholder:"URI" group:"Lists, given anew"`

	AddGrant       []string `help:"Grant to add." xor:"grant+" placeholder:"GRANT" group:"Lists, one more"`
	AddScope       []string `help:"Scope to add." xor:"scope+" placeholder:"SCOPE" group:"Lists, one more"`
	AddRole        []string `help:"Role to add." xor:"role+" placeholder:"ROLE" group:"Lists, one more"`
	AddAudience    []string `help:"Audience to add." xor:"audience+" sep:"none" placeholder:"URI" group:"Lists, one more"`
	AddRedirectURI []string `name:"add-redirect-uri" help:"Redirect URI to add." xor:"uri+" sep:"none" placeholder:"URI" group:"Lists, one more"`

	RemoveGrant       []string `help:"Grant to take away." xor:"grant-" placeholder:"GRANT" group:"Lists, one less"`
	RemoveScope       []string `help:"Scope to take away." xor:"scope-" placeholder:"SCOPE" group:"Lists, one less"`
	RemoveRole        []string `help:"Role to take away." xor:"role-" placeholder:"ROLE" group:"Lists, one less"`
	RemoveAudience    []string `help:"Audience to take away." xor:"audience-" sep:"none" placeholder:"URI" group:"Lists, one less"`
	RemoveRedirectURI []string `name:"remove-redirect-uri" help:"Redirect URI to take away." xor:"uri-" sep:"none" placeholder:"URI" group:"Lists, one less"`

	policyDirs // to know the roles
}

func (*clientSetCmd) Help() string {
	return `What is not named stays as it is. A list is given anew (--scope, as with ` + "`stagedoor user set`" + `), or changed (--add-scope, --remove-scope). A scope, role or grant that is taken away is felt at the next request, refresh or login.

  stagedoor client set reports --scope items:read --scope items:write
  stagedoor client set reports --add-scope orders:read --remove-scope items:write
  stagedoor client set shop-app --name 'Shop' --redirect-uri com.example.shop:/callback
  stagedoor client set robot --jwks new-keys.json`
}

// lists are the client's lists with what shall become of them.
func (c *clientSetCmd) lists(client *account.Client) []listChange {
	return []listChange{
		{"grant", &client.Grants, c.Grant, c.AddGrant, c.RemoveGrant},
		{"scope", &client.Scopes, c.Scope, c.AddScope, c.RemoveScope},
		{"role", &client.Roles, c.Role, c.AddRole, c.RemoveRole},
		{"audience", &client.Audiences, c.Audience, c.AddAudience, c.RemoveAudience},
		{"redirect URI", &client.RedirectURIs, c.RedirectURI, c.AddRedirectURI, c.RemoveRedirectURI},
	}
}

// Validate refuses a command that would change nothing.
func (c *clientSetCmd) Validate() error {
	if c.Name == nil && c.JWKS == "" && c.AuthMethod == "" && !slices.ContainsFunc(c.lists(&account.Client{}), listChange.asked) {
		return errors.New("nothing to set; name what shall change, such as --add-scope items:read")
	}
	return nil
}

// Run changes the client.
func (c *clientSetCmd) Run(ctx context.Context, e *env) error {
	jwks, err := readJWKS(c.JWKS)
	if err != nil {
		return err
	}
	c.warnOfUnknownRoles(ctx, e, slices.Concat(c.Role, c.AddRole))
	return changeClient(ctx, e, c.Client, "Changed", func(client *account.Client) error {
		replace(&client.Name, c.Name)
		if c.AuthMethod != "" {
			if client.AuthMethod == account.AuthPrivateKeyJWT && c.AuthMethod == account.AuthSecret {
				client.JWKS = nil
			}
			client.AuthMethod = string(c.AuthMethod)
		}
		if jwks != nil {
			client.JWKS = jwks
		}
		var faults []error
		for _, list := range c.lists(client) {
			faults = append(faults, list.apply())
		}
		return errors.Join(faults...)
	})
}

// listChange is what shall become of a list: given anew, or some more and some
// less.
type listChange struct {
	noun              string
	list              *[]string
	anew, more, fewer []string
}

func (l listChange) asked() bool { return l.anew != nil || l.more != nil || l.fewer != nil }

// apply changes the list. Taking away what is not there is an error: whoever
// mistypes a scope must not believe that it is gone.
func (l listChange) apply() error {
	items := slices.Clone(*l.list)
	if l.anew != nil {
		items = notEmpty(l.anew)
	}
	for _, item := range l.fewer {
		if !slices.Contains(items, item) {
			has := "none"
			if len(items) > 0 {
				has = strings.Join(items, ", ")
			}
			return fmt.Errorf("there is no %s %q to take away; it has %s", l.noun, item, has)
		}
		items = slices.DeleteFunc(items, func(kept string) bool { return kept == item })
	}
	*l.list = append(items, notEmpty(l.more)...)
	return nil
}
