package server_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// missing skips the test by name for want of a tool; with STAGEDOOR_TEST_ALL=1 a
// skip is a failure.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("STAGEDOOR_TEST_ALL") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestNPMClients runs oauth4webapi, openid-client and jose, as npm has them,
// against the server: testdata/stockclients/flows.mjs says what they do.
func TestNPMClients(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "no "+tool+" is installed (Node.js 20 or later, with npm)")
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "stockclients"))); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if output, err := install.CombinedOutput(); err != nil {
		missing(t, "npm can't install the clients: "+err.Error()+"\n"+string(output))
	}

	s := start(t, nil)
	private := addRobot(t, s)

	flows := exec.CommandContext(t.Context(), "node", "flows.mjs", s.Issuer())
	flows.Dir = dir
	flows.Env = append(os.Environ(), "STAGEDOOR_PRIVATE_JWK="+private)
	flows.WaitDelay = 10 * time.Second
	flows.Stderr = &strings.Builder{}
	answers, err := flows.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := flows.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := flows.Start(); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == "rotate":
			s.admin(s.token("johndoe", "secret", ""), "POST", "/admin/v1/keys", `{"now":true}`).want(t, 201)
			if _, err := io.WriteString(answers, "done\n"); err != nil {
				t.Error(err)
			}
		case strings.HasPrefix(line, "ok - "):
			passed++
			t.Log(line)
		default:
			t.Error(line)
		}
	}
	if err := flows.Wait(); err != nil {
		t.Errorf("node: %v\n%s\n%s", err, flows.Stderr, s.log.since(0))
	}
	const least = 11
	if passed < least {
		t.Errorf("%d flows passed, want %d", passed, least)
	}
}

// addRobot registers a client that authenticates by private_key_jwt, and returns
// its private key as a JWK.
func addRobot(t *testing.T, s *running) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "robot-1", "x": encode(public)}
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	client := `{"client_id":"robot","confidential":true,"token_endpoint_auth_method":"private_key_jwt","grant_types":["client_credentials"],"scopes":["items:read"],"jwks":` + string(set) + `}`
	s.admin(s.token("johndoe", "secret", ""), "POST", "/admin/v1/clients", client).want(t, 201)
	delete(jwk, "use")
	jwk["d"] = encode(private.Seed())
	text, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
