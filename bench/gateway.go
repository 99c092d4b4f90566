//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The names of the gateway's rows that others refer to.
const (
	rowNginx       = "nginx, proxy_pass"
	rowProxy       = "bare httputil.ReverseProxy"
	rowGateway     = "Stagedoor as gateway, authorised"
	rowAuthRequest = "nginx, auth_request asks Stagedoor"
	rowForwardAuth = "Stagedoor, the /forward-auth question by itself"
)

const (
	// shopPath is what is asked for, and shopRoutes declares it for the policy.
	shopPath   = "/shop/" + knownItem
	shopRoutes = "routes:\n  /shop/{id}: {upstream: shop, GET: {scopes: [items:read]}}\n"
	// shopBody is what the upstream answers with.
	shopBody = `{"id":"` + knownItem + `","title":"Carol's guitar"}`
)

// gateway measures Stagedoor in front of another service, and as the answer to
// nginx's questions, beside proxies that decide nothing. All have the same upstream.
func (b *bench) gateway(ctx context.Context, r *result) error {
	contenders, err := b.proxies(ctx)
	if err != nil {
		return err
	}
	r.Gateway, err = b.rounds(ctx, contenders, b.Rounds)
	return err
}

// proxies starts the servers and makes the loads.
func (b *bench) proxies(ctx context.Context) ([]*contender, error) {
	upstream, err := b.startNginx(ctx, "upstream", func(addr string) (string, error) {
		return "server {\n\tlisten " + addr + ";\n\tlocation / {\n\t\tdefault_type application/json;\n\t\treturn 200 '" +
			strings.ReplaceAll(shopBody, "'", `\'`) + "';\n\t}\n}\n", nil
	})
	if err != nil {
		return nil, err
	}
	plain, err := b.startNginx(ctx, "nginx", func(addr string) (string, error) {
		return "upstream shop { server " + upstream.addr + "; keepalive 64; keepalive_requests 1000000000; }\nserver {\n\tlisten " + addr +
			";\n\tlocation / {\n\t\tproxy_http_version 1.1;\n\t\tproxy_set_header Connection \"\";\n\t\tproxy_pass http://shop;\n\t}\n}\n", nil
	})
	if err != nil {
		return nil, err
	}
	bare := func(env ...string) (*process, error) {
		return b.start(ctx, launch{name: "proxy", env: env, argv: func(addr string) []string {
			return []string{b.programs.bare, "-kind", "proxy", "-listen", addr, "-upstream", "http://" + upstream.addr}
		}})
	}
	proxy, err := bare()
	if err != nil {
		return nil, err
	}
	evenProxy, err := bare(evenGC)
	if err != nil {
		return nil, err
	}
	policies, data, err := b.policyWith(nil)
	if err != nil {
		return nil, err
	}
	if err := declareShop(data, upstream.addr); err != nil {
		return nil, err
	}
	ours, err := b.startFresh(ctx, "stagedoor-gateway", "--policies", policies, "--data", data, "--trusted-proxies", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	asking, err := b.startNginx(ctx, "nginx-auth", func(addr string) (string, error) {
		return b.documentedNginx(addr, ours.addr, upstream.addr)
	})
	if err != nil {
		return nil, err
	}
	asking.beside = []*process{ours}

	token := b.state.tokens[:1]
	same, err := b.makeLoad("same", map[string][]string{"tokens": token, "paths": {shopPath}})
	if err != nil {
		return nil, err
	}
	question, err := b.makeLoad("same", map[string][]string{"tokens": token, "paths": {"/forward-auth?mode=nginx"},
		"headers": {"X-Original-Method: GET", "X-Original-URI: " + shopPath}})
	if err != nil {
		return nil, err
	}
	for _, p := range []*process{plain, proxy, evenProxy} {
		if err := b.checkProxy(ctx, p, http.StatusOK); err != nil {
			return nil, err
		}
	}
	for _, p := range []*process{ours, asking} {
		if err := b.checkProxy(ctx, p, http.StatusUnauthorized); err != nil {
			return nil, err
		}
	}
	return []*contender{
		{row: row{Name: rowNginx}, server: plain, load: same, duration: b.Duration},
		{row: row{Name: rowProxy, Base: rowNginx}, server: proxy, load: same, duration: b.Duration},
		{row: row{Name: rowProxy + evenly, Base: rowNginx}, server: evenProxy, load: same, duration: b.Duration},
		{row: row{Name: rowGateway, Base: rowNginx}, server: ours, load: same, duration: b.Duration},
		{row: row{Name: rowAuthRequest, Base: rowNginx}, server: asking, load: same, duration: b.Duration},
		{row: row{Name: rowForwardAuth, Base: rowNginx}, server: ours, load: question, duration: b.Duration},
	}, nil
}

// declareShop adds the upstream and its route to a directory of data.
func declareShop(data, upstream string) error {
	file := filepath.Join(data, "routes.yaml")
	routes, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("declaring the upstream: %w", err)
	}
	declared := strings.Replace(string(routes), "\nroutes:\n", "\n"+shopRoutes, 1)
	if declared == string(routes) {
		return errors.New("declaring the upstream: data/routes.yaml has no line `routes:` where it was")
	}
	for name, text := range map[string]string{
		file: declared, filepath.Join(data, "upstreams.yaml"): "upstreams: {shop: {url: 'http://" + upstream + "'}}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("declaring the upstream: %w", err)
		}
	}
	return nil
}

