package gateway

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

func TestIdentify(t *testing.T) {
	const scopes = "items:read items:write"
	for _, c := range []struct {
		name    string
		subject *authz.Subject
		want    identity
		err     error
	}{
		{"nobody", nil, identity{}, nil},
		{"account", &authz.Subject{Kind: authz.KindAccount, ID: "01CAROL", Roles: []string{"a", "b"}},
			identity{subject: "01CAROL", roles: "a,b", scopes: scopes}, nil},
		{"disabled", &authz.Subject{Kind: authz.KindAccount, ID: "01CAROL", Disabled: true}, identity{}, nil},
		{"external, with the id of an account", &authz.Subject{Kind: authz.KindExternal, ID: "01CAROL", Issuer: "https://other"},
			identity{subject: "https://other|01CAROL", scopes: scopes}, nil},
		{"an id that looks external", &authz.Subject{Kind: authz.KindClient, ID: "https://other|1"}, identity{}, errUntellable},
		{"an id with a line break", &authz.Subject{Kind: authz.KindExternal, ID: "1\r\nX-Auth-Roles: a", Issuer: "https://other"}, identity{}, errUntellable},
		{"an id that ends in a space", &authz.Subject{Kind: authz.KindExternal, ID: "1 ", Issuer: "https://other"}, identity{}, errUntellable},
		{"a role that is two", &authz.Subject{Kind: authz.KindAccount, ID: "1", Roles: []string{"a,admin"}}, identity{}, errUntellable},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := identify(&gate.Passage{Request: &authz.Request{Subject: c.subject}}, scopes)
			if !errors.Is(err, c.err) || err == nil && got != c.want {
				t.Errorf("%+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestStripKnowsEverySpelling(t *testing.T) {
	for _, name := range []string{
		"X-Auth-Subject", "X_auth_subject", "X-Auth_subject", "X.Auth.Subject", "x-auth-subject", "X_AUTH_ROLES", "X-Auth-Scopes", "X-Decision-Id", "X_request_id",
		"X-Forwarded-For", "X_forwarded_prefix", "Forwarded", "X-Original-Uri", "X-Http-Method-Override", "X-Tenant", "X_tenant",
		"Proxy", "Remote-User", "Remote_user", "X-Client-Ip", "X_region", "X.Region",
	} {
		header := http.Header{name: {"root"}, "Accept": {"*/*"}, "X-Auth-Token": {"the application's own"}}
		(&Gateway{seen: []string{"X-Region"}}).strip(header, []string{"x-tenant"})
		if len(header) != 2 {
			t.Errorf("%s stays: %v", name, header)
		}
	}
}
