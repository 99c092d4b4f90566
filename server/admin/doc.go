// Package admin is Stagedoor's REST interface for those who administer it:
// accounts, clients, sessions, keys, the policy's status and the audit log, under
// /admin/v1; and what everybody may do with their own account, under /users/me.
//
// [New] makes an [API] of the managers that it is a front to; [API.Register] adds
// its routes to Gin. They must be served behind the gate: who may call them is said
// in data/routes.yaml, and nothing here looks at roles or scopes.
//
// An item that can be changed has an entity tag (RFC 9110 section 8.8.3). Whoever
// changes or removes it has to send it as If-Match, so that nobody's change is
// lost unseen; it is compared inside the transaction of the change. A change is a
// JSON Merge Patch (RFC 7396). A list has pages: `next` in the answer, where there
// are more, is the cursor to continue with. Errors are problem documents (RFC 9457)
// that name the member or parameter at fault.
//
// body.go reads what a caller sent, strictly; answer.go writes what goes back.
package admin
