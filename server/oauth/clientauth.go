package oauth

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"
)

// FirstPartyClient is the id of the built-in client: what a request is made for
// when it names no client. It is public, that is, it has no secret.
const FirstPartyClient = "stagedoor"

// clientCredentials is what a request says of its client, before anything is
// believed of it.
type clientCredentials struct {
	id, secret string
	// inHeader says that they came by HTTP Basic.
	inHeader bool
}

// readClient finds the client's credentials: in an Authorization header of
// scheme Basic, or in the body (RFC 6749 section 2.3.1). An empty id and secret
// in the header are no client at all: Swagger UI sends them. A Bearer header is
// the gate's business and no client authentication; it is ignored here as it is
// on any public route.
func readClient(header http.Header, f form) (clientCredentials, error) {
	body := clientCredentials{id: f.get("client_id"), secret: f.get("client_secret")}
	if f.get("client_assertion") != "" || f.get("client_assertion_type") != "" {
		return body, &Error{Code: codeInvalidClient, Description: "client assertions are not supported here"}
	}
	authorization := header.Values("Authorization")
	if len(authorization) > 1 {
		return body, invalidRequest("more than one Authorization header was sent")
	}
	if len(authorization) == 0 {
		return body, nil
	}
	scheme, credentials, _ := strings.Cut(authorization[0], " ")
	if strings.EqualFold(scheme, "Bearer") {
		return body, nil
	}
	id, secret, ok := "", "", strings.EqualFold(scheme, "Basic")
	if ok {
		id, secret, ok = decodeBasic(strings.TrimLeft(credentials, " "))
	}
	switch {
	case !ok:
		return body, &Error{Code: codeInvalidClient, Challenge: true, Description: "the Authorization header is not HTTP Basic with a form-urlencoded client id and secret"}
	case id == "" && secret == "":
		return body, nil
	case body.secret != "" || (body.id != "" && body.id != id):
		return body, invalidRequest("the client was named both in the Authorization header and in the body; use one of them")
	}
	return clientCredentials{id: id, secret: secret, inHeader: true}, nil
}

// decodeBasic undoes RFC 7617 and, inside it, the form-urlencoding that RFC 6749
// section 2.3.1 puts on id and secret.
func decodeBasic(credentials string) (id, secret string, ok bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || !utf8.Valid(raw) {
		return "", "", false
	}
	rawID, rawSecret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	if id, ok = unescapeForm(rawID); !ok {
		return "", "", false
	}
	secret, ok = unescapeForm(rawSecret)
	return id, secret, ok
}

// authenticateClient answers which client asks. There is one: the built-in
// first-party client, which a request that names none is made for, too.
func authenticateClient(c clientCredentials) (id string, err error) {
	if c.secret == "" && (c.id == "" || c.id == FirstPartyClient) {
		return FirstPartyClient, nil
	}
	return "", &Error{Code: codeInvalidClient, Challenge: c.inHeader, Description: "the client is unknown, or its secret is wrong"}
}
