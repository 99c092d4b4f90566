package server_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/route"
	"github.com/stagedoor/stagedoor/server/token"
)

func embeddedPolicy(t *testing.T) *policy.Snapshot {
	t.Helper()
	source, err := server.PolicySource("", "")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.Load(context.Background(), source, policy.Options{Deadline: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// TestSimulatedClaimsAreARealTokens compares with a token that the running
// server has issued; only its id and its times may differ.
func TestSimulatedClaimsAreARealTokens(t *testing.T) {
	const audience = "https://api.example.com"
	s := start(t, func(cfg *server.Config) { cfg.Audience = audience })
	cfg := server.DefaultConfig()
	cfg.State, cfg.Audience = s.state, audience
	for _, scope := range []string{"", "items:read", "items:read unheard:of"} {
		t.Run("scope "+scope, func(t *testing.T) {
			_, real, err := token.Inspect(s.token("carol", "secretcarol", scope))
			if err != nil {
				t.Fatal(err)
			}
			simulation, err := server.Simulate(t.Context(), cfg, embeddedPolicy(t), server.Question{
				Target: "/items/", User: "carol@example.com", Scope: scope,
			})
			if err != nil {
				t.Fatal(err)
			}
			simulated := simulation.Request.Claims.Values
			for _, name := range []string{"jti", "sid", "iat", "nbf", "exp"} {
				if simulated[name] == nil || real[name] == nil {
					t.Errorf("%s is missing: real %v, simulated %v", name, real[name], simulated[name])
				}
				delete(simulated, name)
				delete(real, name)
			}
			if !reflect.DeepEqual(simulated, real) {
				t.Errorf("simulated\n%v\nreal\n%v", simulated, real)
			}
		})
	}
}

func TestSimulateRefuses(t *testing.T) {
	s := start(t, nil)
	cfg := server.DefaultConfig()
	cfg.State = s.state
	elsewhere := cfg
	elsewhere.State = filepath.Join(t.TempDir(), "missing")
	snapshot := embeddedPolicy(t)
	var notCanonical *route.TargetError
	for _, c := range []struct {
		name     string
		cfg      server.Config
		question server.Question
		want     func(error) bool
	}{
		{"a path that is not canonical", cfg, server.Question{Target: "//items"}, func(err error) bool { return errors.As(err, &notCanonical) }},
		{"an unknown user", cfg, server.Question{Target: "/", User: "nobody"}, func(err error) bool { return errors.Is(err, account.ErrNotFound) }},
		{"a user without a state", elsewhere, server.Question{Target: "/", User: "carol"}, func(err error) bool { return errors.Is(err, server.ErrNoState) }},
		{"an address that is none", cfg, server.Question{Target: "/", ClientIP: "here"}, func(err error) bool { return err != nil }},
		{"a malformed scope", cfg, server.Question{Target: "/", User: "carol", Scope: `a"b`}, func(err error) bool { return err != nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := server.Simulate(t.Context(), c.cfg, snapshot, c.question); !c.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
