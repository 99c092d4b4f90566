package demo

import "github.com/stagedoor/stagedoor/server/account"

// ClientSecret is the secret of the confidential demo client. It is published, so a
// client that has it is for demonstrations only.
const ClientSecret = "demo-service-secret-0123456789abcdef"

// ServiceClient is the id of the confidential demo client.
const ServiceClient = "demo-service"

// Clients are the programs of the demo: a service, which may use every grant type
// there is and has [ClientSecret], and an app without a secret.
func Clients() []account.Client {
	return []account.Client{
		{
			ID: ServiceClient, Name: "Demo service", Confidential: true, AuthMethod: "client_secret_basic",
			Grants: []string{"password", "client_credentials", "refresh_token"},
			Scopes: []string{"items:read", "items:write", "access:evaluate", "access:search"},
		},
		{
			ID: "demo-app", Name: "Demo app", AuthMethod: "none",
			Grants: []string{"password", "refresh_token"}, Scopes: []string{"*"},
		},
	}
}
