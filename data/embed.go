// Package data holds the data that the shipped policies read: which routes there
// are and who may use them (routes.yaml), which scopes a role carries
// (roles.yaml), how tokens are issued (tokens.yaml), and which services lie behind
// the gateway (upstreams.yaml). A file's top-level keys are its names in policies:
// data.routes, data.roles, data.tokens, data.upstreams, data.decision_headers.
//
// The package contains no Go beyond [FS], which puts them into the binary.
package data

import "embed"

// FS holds the data files at its root.
//
//go:embed *.yaml
var FS embed.FS
