// Package openapi turns a description of an API (OpenAPI 3.0, 3.1 and 3.2, YAML or
// JSON) into the routes of data/routes.yaml: which paths there are, and what each
// method's `security` asks for.
//
// [Read] gives an [Import]: the [Route]s, what was left out, and what is stricter than
// the document. What can't be translated is never opened: its method is left out of
// its route, and a path that can't be declared at all gets a route without methods, so
// that no wider one (/items/{id} for /items/secret) takes its requests.
//
// Only the few members that say who may call what are read; schemas, parameters and
// answers are not looked at, so what is wrong with those does not matter here.
package openapi
