// Package data holds the data that the shipped policies read: which routes there
// are and who may use them (routes.yaml), which scopes a role carries
// (roles.yaml), and how tokens are issued (tokens.yaml). Each file's top-level
// key is its name in policies: data.routes, data.roles, data.tokens.
//
// The package contains no Go beyond [FS], which puts them into the binary.
package data

import "embed"

// FS holds the data files at its root.
//
//go:embed *.yaml
var FS embed.FS
