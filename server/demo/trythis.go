package demo

import "strings"

// TryThis is what to type into a shell against a demo server at url, such as
// http://127.0.0.1:8080.
func TryThis(url string) string {
	return strings.ReplaceAll(tryThis, "URL", strings.TrimSuffix(url, "/"))
}

const tryThis = `Demo accounts: johndoe / secret (admin), carol / secretcarol (client), alice / secretalice (disabled).
Swagger UI is at URL/docs. Or try:

    curl -d username=johndoe -d password=secret URL/token
    JOHN=$(curl -s -d username=johndoe -d password=secret URL/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    CAROL=$(curl -s -d username=carol -d password=secretcarol -d scope=items:read URL/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

    curl -i -H "Authorization: Bearer $JOHN" URL/admin-only                # 200 Hello, admin!
    curl -i -H "Authorization: Bearer $CAROL" URL/admin-only               # 403: carol is no admin
    curl -i -H "Authorization: Bearer $CAROL" URL/client-only              # 200 Hello, client!
    curl -i -H "Authorization: Bearer $CAROL" URL/items/                   # 200
    curl -i -H "Authorization: Bearer $CAROL" -X POST URL/items/           # 403 insufficient_scope: her token has items:read only
    curl -i -d username=alice -d password=secretalice URL/token            # 400: alice is disabled
    curl -i URL/admin-only                                                 # 401: no token
`
