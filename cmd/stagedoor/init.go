package main

import (
	"fmt"
	"path/filepath"

	"github.com/stagedoor/stagedoor/server"
)

type initCmd struct {
	Dir string `arg:"" help:"Directory to make, or an existing one; its files are never overwritten."`
}

func (*initCmd) Help() string {
	return `It writes the default policies with their tests (policies/), the data that they read (data/), and the schemas of the policy's inputs (schemas/) for opa check and for editors.

  stagedoor init my
  stagedoor serve --policies my/policies --data my/data`
}

// Run writes the files and says what to do with them.
func (c *initCmd) Run(e *env) error {
	written, err := server.Scaffold(c.Dir)
	if err != nil {
		return err
	}
	for _, name := range written {
		fmt.Fprintln(e.stdout, filepath.Join(c.Dir, name))
	}
	policies, data := filepath.Join(c.Dir, "policies"), filepath.Join(c.Dir, "data")
	fmt.Fprintf(e.stderr, `
These are your policies now. Who may do what is in %[2]s; try

  stagedoor policy test --policies %[1]s --data %[2]s
  stagedoor serve --policies %[1]s --data %[2]s

and edit them while the server runs: a save is live at once, if its tests pass.
`, policies, data)
	return nil
}
