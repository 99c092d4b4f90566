package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/route"
)

// longestInput bounds an input read from a file, in bytes.
const longestInput = 16 << 20

type policyEvalCmd struct {
	File string `arg:"" optional:"" help:"The same as --input FILE."`

	Input      string   `help:"JSON file with the input, or - for standard input; instead of the flags that describe a request." placeholder:"FILE" group:"The question"`
	Method     string   `help:"Method of the request. Default: GET." placeholder:"METHOD" group:"The question"`
	Path       string   `help:"Canonical path of the request, perhaps with a query." placeholder:"/PATH" group:"The question"`
	Header     []string `help:"Header of the request, as 'Name: value'; repeat it for several. The policy sees those that --policy-headers names." sep:"none" placeholder:"HEADER" group:"The question"`
	Host       string   `help:"Host of the request. Default: localhost." placeholder:"HOST" group:"The question"`
	ClientIP   string   `name:"client-ip" help:"Address of the caller. Default: 127.0.0.1." placeholder:"IP" group:"The question"`
	User       string   `help:"Account in the state that asks, by username, e-mail address or id; without it nobody has logged in." placeholder:"NAME" group:"The question"`
	Scope      string   `help:"Scope that the user asked for at login. Default: none, which gives all that they may have." placeholder:"'A B'" group:"The question"`
	Resource   string   `help:"JSON object with the facts about the resource, which the server's code would find." placeholder:"JSON" group:"The question"`
	Entrypoint string   `help:"Which decision: authz (may the request pass?) or token (may the user have a token, and what is in it?)." default:"authz" enum:"authz,token" placeholder:"authz|token" group:"The question"`

	ShowInput bool `help:"Print the input, too: {\"input\": …, \"decision\": …}." group:"The answer"`
	Fail      bool `help:"Exit code 1 if the decision is not to allow." group:"The answer"`

	policyFlags
	issuerFlags
	PolicyHeaders    []string      `help:"Request headers that the policy sees." placeholder:"NAME" env:"STAGEDOOR_POLICY_HEADERS"`
	MaxTokenLifetime time.Duration `help:"Longest lifetime that the policy can give a token. Default: ${default}." default:"24h" placeholder:"DURATION" env:"STAGEDOOR_MAX_TOKEN_LIFETIME"`
}

func (*policyEvalCmd) Help() string {
	return `The input is the very one that the server would build: the user's roles are those in the state, the claims those of a token that the policy would issue them now, the route is matched. The exit code is 0 whatever the decision, unless --fail is given.

  stagedoor policy eval --path /items/ --method POST --user carol --scope items:read
  stagedoor policy eval --path /admin-only --show-input > case.json
  stagedoor policy eval --input input.json --policies my/policies --data my/data
  stagedoor policy eval --entrypoint token --user carol`
}

// Validate refuses flags that say nothing together.
func (c *policyEvalCmd) Validate() error {
	if c.File != "" {
		if c.Input != "" {
			return errors.New("the input is named twice: leave out --input, or the file")
		}
		c.Input = c.File
	}
	described := c.Header != nil || c.Method != "" || c.Path != "" || c.Host != "" || c.ClientIP != "" || c.User != "" || c.Scope != "" || c.Resource != ""
	switch {
	case c.Input != "" && described:
		return errors.New("--input is the whole input; leave out the flags that describe a request")
	case c.Input != "":
		return nil
	case c.Entrypoint == "token" && c.User == "":
		return errors.New("--entrypoint token needs --user NAME, or --input FILE")
	case c.Entrypoint == "authz" && c.Path == "":
		return errors.New("--path is missing, such as --path /items/ --user carol; or give --input FILE")
	case c.Scope != "" && c.User == "":
		return errors.New("--scope is what --user asks for at login; name the user")
	}
	return nil
}

// evaluated is what --show-input prints.
type evaluated struct {
	Input    any `json:"input"`
	Decision any `json:"decision"`
}

// Run builds or reads the input and prints the decision.
func (c *policyEvalCmd) Run(ctx context.Context, e *env) error {
	snapshot, err := c.load(ctx, e)
	if err != nil {
		return err
	}
	input, err := c.input(ctx, e, snapshot)
	if err != nil {
		return explain(err)
	}
	document := c.Entrypoint + ".decision"
	decision, err := snapshot.Eval(ctx, document, input)
	switch {
	case errors.Is(err, policy.ErrUndefined):
		fmt.Fprintf(e.stderr, "data.%s is undefined for this input, which denies.\n", document)
	case err != nil:
		return err
	}
	var answer any = decision
	if c.ShowInput {
		answer = evaluated{Input: input, Decision: decision}
	}
	if err := writeJSON(e.stdout, answer); err != nil {
		return err
	}
	if c.Fail && !allows(decision) {
		return exitCode(exitFailed)
	}
	return nil
}

// allows is what the server takes for a yes: the boolean true, and nothing else.
func allows(decision any) bool {
	object, _ := decision.(map[string]any)
	return object["allow"] == true
}

func (c *policyEvalCmd) input(ctx context.Context, e *env, snapshot *policy.Snapshot) (any, error) {
	if c.Input != "" {
		return readInput(e, c.Input)
	}
	question := server.Question{
		Method: c.Method, Target: c.Path, Host: c.Host, ClientIP: c.ClientIP,
		User: c.User, Scope: c.Scope, Now: time.Now(),
	}
	if c.Resource != "" {
		if err := decodeJSON(strings.NewReader(c.Resource), &question.Resource); err != nil {
			return nil, usageError(fmt.Sprintf("--resource %q is no JSON object: %v", c.Resource, err))
		}
	}
	if c.Entrypoint == "token" {
		question.Target = ""
	}
	question.Headers = http.Header{}
	for _, header := range c.Header {
		name, value, found := strings.Cut(header, ":")
		if !found {
			return nil, usageError(fmt.Sprintf("--header %q is not 'Name: value'", header))
		}
		question.Headers.Add(name, strings.TrimSpace(value))
	}
	cfg := c.config(e.state)
	cfg.PolicyHeaders, cfg.MaxTokenLifetime = c.PolicyHeaders, c.MaxTokenLifetime
	simulation, err := server.Simulate(ctx, cfg, snapshot, question)
	var target *route.TargetError
	if errors.As(err, &target) {
		return nil, usageError(fmt.Sprintf("--path %s: %s; the server answers 400 to it", c.Path, target.Detail))
	}
	if err != nil {
		return nil, err
	}
	if c.Entrypoint == "token" {
		return snapshot.GrantInput(simulation.Grant)
	}
	for _, reason := range simulation.NoToken {
		fmt.Fprintf(e.stderr, "Note: %s gets no token now: %s (%s). The claims are those of a token from before.\n",
			c.User, reason.Message, cmp.Or(reason.Code, "no code"))
	}
	return snapshot.Input(simulation.Request)
}

func readInput(e *env, name string) (any, error) {
	file := io.NopCloser(e.stdin)
	if name != "-" {
		opened, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening the input: %w", err)
		}
		file = opened
	}
	defer file.Close()
	var input any
	if err := decodeJSON(io.LimitReader(file, longestInput), &input); err != nil {
		return nil, fmt.Errorf("the input in %s is no JSON: %w", name, err)
	}
	return input, nil
}

// decodeJSON reads exactly one value, numbers as they are written.
func decodeJSON(r io.Reader, into any) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, new(any)); err != nil { // a decoder would pass over what follows
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
