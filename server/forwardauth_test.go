package server_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// writePair writes a certificate and its key as PEM files.
func writePair(t *testing.T, dir string, pair tls.Certificate) {
	t.Helper()
	switch pair.PrivateKey.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		t.Fatalf("a key of type %T", pair.PrivateKey)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	write(t, dir, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

// ask asks a forward-auth question with headers in pairs.
func (r *running) ask(path, token string, headers ...string) answer {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodGet, r.URL()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return r.do(request)
}

func TestForwardAuth(t *testing.T) {
	s, _ := behind(t, "http://127.0.0.1:1", "", func(c *server.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	carol := s.token("carol", "secretcarol", "items:read")
	nginx := func(method, uri string) []string {
		return []string{"X-Original-Method", method, "X-Original-URI", uri}
	}
	caddy := func(method, uri string) []string {
		return []string{"X-Forwarded-Method", method, "X-Forwarded-Uri", uri, "X-Forwarded-Host", "shop.example.com"}
	}
	for _, c := range []struct {
		name, path, token string
		headers           []string
		status            int
		challenge         string
	}{
		{"nginx allowed", "/forward-auth", carol, nginx("GET", "/private/x?a=b"), 200, ""},
		{"nginx anonymous", "/forward-auth?mode=nginx", "", nginx("GET", "/private/x"), 401, `Bearer realm="stagedoor"`},
		{"nginx refused", "/forward-auth?mode=nginx", carol, nginx("DELETE", "/private/x"), 403, ""},
		{"nginx scope", "/forward-auth?mode=nginx", carol, nginx("POST", "/items/"), 403, `scope="items:write"`},
		{"nginx undeclared", "/forward-auth?mode=nginx", carol, nginx("GET", "/nowhere"), 403, ""},
		{"nginx wrong method", "/forward-auth?mode=nginx", carol, nginx("PUT", "/private/x"), 403, ""},
		{"nginx not canonical", "/forward-auth?mode=nginx", carol, nginx("GET", "/x/../private/x"), 403, ""},
		{"nginx public", "/forward-auth?mode=nginx", "", nginx("GET", "/shop/x"), 200, ""},
		{"Caddy allowed", "/forward-auth", carol, caddy("GET", "/private/x"), 200, ""},
		{"Caddy anonymous", "/forward-auth", "", caddy("GET", "/private/x"), 401, `Bearer realm="stagedoor"`},
		{"Caddy undeclared", "/forward-auth", carol, caddy("GET", "/nowhere"), 404, ""},
		{"Caddy wrong method", "/forward-auth", carol, caddy("PUT", "/private/x"), 405, ""},
		{"Caddy not canonical", "/forward-auth", carol, caddy("GET", "//private/x"), 400, ""},
		{"Envoy allowed", "/forward-auth/private/x?a=b", carol, nil, 200, ""},
		{"Envoy anonymous", "/forward-auth/private/x", "", nil, 401, `Bearer realm="stagedoor"`},
		{"Envoy not canonical", "/forward-auth//private/x", carol, nil, 400, ""},
		{"nothing described", "/forward-auth", carol, nil, 400, ""},
		{"unknown parameter", "/forward-auth?mode=apache", carol, nginx("GET", "/private/x"), 400, ""},
		{"method twice", "/forward-auth", carol, append(nginx("GET", "/private/x"), "X-Original-Method", "GET"), 400, ""},
		{"target twice", "/forward-auth", carol, append(caddy("GET", "/private/x"), "X-Forwarded-Uri", "/admin"), 400, ""},
		{"host twice", "/forward-auth", carol, append(caddy("GET", "/private/x"), "X-Forwarded-Host", "h"), 400, ""},
		{"a list of hosts", "/forward-auth", carol, []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/shop/x", "X-Forwarded-Host", "a, b"}, 400, ""},
		{"no host", "/forward-auth", carol, []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/shop/x"}, 400, ""},
		{"no method", "/forward-auth", carol, []string{"X-Original-URI", "/shop/x"}, 400, ""},
		{"malformed method", "/forward-auth", carol, nginx("GET, POST", "/shop/x"), 400, ""},
		{"absolute target", "/forward-auth", carol, nginx("GET", "http://h/shop/x"), 400, ""},
		{"described in two ways", "/forward-auth", carol, append(nginx("GET", "/shop/x"), caddy("GET", "/admin")...), 400, ""},
		{"described in path and header", "/forward-auth/shop/x", carol, caddy("GET", "/admin"), 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.ask(c.path, c.token, append(c.headers, "X-Auth-Subject", "root")...)
			if a.StatusCode != c.status || !strings.Contains(a.Header.Get("WWW-Authenticate"), c.challenge) {
				t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
			}
			if a.StatusCode != 200 {
				return
			}
			for _, name := range []string{"X-Auth-Subject", "X-Auth-Scopes", "X-Auth-Roles", "X-Tenant"} {
				if values := a.Header.Values(name); len(values) != 1 || values[0] == "root" {
					t.Errorf("%s is %q", name, values)
				}
			}
			if known := a.Header.Get("X-Auth-Subject") != ""; known != (c.token != "") {
				t.Errorf("subject %q", a.Header.Get("X-Auth-Subject"))
			}
		})
	}
}

func TestForwardAuthIsForTrustedProxies(t *testing.T) {
	s, _ := behind(t, "http://127.0.0.1:1", "", nil)
	for _, path := range []string{"/forward-auth", "/forward-auth?mode=nginx", "/forward-auth?mode=other", "/forward-auth/shop/x"} {
		if a := s.ask(path, "", "X-Original-Method", "GET", "X-Original-URI", "/shop/x"); a.StatusCode != 403 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}
