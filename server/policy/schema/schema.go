// Package schema holds the JSON Schemas of the policy's inputs: authz.json for
// data.authz.decision, token.json for data.token.decision and authzen.json for
// data.authzen.decision. A policy names them in its METADATA as schema.authz,
// schema.token and schema.authzen; `opa check --schema` and editors then find a
// misspelt `input.clams`, and so does the server before it activates a policy.
//
// The files lie in json/, a directory that holds nothing else, because `opa check
// --schema DIR` reads every file of DIR as a schema. [FS] has them at its root,
// and [Write] puts them into a directory of the reader's choice.
//
// For OPA an object with listed properties is closed: any other name is an
// error. An object without them (claims, attributes, resource, properties, context) is open.
package schema

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// FS holds the schemas at its root, as "authz.json", "token.json" and "authzen.json".
var FS Files

//go:embed json/*.json
var embedded embed.FS

// Files is the type of [FS]: a read-only file system (it implements
// [fs.ReadFileFS] and [fs.ReadDirFS]) whose zero value holds the schemas.
type Files struct{}

// Open opens a schema, or the root.
func (Files) Open(name string) (fs.File, error) {
	inside, err := below("open", name)
	if err != nil {
		return nil, err
	}
	return embedded.Open(inside)
}

// ReadFile returns a schema's text.
func (Files) ReadFile(name string) ([]byte, error) {
	inside, err := below("read", name)
	if err != nil {
		return nil, err
	}
	return embedded.ReadFile(inside)
}

// ReadDir lists the schemas, sorted by name.
func (Files) ReadDir(name string) ([]fs.DirEntry, error) {
	inside, err := below("readdir", name)
	if err != nil {
		return nil, err
	}
	return embedded.ReadDir(inside)
}

// below is the embedded path of a path of [FS].
func below(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join("json", name), nil
}

// Write writes the schemas into dir, for `opa check --schema dir`. It makes the
// directory where it is missing and replaces the files of an earlier version;
// other files stay, and OPA will read them as schemas, too.
func Write(dir string) error {
	if dir == "" {
		return errors.New("write the policy's schemas: no directory given")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the policy's schemas: %w", err)
	}
	entries, err := FS.ReadDir(".")
	if err != nil {
		return fmt.Errorf("read the embedded schemas: %w", err)
	}
	for _, entry := range entries {
		text, err := FS.ReadFile(entry.Name())
		if err != nil {
			return fmt.Errorf("read the embedded schemas: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, entry.Name()), text, 0o644); err != nil {
			return fmt.Errorf("write the policy's schemas: %w", err)
		}
	}
	return nil
}