// startNginx starts nginx with what configure says of the address that it gets.
func (b *bench) startNginx(ctx context.Context, name string, configure func(addr string) (string, error)) (*process, error) {
	program, err := findNginx()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, name+"-*")
	if err != nil {
		return nil, fmt.Errorf("making a directory for nginx: %w", err)
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	servers, err := configure(addr)
	if err != nil {
		return nil, err
	}
	// A worker for each processor, as Go has its threads. Connections are kept for as
	// long as the others keep them; nginx would close one after 1,000 requests.
	config := "daemon off;\nworker_processes auto;\npid pid;\nerror_log stderr error;\nevents { worker_connections 4096; }\n" +
		"http {\naccess_log off;\nkeepalive_requests 1000000000;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += kind + "_temp_path " + kind + ";\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config+servers+"}\n"), 0o600); err != nil {
		return nil, fmt.Errorf("configuring nginx: %w", err)
	}
	return b.start(ctx, launch{name: name, addr: addr, argv: func(string) []string {
		return []string{program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	}})
}

func findNginx() (string, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // where not everybody's PATH leads
	}
	if err != nil {
		return "", errors.New("nginx is not installed, and the gateway is measured beside it: apt-get install nginx")
	}
	return program, nil
}

// documentedNginx is the configuration of docs/gateway.md, with its addresses
// replaced.
func (b *bench) documentedNginx(listen, stagedoor, upstream string) (string, error) {
	text, err := os.ReadFile(filepath.Join(b.root, "docs", "gateway.md"))
	if err != nil {
		return "", err
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindStringSubmatch(string(text))
	if block == nil {
		return "", errors.New("docs/gateway.md has no configuration of nginx")
	}
	return strings.NewReplacer("127.0.0.1:8080", stagedoor, "127.0.0.1:9000", upstream, "listen 8000;", "listen "+listen+";").Replace(block[1]), nil
}

// checkProxy makes sure that the upstream answers through a proxy, and that callers
// without a token are answered as is wanted.
func (b *bench) checkProxy(ctx context.Context, p *process, anonymous int) error {
	for token, want := range map[string]int{b.state.tokens[0]: http.StatusOK, "": anonymous} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+shopPath, nil)
		if err != nil {
			return err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("asking %s: %w", p.name, err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return fmt.Errorf("asking %s: %w", p.name, err)
		}
		if answer.StatusCode != want || want == http.StatusOK && string(body) != shopBody {
			return fmt.Errorf("%s answered %s (with a token: %t), not %d: %s", p.name, answer.Status, token != "", want, body)
		}
	}
	return nil
}
