package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/policy/schema"
)

type policyCmd struct {
	Check  policyCheckCmd  `cmd:"" help:"Check a policy as the server does before it goes live."`
	Test   policyTestCmd   `cmd:"" help:"Run a policy's tests and show what they cover."`
	Eval   policyEvalCmd   `cmd:"" help:"Show what a policy decides, and why."`
	Import policyImportCmd `cmd:"" help:"Turn an OpenAPI document into routes."`
	Schema policySchemaCmd `cmd:"" help:"Write the JSON Schemas of the policy's inputs."`
	Status policyStatusCmd `cmd:"" help:"Show which policy the server runs, and what it refused."`
}

// policyDirs are the options of serve that say where the policy is.
type policyDirs struct {
	Policies string `help:"Directory of Rego, instead of the embedded policies." placeholder:"DIR" env:"STAGEDOOR_POLICIES"`
	Data     string `help:"Directory of the policy's data, instead of the embedded data." placeholder:"DIR" env:"STAGEDOOR_DATA"`
}

// String says where the policy comes from.
func (d policyDirs) String() string {
	return cmp.Or(d.Policies, "embedded policies") + ", " + cmp.Or(d.Data, "embedded data")
}

func (d policyDirs) source() (policy.Source, error) {
	return server.PolicySource(d.Policies, d.Data)
}

// warnOfUnknownRoles says so where a role means nothing to the policy. It is a
// warning, for the policy may learn of the role later, or know it otherwise.
func (d policyDirs) warnOfUnknownRoles(ctx context.Context, e *env, roles []string) {
	if len(notEmpty(roles)) == 0 {
		return
	}
	source, err := d.source()
	if err != nil {
		return // the policy is not what the command is about
	}
	known, err := policy.DataKeys(ctx, source, "roles")
	if err != nil || len(known) == 0 {
		return
	}
	for _, role := range slices.Compact(slices.Sorted(slices.Values(notEmpty(roles)))) {
		if !slices.Contains(known, role) {
			fmt.Fprintf(e.stderr, "Warning: the policy's data knows no role %q, but %s.\n", role, strings.Join(known, ", "))
		}
	}
}

// policyFlags are the options of serve that say how a policy is loaded.
type policyFlags struct {
	policyDirs
	PolicyNetwork bool `help:"Let the policy reach out: http.send, net.lookup_ip_addr, opa.runtime." env:"STAGEDOOR_POLICY_NETWORK"`
}

func (f policyFlags) options(e *env) policy.Options {
	return policy.Options{AllowNetwork: f.PolicyNetwork, Logger: e.logger, BuiltIn: server.BuiltInRoutes(false)}
}

// load loads the policy as the server does. What is wrong with it is printed,
// and the error is an exit code then.
func (f policyFlags) load(ctx context.Context, e *env) (*policy.Snapshot, error) {
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	options := f.options(e)
	options.Logger = nil // warnings are printed by who asked
	snapshot, err := policy.Load(ctx, source, options)
	return snapshot, refusedPolicy(e, err)
}

// refusedPolicy prints why a policy was refused, a problem on a line.
func refusedPolicy(e *env, err error) error {
	var refused *policy.LoadError
	if !errors.As(err, &refused) {
		return err
	}
	for _, problem := range refused.Problems {
		fmt.Fprintln(e.stderr, problem)
	}
	fmt.Fprintf(e.stderr, "Refused: %s. A server keeps the policy that it runs.\n", count(len(refused.Problems), "problem"))
	return exitCode(exitFailed)
}

type policyCheckCmd struct {
	policyFlags
	outputFlag
}

func (*policyCheckCmd) Help() string {
	return `It reads, compiles (strictly), type-checks against the inputs' schemas, and runs the tests: what is good here goes live, and nothing else does. Exit code 1 if the policy is refused, with every problem as file:line.

It also says whether the server can keep decisions in memory. A decision that depends on the clock, randomness or the network can't be kept; each place in the policy that reads one is named as file:line.

  stagedoor policy check --policies my/policies --data my/data`
}

