package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Codes of problems that are not OPA's own (those begin with rego_ or eval_).
const (
	// CodeSource: the directories can't be read.
	CodeSource = "source_error"
	// CodeData: a data file can't be loaded.
	CodeData = "data_error"
	// CodeRoutes: data.routes is malformed or ambiguous.
	CodeRoutes = "routes_error"
	// CodePanic: the engine failed on the policy; nothing else is known.
	CodePanic = "engine_panic"
	// CodeTestFailed: a test of the policy failed.
	CodeTestFailed = "test_failed"
	// CodeTestError: a test of the policy could not be evaluated.
	CodeTestError = "test_error"
	// CodeTestTimeout: the tests did not end within their deadline.
	CodeTestTimeout = "test_timeout"
)

// Problem is one reason for refusing a policy.
type Problem struct {
	// File is the path as it was given; empty where no file is to blame.
	File string `json:"file,omitempty"`
	// Line and Column count from 1; 0 where unknown.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Code is OPA's code, such as rego_parse_error, or one of the Code constants.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Test is the full name of the test that failed, such as
	// data.authz_test.test_admin.
	Test string `json:"test,omitempty"`
	// Expected and Got say what was wanted and what was found instead, in Rego's
	// notation, as far as they are known.
	Expected string `json:"expected,omitempty"`
	Got      string `json:"got,omitempty"`
}

// String is the problem on one line, file and line first.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.place() + ": ")
	}
	fmt.Fprintf(&b, "%s: %s", p.Code, p.Message)
	switch {
	case p.Expected != "" && p.Got != "":
		fmt.Fprintf(&b, " (expected %s, got %s)", p.Expected, p.Got)
	case p.Expected != "":
		fmt.Fprintf(&b, " (expected %s)", p.Expected)
	case p.Got != "":
		fmt.Fprintf(&b, " (got %s)", p.Got)
	}
	return b.String()
}

// place is the file, with the line where it is known.
func (p Problem) place() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return p.File
}

// LoadError says why a policy was refused. It is returned by [Load], [New],
// [Engine.Reload] and [Test].
type LoadError struct {
	// Revision is the digest of the content that was refused; empty when it
	// could not be read.
	Revision string
	// Problems are ordered by file and line; there is at least one.
	Problems []Problem

	cause error
}

// Error lists all problems, one on a line.
func (e *LoadError) Error() string {
	if len(e.Problems) == 1 {
		return "policy refused: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "policy refused, %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}

// Unwrap gives the error of reading the source, so that errors.Is finds
// fs.ErrNotExist and the like.
func (e *LoadError) Unwrap() error { return e.cause }

// sourceProblem describes an error of reading the source.
func sourceProblem(err error) Problem {
	var derived *FileError
	if errors.As(err, &derived) {
		return Problem{File: derived.File, Line: derived.Line, Code: CodeData, Message: derived.Err.Error()}
	}
	p := Problem{Code: CodeSource, Message: err.Error()}
	if errors.Is(err, fs.ErrNotExist) {
		p.Message += "; create it, or give another one"
	}
	return p
}

// problems turns whatever OPA returned into problems.
func problems(err error) []Problem {
	switch err := err.(type) {
	case loader.Errors:
		var all []Problem
		for _, e := range err {
			all = append(all, problems(e)...)
		}
		return all
	case ast.Errors:
		var all []Problem
		for _, e := range err {
			all = append(all, astProblem(e))
		}
		return all
	case *ast.Error:
		return []Problem{astProblem(err)}
	case *topdown.Error:
		p := Problem{Code: err.Code, Message: err.Message}
		p.at(err.Location)
		return []Problem{p}
	}
	return []Problem{dataProblem(err)}
}

// astProblem describes an error of parsing, compiling or type checking.
func astProblem(err *ast.Error) Problem {
	p := Problem{Code: err.Code, Message: err.Message}
	p.at(err.Location)
	switch d := err.Details.(type) {
	case *ast.RefErrInvalidDetail:
		if d.Pos < len(d.Ref) {
			p.Got = d.Ref[d.Pos].Value.String()
		}
		if d.Have != nil {
			p.Got = d.Have.String()
		}
		switch {
		case len(d.OneOf) > 0:
			names := make([]string, len(d.OneOf))
			for i, v := range d.OneOf {
				names[i] = v.String()
			}
			p.Expected = "one of " + strings.Join(names, ", ")
		case d.Want != nil:
			p.Expected = d.Want.String()
		}
	case *ast.ParserErrorDetail:
		p.Got = strings.TrimSpace(d.Line)
	}
	if name, ok := strings.CutPrefix(p.Message, "undefined function "); ok && reachesOut(name) {
		p.Message += ": it reaches out of the policy, and is off unless the configuration allows the policy to use the network"
	}
	return p
}

// at sets the place.
func (p *Problem) at(loc *ast.Location) {
	if loc != nil {
		p.File, p.Line, p.Column = loc.File, loc.Row, loc.Col
	}
}

// yamlLine finds the line in a message of the YAML library.
var yamlLine = regexp.MustCompile(`yaml: (?:unmarshal errors:\s+)?line (\d+)`)

// dataProblem describes an error of a data file, which OPA gives as text that
// begins with the file's name.
func dataProblem(err error) Problem {
	p := Problem{Code: CodeData, Message: err.Error()}
	text := strings.TrimPrefix(p.Message, "bundle ")
	if name, rest, ok := strings.Cut(text, ": "); ok && loadable(filepath.ToSlash(name)) {
		p.File, p.Message = name, rest
	}
	if m := yamlLine.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
	}
	return p
}

// locateJSON fills in the line of a JSON syntax error.
func (p *Problem) locateJSON(data []byte) {
	if p.Line > 0 || filepath.Ext(p.File) != ".json" {
		return
	}
	var v any
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &v); errors.As(err, &syntax) && int(syntax.Offset) <= len(data) {
		p.Line = 1 + strings.Count(string(data[:syntax.Offset]), "\n")
	}
}
