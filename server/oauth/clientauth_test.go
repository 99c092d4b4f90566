package oauth

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
)

func basic(idAndSecret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(idAndSecret))
}

func TestReadClient(t *testing.T) {
	tests := []struct {
		name          string
		authorization []string
		body          form
		want          clientCredentials
		code          string // of the refusal; empty: none
		status        int
	}{
		{name: "nothing"},
		{name: "an empty pair is no client (Swagger UI)", authorization: []string{"Basic Og=="}},
		{name: "an empty pair beside an id in the body", authorization: []string{"Basic Og=="}, body: form{"client_id": {"a"}}, want: clientCredentials{id: "a"}},
		{name: "id in the body", body: form{"client_id": {"a"}}, want: clientCredentials{id: "a"}},
		{name: "id and secret in the body", body: form{"client_id": {"a"}, "client_secret": {"b"}}, want: clientCredentials{method: authPost, id: "a", secret: "b"}},
		{name: "in the header", authorization: []string{basic("a:b")}, want: clientCredentials{method: authBasic, id: "a", secret: "b", inHeader: true}},
		{name: "the scheme's case does not matter", authorization: []string{"bASIC " + basic("a:b")[6:]}, want: clientCredentials{method: authBasic, id: "a", secret: "b", inHeader: true}},
		{name: "form-urlencoded : % + space and non-ASCII", authorization: []string{basic("a%3Ab+c:%25%2B+%C3%A9")}, want: clientCredentials{method: authBasic, id: "a:b c", secret: "%+ é", inHeader: true}},
		{name: "the secret may hold a colon", authorization: []string{basic("a:b:c")}, want: clientCredentials{method: authBasic, id: "a", secret: "b:c", inHeader: true}},
		{name: "an id without a secret", authorization: []string{basic("a:")}, want: clientCredentials{id: "a", inHeader: true}},
		{name: "a Bearer token is the gate's business", authorization: []string{"Bearer x.y.z"}},
		{name: "two methods", authorization: []string{basic("a:b")}, body: form{"client_secret": {"b"}}, code: codeInvalidRequest, status: 400},
		{name: "another id in the body", authorization: []string{basic("a:b")}, body: form{"client_id": {"c"}}, code: codeInvalidRequest, status: 400},
		{name: "the same id in the body", authorization: []string{basic("a:b")}, body: form{"client_id": {"a"}}, want: clientCredentials{method: authBasic, id: "a", secret: "b", inHeader: true}},
		{name: "two headers", authorization: []string{basic("a:b"), basic("a:b")}, code: codeInvalidRequest, status: 400},
		{name: "another scheme", authorization: []string{"Digest username=a"}, code: codeInvalidClient, status: 401},
		{name: "no credentials", authorization: []string{"Basic"}, code: codeInvalidClient, status: 401},
		{name: "an empty header", authorization: []string{""}, code: codeInvalidClient, status: 401},
		{name: "not base64", authorization: []string{"Basic !"}, code: codeInvalidClient, status: 401},
		{name: "base64 with loose bits", authorization: []string{"Basic Oh=="}, code: codeInvalidClient, status: 401},
		{name: "no colon", authorization: []string{basic("ab")}, code: codeInvalidClient, status: 401},
		{name: "broken percent-encoding in the id", authorization: []string{basic("%4:b")}, code: codeInvalidClient, status: 401},
		{name: "broken percent-encoding in the secret", authorization: []string{basic("a:%zz")}, code: codeInvalidClient, status: 401},
		{name: "invalid UTF-8", authorization: []string{basic("a:\xff")}, code: codeInvalidClient, status: 401},
		{name: "invalid UTF-8, encoded", authorization: []string{basic("a:%ff")}, code: codeInvalidClient, status: 401},
		{name: "an assertion", body: form{"client_assertion": {"x.y.z"}, "client_assertion_type": {assertionType}}, want: clientCredentials{method: authAssertion, assertion: "x.y.z"}},
		{name: "an assertion and the id", body: form{"client_id": {"a"}, "client_assertion": {"x.y.z"}, "client_assertion_type": {assertionType}}, want: clientCredentials{method: authAssertion, id: "a", assertion: "x.y.z"}},
		{name: "an assertion of another type", body: form{"client_assertion": {"x.y.z"}, "client_assertion_type": {"urn:x"}}, code: codeInvalidClient, status: 400},
		{name: "an assertion without a type", body: form{"client_assertion": {"x.y.z"}}, code: codeInvalidRequest, status: 400},
		{name: "a type without an assertion", body: form{"client_assertion_type": {assertionType}}, code: codeInvalidRequest, status: 400},
		{name: "an assertion and a secret", body: form{"client_secret": {"b"}, "client_assertion": {"x.y.z"}, "client_assertion_type": {assertionType}}, code: codeInvalidRequest, status: 400},
		{name: "an assertion beside the header", authorization: []string{basic("a:b")}, body: form{"client_assertion": {"x.y.z"}, "client_assertion_type": {assertionType}}, code: codeInvalidRequest, status: 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{"Authorization": tt.authorization}
			if tt.authorization == nil {
				header = http.Header{}
			}
			got, err := readClient(header, tt.body)
			if tt.code != "" {
				if err == nil || asError(err).Code != tt.code || asError(err).status() != tt.status {
					t.Fatalf("got %+v, %v; want %d %s", got, err, tt.status, tt.code)
				}
				return
			}
			if tt.want.method == "" {
				tt.want.method = authNone
			}
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// noEvents is an audit log that nobody reads.
type noEvents struct{}

func (noEvents) Record(context.Context, ...account.Event) error       { return nil }
func (noEvents) RecordSparingly(context.Context, account.Event) error { return nil }

func TestAuthenticateClient(t *testing.T) {
	tests := []struct {
		name   string
		client clientCredentials
		ok     bool
		status int
	}{
		{"none", clientCredentials{method: authNone}, true, 0},
		{"the built-in one", clientCredentials{method: authNone, id: FirstPartyClient}, true, 0},
		{"the built-in one, by header", clientCredentials{method: authNone, id: FirstPartyClient, inHeader: true}, true, 0},
		{"the built-in one with a secret", clientCredentials{method: authPost, id: FirstPartyClient, secret: "x"}, false, 400},
		{"another", clientCredentials{method: authNone, id: "other"}, false, 400},
		{"another, by header", clientCredentials{method: authBasic, id: "other", secret: "x", inHeader: true}, false, 401},
		{"a secret without an id", clientCredentials{method: authPost, secret: "x"}, false, 400},
		{"a secret without an id, by header", clientCredentials{method: authBasic, secret: "x", inHeader: true}, false, 401},
		{"an assertion of nobody", clientCredentials{method: authAssertion, assertion: "x.y.z"}, false, 400},
		{"an assertion of the built-in one", clientCredentials{method: authAssertion, id: FirstPartyClient, assertion: "x.y.z"}, false, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, err := (&Service{events: noEvents{}}).authenticateClient(t.Context(), tt.client, tokenPath)
			if tt.ok {
				if err != nil || client.ID != FirstPartyClient {
					t.Fatalf("got %v, %v", client, err)
				}
				return
			}
			if err == nil || asError(err).Code != codeInvalidClient || asError(err).status() != tt.status {
				t.Fatalf("got %v, %v; want %d invalid_client", client, err, tt.status)
			}
		})
	}
}

// Whatever a stranger sends, it is one way of authenticating or none, or refused.
func FuzzReadClient(f *testing.F) {
	f.Add("Basic Og==", "client_id=a&client_secret=b")
	f.Add(basic("a%3A:%C3%A9"), "client_assertion=x.y.z&client_assertion_type="+assertionType)
	f.Add("Bearer x", "")
	f.Fuzz(func(t *testing.T, authorization, body string) {
		parsed, err := parseForm(body)
		if err != nil {
			return
		}
		c, err := readClient(http.Header{"Authorization": {authorization}}, parsed)
		if err != nil {
			if code := asError(err).Code; code != codeInvalidClient && code != codeInvalidRequest {
				t.Errorf("refused with %s", code)
			}
			return
		}
		proofs := 0
		for _, there := range []bool{c.secret != "", c.assertion != ""} {
			if there {
				proofs++
			}
		}
		if (c.method == authNone) != (proofs == 0) || proofs > 1 {
			t.Errorf("%+v", c)
		}
		if client, err := (&Service{events: noEvents{}}).authenticateClient(t.Context(), c, tokenPath); err == nil && client.ID != FirstPartyClient {
			t.Errorf("%+v is %s", c, client.ID)
		}
	})
}
