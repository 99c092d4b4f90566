//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
)

// startOPA starts `opa run --server` on the default policy, and makes the load
// that asks it what Stagedoor asks its own engine for a GET of path.
func (b *bench) startOPA(ctx context.Context, env []string, path, route string, roles ...string) (*process, load, error) {
	policies, data, err := b.policyWith(nil)
	if err != nil {
		return nil, load{}, err
	}
	server, err := b.start(ctx, launch{name: "opa", env: env, argv: func(addr string) []string {
		return []string{b.programs.opa, "run", "--server", "--addr", addr, "--log-level", "error", "--disable-telemetry",
			"--ignore", "*_test.rego", policies, data}
	}})
	if err != nil {
		return nil, load{}, err
	}
	snapshot, err := policy.Load(ctx, policy.Dir(policies, data), policy.Options{})
	if err != nil {
		return nil, load{}, err
	}
	claims := map[string]any{
		"iss": issuer, "sub": b.state.ids[0], "aud": issuer, "client_id": "bench", "scope": "items:read items:write",
		"iat": json.Number(fmt.Sprint(time.Now().Unix())), "exp": json.Number(fmt.Sprint(time.Now().Add(time.Hour).Unix())),
	}
	input, err := snapshot.Input(&authz.Request{
		Method: "GET", Host: "127.0.0.1", Path: path, Segments: strings.Split(path, "/")[1:],
		Route: route, Params: map[string]string{"id": knownItem},
		Subject:  &authz.Subject{Kind: authz.KindAccount, ID: b.state.ids[0], Username: username(0), Roles: roles},
		Claims:   &authz.Claims{Values: claims},
		ClientIP: "127.0.0.1", Now: time.Now(),
	})
	if err != nil {
		return nil, load{}, err
	}
	body, err := json.Marshal(map[string]any{"input": input})
	if err != nil {
		return nil, load{}, err
	}
	asked, err := b.makeLoad("post", map[string][]string{"paths": {"/v1/data/authz/decision"}, "body": {string(body)}})
	if err != nil {
		return nil, load{}, err
	}
	return server, asked, b.checkOPA(ctx, server, asked)
}

// checkOPA makes sure that it is the decision that is measured.
func (b *bench) checkOPA(ctx context.Context, server *process, asked load) error {
	body, err := os.ReadFile(filepath.Join(asked.dir, "body"))
	if err != nil {
		return err
	}
	answer, err := post(ctx, "http://"+server.addr+"/v1/data/authz/decision", "application/json", string(body))
	if err != nil {
		return err
	}
	if !strings.Contains(answer, `"allow":true`) {
		return fmt.Errorf("opa was to allow the request, but answered %s", answer)
	}
	return nil
}
