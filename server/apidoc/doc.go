// Package apidoc is the description of the server's API: openapi.json (OpenAPI
// 3.1), served at /openapi.json, and Swagger UI to read it in, at /docs, whose every
// file is in the binary.
//
// There is one document, for all front doors; without the demo its routes are left
// out. Tests hold it to data/routes.yaml and to what the server answers.
package apidoc
