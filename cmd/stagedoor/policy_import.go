package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/openapi"
	"github.com/stagedoor/stagedoor/server/policy"
)

type policyImportCmd struct {
	File      string `arg:"" help:"The OpenAPI document (3.0 to 3.2; YAML or JSON), or - for standard input."`
	Upstream  string `help:"Name of the upstream (data/upstreams.yaml) that serves the routes. Default: none is named, so that a prefix or --upstream of serve says it." placeholder:"NAME"`
	Base      string `help:"Path below which the API lies, such as /v1, instead of those of the document's servers; / is none." placeholder:"PATH"`
	Unsecured string `help:"What to do with operations of which the document says nothing about security: deny (the default), authenticated or public." default:"deny" enum:"deny,authenticated,public" placeholder:"WHAT"`
	Out       string `help:"File to write to, instead of standard output." short:"o" placeholder:"FILE"`
	Force     bool   `help:"Write over a file that exists."`
	Output    string `help:"How to print: text is YAML for a data directory, with what was left out on standard error; json is all of it, whose members stay." default:"text" enum:"text,json" placeholder:"text|json"`
}

func (*policyImportCmd) Help() string {
	return `It turns the paths of an OpenAPI document into routes: scopes of oauth2, openIdConnect and http bearer schemes become scopes, no scope means any subject that is known, and 'security: []' is public. Nobody is let through to what can't be said as a route; it is listed on standard error as file:line.

Exit code 0 if everything was translated, 3 if something was left out (the rest is written all the same), 1 if the document can't be read.

  stagedoor policy import openapi.yaml -o my/data/shop.yaml --upstream shop
  curl -s http://127.0.0.1:9000/openapi.json | stagedoor policy import - --base /v1

To serve a document as it is, and each change of it, there is serve --openapi.`
}

// imported is what policy import --output json prints.
type imported struct {
	Routes       any            `json:"routes"`
	Scopes       []string       `json:"scopes"`
	Untranslated []openapi.Item `json:"untranslated"`
	Notes        []openapi.Item `json:"notes"`
}

// Run translates the document, prints the routes, and says what is missing in them.
func (c *policyImportCmd) Run(e *env) error {
	text, err := c.read(e)
	if err != nil {
		return err
	}
	if c.Base != "" {
		if err := openapi.CheckBase(c.Base); err != nil {
			return usageError(fmt.Sprintf("--base %q %v", c.Base, err))
		}
	}
	builtIn, err := policy.UnderBuiltIn(server.BuiltInRoutes(false))
	if err != nil {
		return err
	}
	document, err := openapi.Read(text, openapi.Options{Base: c.Base, Unsecured: openapi.Unsecured(c.Unsecured), BuiltIn: builtIn})
	var refused *openapi.Error
	if errors.As(err, &refused) {
		return errors.New(place(c.name(), refused.Line) + refused.Message)
	}
	if err != nil {
		return err
	}
	if err := c.write(e, document); err != nil {
		return err
	}
	if c.Output != "json" {
		for _, note := range document.Notes {
			fmt.Fprintf(e.stderr, "%snote: %s\n", place(c.name(), note.Line), note)
		}
		for _, item := range document.Left {
			fmt.Fprintf(e.stderr, "%s%s\n", place(c.name(), item.Line), item)
		}
	}
	if left := len(document.Left); left > 0 {
		fmt.Fprintf(e.stderr, "Left out: %s. Nobody is let through to them.\n", count(left, "operation"))
		return exitCode(exitPartly)
	}
	return nil
}

func (c *policyImportCmd) name() string {
	if c.File == "-" {
		return "standard input"
	}
	return c.File
}

// place is file:line, as editors find it.
func place(name string, line int) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d: ", name, line)
	}
	return name + ": "
}

func (c *policyImportCmd) read(e *env) ([]byte, error) {
	file := io.NopCloser(e.stdin)
	if c.File != "-" {
		opened, err := os.Open(c.File)
		if err != nil {
			return nil, fmt.Errorf("opening the document: %w", err)
		}
		file = opened
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, openapi.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	return text, nil
}

// write prints the routes, or writes them to the file.
func (c *policyImportCmd) write(e *env, document *openapi.Import) error {
	var text strings.Builder
	if c.Output == "json" {
		answer := imported{
			Routes: document.Data(c.Upstream)["routes"], Scopes: list(document.Scopes()),
			Untranslated: list(document.Left), Notes: list(document.Notes),
		}
		if err := writeJSON(&text, answer); err != nil {
			return err
		}
	} else {
		routes, err := document.YAML(c.name(), c.Upstream)
		if err != nil {
			return fmt.Errorf("printing the routes: %w", err)
		}
		text.Write(routes)
	}
	if c.Out == "" {
		_, err := io.WriteString(e.stdout, text.String())
		return err
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(c.Out, how, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; --force writes over it", c.Out)
	}
	if err != nil {
		return fmt.Errorf("writing the routes: %w", err)
	}
	_, err = io.WriteString(file, text.String())
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing the routes: %w", err)
	}
	return nil
}
