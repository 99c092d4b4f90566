package server_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stagedoor/stagedoor/"

// floors of the house (docs/architecture.md): a package imports only packages
// of floors below its own.
var floors = map[string]int{
	"cmd/stagedoor": 6,
	"server":        5,
	"server/oauth":  4, "server/admin": 4, "server/gateway": 4, "server/pdp": 4, "server/demo": 4, "server/apidoc": 4,
	"server/gate": 3, "server/store": 3, "server/store/storetest": 3,
	"server/policy": 2, "server/token": 2, "server/account": 2, "server/decisionlog": 2, "server/openapi": 2,
	"server/policy/schema": 1, "server/cache": 1, "server/authz": 1, "server/route": 1, "server/problem": 1,
	"policies": 0, "data": 0,
}

// rooms: which packages may import an outside library.
var rooms = []struct {
	library string
	allowed []string
}{
	{"github.com/open-policy-agent/opa", []string{"server/policy"}},
	{"github.com/golang-jwt/jwt", []string{"server/token"}},
	{"database/sql", []string{"server/store"}},
	{"github.com/prometheus/client_golang", []string{"server"}},
	{"github.com/KimMachineGun/automemlimit", []string{"server"}},
	{"golang.org/x/crypto", []string{"server/account", "server/token"}},
	{"github.com/MicahParks", []string{"server/token"}},
	{"github.com/gin-gonic/gin", []string{"server", "server/oauth", "server/admin", "server/gateway", "server/pdp", "server/demo", "server/apidoc", "server/gate/gin.go"}},
}

type sourceFile struct {
	name    string // relative to the repository, with slashes
	syntax  *ast.File
	fileSet *token.FileSet
}

// sourceFiles parses every Go file below cmd, server, policies and data that is
// no test.
func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	for _, top := range []string{"cmd", "server", "policies", "data"} {
		files = append(files, parseBelow(t, filepath.Join("..", top))...)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files; is the test run from its own folder?", len(files))
	}
	return files
}

// parseBelow parses every Go file below a directory that is no test.
func parseBelow(t *testing.T, dir string) []sourceFile {
	t.Helper()
	var files []sourceFile
	fileSet := token.NewFileSet()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		syntax, err := parser.ParseFile(fileSet, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{filepath.ToSlash(strings.TrimPrefix(name, ".."+string(filepath.Separator))), syntax, fileSet})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEachFloorImportsOnlyFloorsBelow(t *testing.T) {
	for _, file := range sourceFiles(t) {
		from := path.Dir(file.name)
		floor, known := floors[from]
		if !known {
			t.Errorf("%s: package %s stands on no floor; give it one here and in docs/architecture.md", file.name, from)
			continue
		}
		for _, spec := range file.syntax.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			to, ours := strings.CutPrefix(imported, module)
			if ours && floors[to] >= floor && !strings.HasPrefix(to, from+"/") {
				t.Errorf("%s (floor %d) imports %s (floor %d)", file.name, floor, to, floors[to])
			}
		}
	}
}

func TestEachLibraryLivesInItsRoom(t *testing.T) {
	for _, file := range sourceFiles(t) {
		for _, spec := range file.syntax.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			for _, room := range rooms {
				if imported != room.library && !strings.HasPrefix(imported, room.library+"/") {
					continue
				}
				if !slices.Contains(room.allowed, path.Dir(file.name)) && !slices.Contains(room.allowed, file.name) {
					t.Errorf("%s imports %s, which belongs to %v", file.name, imported, room.allowed)
				}
			}
		}
	}
}

// publicRooms are what other people's programs import.
var publicRooms = []string{"server/gate", "server/policy", "server/token", "server/authz", "server/route", "server/problem"}

// An example is somebody else's program: it gets by with the public rooms, and what
// protects it stays short enough to be copied.
func TestExamplesArePlainPrograms(t *testing.T) {
	const longest = 29 // lines
	for _, example := range []string{"gin", "nethttp"} {
		dir := filepath.Join("..", "examples", example)
		main, err := os.ReadFile(filepath.Join(dir, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(main), "\n"); lines > longest {
			t.Errorf("examples/%s/main.go has %d lines, more than %d", example, lines, longest)
		}
		for _, file := range parseBelow(t, dir) {
			for _, spec := range file.syntax.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if room, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(publicRooms, room) {
					t.Errorf("%s imports %s; other people's programs get by with %v", file.name, room, publicRooms)
				}
			}
		}
	}
}

// What other people's programs import has a comment on every name.
func TestPublicRoomsAreDocumented(t *testing.T) {
	for _, room := range publicRooms {
		var files []*ast.File
		var fileSet *token.FileSet
		for _, file := range parseBelow(t, filepath.Join("..", room)) {
			if path.Dir(file.name) == room {
				files, fileSet = append(files, file.syntax), file.fileSet
			}
		}
		documented, err := doc.NewFromFiles(fileSet, files, module+room)
		if err != nil {
			t.Fatal(err)
		}
		if documented.Doc == "" {
			t.Errorf("package %s has no comment", room)
		}
		functions := documented.Funcs
		for _, named := range documented.Types {
			if named.Doc == "" {
				t.Errorf("%s.%s has no comment", room, named.Name)
			}
			functions = append(append(functions, named.Funcs...), named.Methods...)
		}
		for _, function := range functions {
			// What these two do is known.
			if function.Doc == "" && function.Name != "Error" && function.Name != "Unwrap" {
				t.Errorf("%s: %s has no comment", room, function.Name)
			}
		}
	}
}

func TestNoInitAndNoCatchAllPackages(t *testing.T) {
	for _, file := range sourceFiles(t) {
		if slices.Contains([]string{"util", "utils", "common", "helpers"}, path.Base(path.Dir(file.name))) {
			t.Errorf("%s: a package's name says what it is", file.name)
		}
		for _, declaration := range file.syntax.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
				t.Errorf("%s: init()", file.fileSet.Position(function.Pos()))
			}
		}
	}
}

// TestNoAuthorizationRuleInGo holds that roles and scopes are known to the
// policy and its data only: no Go file outside the demo spells one.
func TestNoAuthorizationRuleInGo(t *testing.T) {
	words := policyWords(t)
	for _, file := range sourceFiles(t) {
		if path.Dir(file.name) == "server/demo" {
			continue
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(literal.Value); err == nil && slices.Contains(words, text) {
				t.Errorf("%s: the role or scope %q in Go; say it in policies/ or data/", file.fileSet.Position(literal.Pos()), text)
			}
			return true
		})
	}
}

// policyWords reads the names of roles and scopes from data/roles.yaml. "client"
// is also a protocol's word (a client of RFC 6749), so it can't be told apart.
func policyWords(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "data", "roles.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	words := []string{}
	for _, match := range regexp.MustCompile(`[a-z]+:[a-z]+|(?m)^  ([a-z_-]+):`).FindAllStringSubmatch(string(text), -1) {
		word := match[0]
		if match[1] != "" {
			word = match[1]
		}
		if word != "client" {
			words = append(words, word)
		}
	}
	if !slices.Contains(words, "items:read") {
		t.Fatalf("read no scopes from data/roles.yaml, only %v", words)
	}
	return words
}
