package admin

import (
	"net/netip"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

// An id of another issuer may look like one of ours: the audit log must not take its
// subject for an account.
func TestActor(t *testing.T) {
	for name, tc := range map[string]struct {
		subject *authz.Subject
		want    account.Actor
	}{
		"an account": {&authz.Subject{Kind: authz.KindAccount, ID: "01K"}, account.Actor{Kind: account.ActorAccount, ID: "01K"}},
		"a client":   {&authz.Subject{Kind: authz.KindClient, ID: "reports"}, account.Actor{Kind: account.ActorClient, ID: "reports"}},
		"external": {
			&authz.Subject{Kind: authz.KindExternal, ID: "01K", Issuer: "https://idp.example"},
			account.Actor{Kind: account.ActorExternal, ID: "https://idp.example 01K"},
		},
		"nobody": {nil, account.Actor{Kind: account.ActorAnonymous}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &call{passage: &gate.Passage{
				Request: &authz.Request{Subject: tc.subject}, RequestID: "id", ClientIP: netip.MustParseAddr("192.0.2.1"),
			}}
			tc.want.RequestID, tc.want.ClientIP = "id", "192.0.2.1"
			if got := c.actor(); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}