// checked is what policy check --output json prints.
type checked struct {
	OK       bool             `json:"ok"`
	Revision string           `json:"revision,omitempty"`
	Modules  int              `json:"modules"`
	Routes   int              `json:"routes"`
	Tests    int              `json:"tests"`
	Warnings []policy.Warning `json:"warnings"`
	// Uncacheable are the places that keep decisions from being cached.
	Uncacheable []policy.Problem `json:"uncacheable"`
	Problems    []policy.Problem `json:"problems"`
}

// Run checks the policy and prints what is wrong or odd.
func (c *policyCheckCmd) Run(ctx context.Context, e *env) error {
	if c.json() {
		return c.runJSON(ctx, e)
	}
	snapshot, err := c.load(ctx, e)
	if err != nil {
		return err
	}
	uncacheable := snapshot.Uncacheable()
	for _, warning := range otherWarnings(snapshot.Warnings()) {
		fmt.Fprintf(e.stdout, "warning: %s: %s\n", warning.Code, warning.Message)
	}
	for _, problem := range uncacheable {
		fmt.Fprintf(e.stdout, "warning: %s\n", problem)
	}
	fmt.Fprintf(e.stdout, "OK: %s: %s, %s, %s passed, revision %.12s\n",
		c.policyDirs, count(snapshot.Modules(), "module"), count(len(snapshot.Routes()), "route"),
		count(snapshot.Tests().Passed, "test"), snapshot.Revision())
	if len(uncacheable) == 0 {
		fmt.Fprintln(e.stdout, "Every decision can be cached.")
	} else {
		fmt.Fprintf(e.stdout, "Decisions can be cached, except those that reach the %s named above.\n", count(len(uncacheable), "place"))
	}
	return nil
}

// otherWarnings leaves out the one for what is uncacheable, which names the first
// place only: each is printed from its own list.
func otherWarnings(all []policy.Warning) []policy.Warning {
	return slices.DeleteFunc(all, func(w policy.Warning) bool { return w.Code == policy.WarnUncacheable })
}

func (c *policyCheckCmd) runJSON(ctx context.Context, e *env) error {
	source, err := c.source()
	if err != nil {
		return err
	}
	snapshot, err := policy.Load(ctx, source, policy.Options{AllowNetwork: c.PolicyNetwork, BuiltIn: server.BuiltInRoutes(false)})
	var refused *policy.LoadError
	if errors.As(err, &refused) {
		answer := checked{Revision: refused.Revision, Warnings: []policy.Warning{}, Uncacheable: []policy.Problem{}, Problems: refused.Problems}
		return errors.Join(writeJSON(e.stdout, answer), exitCode(exitFailed))
	}
	if err != nil {
		return err
	}
	return writeJSON(e.stdout, checked{
		OK: true, Revision: snapshot.Revision(), Modules: snapshot.Modules(),
		Routes: len(snapshot.Routes()), Tests: snapshot.Tests().Total,
		Warnings: list(snapshot.Warnings()), Uncacheable: list(snapshot.Uncacheable()), Problems: []policy.Problem{},
	})
}

type policySchemaCmd struct {
	Dir string `arg:"" help:"Directory to write to; it is made if it is missing, and older schemas in it are replaced."`
}

func (*policySchemaCmd) Help() string {
	return `The schemas describe the inputs of data.authz.decision, data.token.decision and data.authzen.decision. The server checks every policy against them; with the files, stock opa and editors do too. Keep them outside the policy directory, or opa loads them as data.

  stagedoor policy schema schemas
  opa check --schema schemas policies data`
}

// Run writes the schemas.
func (c *policySchemaCmd) Run(e *env) error {
	if err := schema.Write(c.Dir); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Wrote the schemas to %s; use them with `opa check --schema %s`.\n", c.Dir, c.Dir)
	return nil
}
