package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// grown are the series that have another value than before.
func grown(before, after map[string]float64, prefix string) map[string]float64 {
	changes := map[string]float64{}
	for name, value := range after {
		if change := value - before[name]; change != 0 && strings.HasPrefix(name, prefix) && !strings.Contains(name, "_seconds_bucket") && !strings.Contains(name, "_seconds_sum") {
			changes[strings.TrimPrefix(name, prefix)] = change
		}
	}
	return changes
}

func equal(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changed by\n%v, want\n%v", got, want)
	}
}

func TestMetricsOfTheGateway(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/shop/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/shop/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/shop/moved":
			w.WriteHeader(http.StatusFound)
		case "/shop/slow":
			<-r.Context().Done()
		case "/shop/cut":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/shop/left":
			began <- struct{}{}
			<-r.Context().Done()
			ended <- struct{}{}
		case "/shop/ws":
			echoSocket(w)
		}
	})
	s, data := behind(t, up.URL, ", response_timeout: 1s, max_body: 10", nil)
	admin := s.token("johndoe", "secret", "")
	const prefix = "stagedoor_upstream_"
	before := s.series(admin)
	for _, target := range []string{"/shop/a", "/shop/b", "/shop/missing", "/shop/broken", "/shop/slow"} {
		s.call("GET", target, "", "")
	}
	s.do(mustRequest(t, "GET", s.URL()+"/shop/moved"))
	s.call("GET", "/private/x", "", "") // is denied
	s.call("POST", "/shop/a", "", "more than ten bytes")
	if response, err := http.Get(s.URL() + "/shop/cut"); err == nil {
		_, _ = io.ReadAll(response.Body)
		response.Body.Close()
	}
	conn, _ := connect(t, s)
	_, _ = io.WriteString(conn, "GET /shop/left HTTP/1.1\r\nHost: h\r\n\r\n")
	wait(t, began, "the request")
	conn.Close()
	wait(t, ended, "its end")
	socket, err := openSocket(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := socket.echo("hello"); err != nil {
		t.Fatal(err)
	}
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	s.log.waitAfter(t, "policy activated", func() {
		write(t, data, "upstreams.yaml", fmt.Sprintf("upstreams:\n  other: {url: \"http://%s\", prefixes: [/shop/, /private/]}\n  shop: {url: %q}\n", down.Addr(), up.URL))
		edit(t, data+"/routes.yaml", "/shop/{path...}:\n    upstream: shop\n", "/shop/{path...}:\n")
	})
	s.call("GET", "/shop/a", "", "")
	want := map[string]float64{
		`requests_total{outcome="1xx",upstream="shop"}`: 1, `requests_total{outcome="2xx",upstream="shop"}`: 3,
		`requests_total{outcome="3xx",upstream="shop"}`: 1, `requests_total{outcome="4xx",upstream="shop"}`: 1,
		`requests_total{outcome="5xx",upstream="shop"}`: 1, `requests_total{outcome="timeout",upstream="shop"}`: 1,
		`requests_total{outcome="refused",upstream="shop"}`: 1, `requests_total{outcome="aborted",upstream="shop"}`: 1,
		`cut_answers_total{upstream="shop"}`: 1, `header_seconds_count{upstream="shop"}`: 7,
		`upgraded_connections{upstream="shop"}`: 1, `requests_total{outcome="unreachable",upstream="other"}`: 1,
	}
	equal(t, grown(before, s.series(admin), prefix), want)
	socket.Close()
	delete(want, `upgraded_connections{upstream="shop"}`)
	for { // it ends when the gateway has noticed
		if s.series(admin)[`stagedoor_upstream_upgraded_connections{upstream="shop"}`] == 0 {
			break
		}
	}
	equal(t, grown(before, s.series(admin), prefix), want)
}

func mustRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestMetricsOfForwardAuth(t *testing.T) {
	s, _ := behind(t, "http://127.0.0.1:1", "", func(c *server.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	admin := s.token("johndoe", "secret", "")
	before := s.series(admin)
	for _, c := range []struct{ path, method, target string }{
		{"/forward-auth", "GET", "/shop/x"}, {"/forward-auth?mode=nginx", "GET", "/private/x"},
		{"/forward-auth?mode=nginx", "GET", "/nowhere"}, {"/forward-auth?mode=nginx", "GET", "//shop/x"}, {"/forward-auth", "", "/shop/x"},
	} {
		s.ask(c.path, "", "X-Original-Method", c.method, "X-Original-URI", c.target)
	}
	equal(t, grown(before, s.series(admin), "stagedoor_forward_auth_questions_total"),
		map[string]float64{`{outcome="allow"}`: 1, `{outcome="deny"}`: 2, `{outcome="malformed"}`: 2})

	other := start(t, nil)
	admin = other.token("johndoe", "secret", "")
	other.ask("/forward-auth", "", "X-Original-Method", "GET", "X-Original-URI", "/items/")
	equal(t, grown(nil, other.series(admin), "stagedoor_forward_auth_questions_total"), map[string]float64{`{outcome="untrusted"}`: 1})
}

func TestMetricsOfAuthZEN(t *testing.T) {
	s := startAuthZEN(t)
	before := s.series("")
	s.post("/access/v1/evaluation", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"doc","id":"1"}}`)
	s.post("/access/v1/evaluation", `{"subject":{"type":"user","id":"b"},"action":{"name":"read"},"resource":{"type":"doc","id":"1"}}`)
	s.post("/access/v1/evaluation", `{"subject":{"type":"user","id":"torn"},"action":{"name":"read"},"resource":{"type":"doc","id":"1"}}`)
	s.post("/access/v1/evaluation", `{}`)
	s.post("/access/v1/evaluations", `{"action":{"name":"read"},"resource":{"type":"doc","id":"1"},"evaluations":[{"subject":{"type":"user","id":"a"}},{"subject":{"type":"user","id":"b"}},{}]}`)
	s.post("/access/v1/search/subject", `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"doc","id":"1"}}`)
	equal(t, grown(before, s.series(""), "stagedoor_access_"), map[string]float64{
		`decisions_total{decision="allow",endpoint="evaluation"}`: 1, `decisions_total{decision="deny",endpoint="evaluation"}`: 1,
		`decisions_total{decision="allow",endpoint="evaluations"}`: 1, `decisions_total{decision="deny",endpoint="evaluations"}`: 2,
		`decisions_total{decision="allow",endpoint="search"}`: 1, `decisions_total{decision="deny",endpoint="search"}`: 2,
		`request_seconds_count{endpoint="evaluation",outcome="answered"}`: 2, `request_seconds_count{endpoint="evaluation",outcome="invalid"}`: 1,
		`request_seconds_count{endpoint="evaluation",outcome="error"}`:     1,
		`request_seconds_count{endpoint="evaluations",outcome="answered"}`: 1, `request_seconds_count{endpoint="search",outcome="answered"}`: 1,
	})
}

// asking is a server whose metrics and questions are open to all.
type asking struct{ *running }

func startAuthZEN(t *testing.T) asking {
	t.Helper()
	policies, data := t.TempDir(), t.TempDir()
	write(t, data, "routes.yaml", "routes: {/metrics: {GET: {}}, /access/v1/evaluation: {POST: {}}, /access/v1/evaluations: {POST: {}}, /access/v1/search/subject: {POST: {}}}\n")
	write(t, policies, "authz/authz.rego", "package authz\n\ndecision := {\"allow\": true}\n")
	write(t, policies, "authzen/authzen.rego", `package authzen

decision := input.subject.id == "a" if input.subject.id != "torn"

decision := true if input.subject.id == "torn"

decision := false if input.subject.id == "torn"

entities := {"subjects": {"user": {"a", "b", "c"}}, "resources": {}, "actions": {}}
`)
	return asking{start(t, func(c *server.Config) { c.Policies, c.Data = policies, data })}
}

func (a asking) post(path, body string) { a.call("POST", path, "", body) }
