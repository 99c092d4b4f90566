package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Derive makes data of a file that is not data itself, such as the description of an
// API. It is called at each load with the file's path and text, and should depend on
// nothing else. A [*FileError] tells the line.
type Derive func(name string, text []byte) (Derived, error)

// Derived is the data that was made of a file.
type Derived struct {
	// Data is a data file's text: YAML, or JSON where the file is called .json.
	Data []byte
	// Routes are the lines, in the file, of the routes that it declares, by pattern. A
	// pattern in it which another file declares, too, is refused. nil where the data
	// says itself where everything is.
	Routes map[string]int
	// Left is what could not be made data, with its line. The first of them are the
	// snapshot's warnings; ListAll, which ends the last of these, says how to see all.
	Left    []Problem
	ListAll string
}

// FileError says what is wrong with a file that data is derived from.
type FileError struct {
	// File is set by the source.
	File string
	Line int
	Err  error
}

func (e *FileError) Error() string { return e.File + ": " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// Derive is the source with each of its files turned into data.
func (s Source) Derive(derive Derive) Source {
	derived := Source{roots: slices.Clone(s.roots)}
	for i := range derived.roots {
		derived.roots[i].derive = derive
	}
	return derived
}

// derive turns the files of a content into data where a root says so. What was made
// becomes part of the digest, for it may depend on the program, too.
func (s Source) derive(c *content) error {
	sum := sha256.New()
	sum.Write([]byte(c.digest))
	any := false
	for i := range c.files {
		f := &c.files[i]
		derive := s.roots[f.root].derive
		if derive == nil {
			continue
		}
		made, err := derive(f.name, f.data)
		if err != nil {
			var at *FileError
			if !errors.As(err, &at) {
				at = &FileError{Err: err}
			}
			at.File = f.name
			return at
		}
		any = true
		f.data, f.routes = made.Data, made.Routes
		sum.Write(made.Data)
		c.leftOut(f.name, made)
	}
	if any {
		c.digest = hex.EncodeToString(sum.Sum(nil))
	}
	return nil
}

// leftOut makes a warning of each of the first things that were left out.
func (c *content) leftOut(name string, made Derived) {
	for i, p := range made.Left {
		p.File = name
		if i == maxTableProblems {
			message := fmt.Sprintf("%s: and %d more", name, len(made.Left)-i)
			if made.ListAll != "" {
				message += "; " + made.ListAll
			}
			c.warnings = append(c.warnings, Warning{Code: WarnLeftOut, Message: message})
			return
		}
		c.warnings = append(c.warnings, Warning{Code: WarnLeftOut, Message: p.place() + ": " + p.Message})
	}
}

// declaredTwice finds the routes that both a derived file and another one declare.
// Merged, they would be a third thing, which neither says.
func (c *content) declaredTwice() (problems []Problem) {
	for _, derived := range c.files {
		if len(derived.routes) == 0 {
			continue
		}
		for i := range c.files {
			other := &c.files[i]
			if other.name == derived.name {
				continue
			}
			declared := other.declaredRoutes()
			for _, pattern := range slices.Sorted(maps.Keys(derived.routes)) {
				line, twice := declared[pattern]
				if !twice || len(problems) == maxTableProblems {
					continue
				}
				where := Problem{File: other.name, Line: line}
				problems = append(problems, Problem{
					File: derived.name, Line: derived.routes[pattern], Code: CodeRoutes,
					Message: fmt.Sprintf("route %q is declared in %s, too; remove one", pattern, where.place()),
				})
			}
		}
	}
	return problems
}

// declaredRoutes are the lines of the routes that a data file declares.
func (f *file) declaredRoutes() map[string]int {
	if f.routes != nil {
		return f.routes
	}
	rest, ok := f.below(routesName)
	if !ok {
		return nil
	}
	var document yaml.Node
	if yaml.Unmarshal(f.data, &document) != nil || len(document.Content) == 0 {
		return nil
	}
	node := document.Content[0]
	for _, key := range rest {
		if _, node = memberOf(node, key); node == nil {
			return nil
		}
	}
	lines := map[string]int{}
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		lines[node.Content[i].Value] = node.Content[i].Line
	}
	return lines
}
