package server_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// copyDefaults puts the repository's policies and data where a test may edit
// them.
func copyDefaults(t *testing.T) (policies, data string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"policies", "data"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("..", name))); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "policies"), filepath.Join(dir, "data")
}

// edit replaces text in a file, as an editor that renames would.
func edit(t *testing.T, file, before, after string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), before, after, 1)
	if changed == string(text) {
		t.Fatalf("%s does not contain %q", file, before)
	}
	if err := os.WriteFile(file+"~", []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

func TestASavedPolicyDecidesTheNextRequest(t *testing.T) {
	policies, data := copyDefaults(t)
	s := start(t, func(cfg *server.Config) { cfg.Policies, cfg.Data = policies, data })
	carol := s.token("carol", "secretcarol", "")

	// Requests run all the while; none may fail.
	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				if a := s.call("GET", "/client-only", carol, ""); a.StatusCode != 200 {
					t.Errorf("a request failed during a reload: %d %s", a.StatusCode, a.body)
					return
				}
			}
		})
	}

	if a := s.call("GET", "/admin-only", carol, ""); a.StatusCode != 403 {
		t.Fatalf("before: %d", a.StatusCode)
	}
	s.log.waitAfter(t, "policy activated", func() {
		edit(t, filepath.Join(data, "routes.yaml"), "roles: [admin]", "roles: [admin, client]")
	})
	if a := s.call("GET", "/admin-only", carol, ""); a.StatusCode != 200 {
		t.Errorf("after the edit: %d %s", a.StatusCode, a.body)
	}

	for name, broken := range map[string]string{
		"does not parse":      "package authz\n\nallow if {\n",
		"does not type-check": "package authz\n\nmisspelt if input.clams.sub == \"x\"\n",
		"fails its tests":     "package extra_test\n\ntest_never if 1 == 2\n",
	} {
		t.Run(name, func(t *testing.T) {
			s.log.waitAfter(t, "policy refused", func() { write(t, policies, "authz/extra.rego", broken) })
			if a := s.call("GET", "/admin-only", carol, ""); a.StatusCode != 200 {
				t.Errorf("a refused policy changed a decision: %d", a.StatusCode)
			}
			status, err := os.ReadFile(filepath.Join(s.state, server.StatusFile))
			if err != nil || !strings.Contains(string(status), "extra.rego") {
				t.Errorf("the status does not name the file: %v\n%s", err, status)
			}
			s.log.waitAfter(t, "policy unchanged", func() {
				if err := os.Remove(filepath.Join(policies, "authz/extra.rego")); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
	cancel()
	load.Wait()
}

// TestAPolicyThatAllowsNothing: an odd policy denies, is reported, and nothing
// panics.
func TestAPolicyThatAllowsNothing(t *testing.T) {
	for name, rego := range map[string]string{
		"no rule at all":          "package authz\n",
		"no entrypoint":           "package other\n\nx := 1\n",
		"an undefined entrypoint": "package authz\n\ndecision := {\"allow\": true} if input.method == \"NEVER\"\n",
		"a string":                "package authz\n\ndecision := \"yes\"\n",
		"allow is a string":       "package authz\n\ndecision := {\"allow\": \"true\"}\n",
		"allow is a number":       "package authz\n\ndecision := {\"allow\": 1}\n",
		"a bare true":             "package authz\n\ndecision := true\n",
		"a set":                   "package authz\n\ndecision contains \"allow\"\n",
		"no allow":                "package authz\n\ndecision := {\"status\": 200}\n",
	} {
		t.Run(name, func(t *testing.T) {
			policies, data := t.TempDir(), t.TempDir()
			write(t, policies, "p.rego", rego)
			s := start(t, func(cfg *server.Config) { cfg.Policies, cfg.Data = policies, data })
			for _, path := range []string{"/", "/admin-only", "/items/", "/livez", "/token", "/nowhere"} {
				switch a := s.call("GET", path, "", ""); a.StatusCode {
				case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
				default:
					t.Errorf("GET %s: %d %s", path, a.StatusCode, a.body)
				}
			}
			status, err := os.ReadFile(filepath.Join(s.state, server.StatusFile))
			if err != nil || !strings.Contains(string(status), "warnings") {
				t.Errorf("not reported: %v\n%s", err, status)
			}
		})
	}
}

func TestABadPolicyIsARefusalToStart(t *testing.T) {
	policies := t.TempDir()
	write(t, policies, "p.rego", "package authz\n\nallow if {\n")
	cfg := server.DefaultConfig()
	cfg.Listen, cfg.State, cfg.Policies = "127.0.0.1:0", t.TempDir(), policies
	_, err := server.New(context.Background(), cfg, nil)
	if err == nil || !strings.Contains(err.Error(), "p.rego:") {
		t.Errorf("error %v; want one with file and line", err)
	}
}

func TestTokensSurviveARestartOnAnotherPort(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	inState := func(cfg *server.Config) { cfg.State = state }
	first := start(t, inState)
	token := first.token("johndoe", "secret", "")
	first.stop()
	occupied, err := net.Listen("tcp", first.Addr().String()) // so that the next port is another
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	second := start(t, inState)
	if a := second.call("GET", "/admin-only", token, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestListeningBeyondLoopbackNeedsAnIssuer(t *testing.T) {
	cfg := server.DefaultConfig()
	cfg.Listen, cfg.State = "0.0.0.0:0", t.TempDir()
	_, err := server.New(context.Background(), cfg, nil)
	var wrong *server.ConfigError
	if !errors.As(err, &wrong) || wrong.Option != "listen" {
		t.Errorf("error %v", err)
	}
}

func TestDemoPasswordsEndWithTheDemo(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start(t, func(cfg *server.Config) { cfg.State = state })
	s.token("johndoe", "secret", "") // its hash is another from now on
	s.stop()

	cfg := server.DefaultConfig()
	cfg.Listen, cfg.State = "127.0.0.1:0", state
	_, err := server.New(t.Context(), cfg, nil)
	var wrong *server.ConfigError
	if !errors.As(err, &wrong) || wrong.Option != "state" || !strings.Contains(err.Error(), "alice, carol, johndoe") {
		t.Errorf("error %v; want one that names the demo accounts", err)
	}
}

// TestARestartPassesOverTestsThatPassed: the second start with a state believes
// the first, and says so; changed content it does not.
func TestARestartPassesOverTestsThatPassed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	again := func(c *server.Config) { c.State = dir }
	first := start(t, again)
	if log := first.log.since(0); !strings.Contains(log, "tests_took") {
		t.Fatalf("the first start did not run the tests:\n%s", log)
	}
	first.stop()
	second := start(t, again)
	if log := second.log.since(0); !strings.Contains(log, "tests_passed_before") || strings.Contains(log, "tests_took") {
		t.Errorf("the second start ran the tests:\n%s", log)
	}
	status, err := os.ReadFile(filepath.Join(dir, server.StatusFile))
	if err != nil || !strings.Contains(string(status), `"passed_before"`) {
		t.Errorf("the status does not say so: %v\n%s", err, status)
	}
	john := second.token("johndoe", "secret", "")
	if a := second.call("GET", "/admin-only", john, ""); a.StatusCode != 200 {
		t.Errorf("an administrator: %d %s", a.StatusCode, a.body)
	}
	if a := second.call("GET", "/admin-only", "", ""); a.StatusCode != 401 {
		t.Errorf("a stranger: %d %s", a.StatusCode, a.body)
	}
	second.stop()

	data := t.TempDir()
	write(t, data, "routes.yaml", "routes:\n  /admin-only: {GET: {roles: [admin]}}\n")
	third := start(t, func(c *server.Config) { again(c); c.Data = data })
	if log := third.log.since(0); strings.Contains(log, "tests_passed_before") {
		t.Errorf("changed data were not tested:\n%s", log)
	}
}
