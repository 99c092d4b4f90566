package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/policy"
)

// openGateway is a server whose every path goes to an upstream, which has further
// members (YAML).
func openGateway(t *testing.T, upstream http.Handler, members string) *httptest.Server {
	t.Helper()
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	snapshot, err := policy.Load(context.Background(), policy.FS(
		fstest.MapFS{"authz/authz.rego": {Data: []byte("package authz\n\ndecision := {\"allow\": true}\n")}},
		fstest.MapFS{"data.yaml": {Data: []byte("routes:\n  /{path...}: {upstream: u, GET: {}}\nupstreams: {u: {url: '" + behind.URL + "', " + members + "}}\n")}},
	), policy.Options{Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	door, err := gate.New(gate.Options{Policy: fixed{snapshot}})
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(gateway.Options{})
	t.Cleanup(g.Close)
	server := httptest.NewServer(door.Wrap(g.Proxy(http.NotFoundHandler())))
	t.Cleanup(server.Close)
	return server
}

// idle_timeout is for callers: an upstream that pauses for longer, before it goes on or
// ends, is no caller that stopped reading.
func TestAnUpstreamMayPause(t *testing.T) {
	const idle = 50 * time.Millisecond
	server := openGateway(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, part := range []string{"one ", "two"} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
			<-time.After(3 * idle) // nothing happens: that is what is tested
		}
	}), "idle_timeout: "+idle.String())
	answer, err := http.Get(server.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "one two" {
		t.Errorf("%q, %v", body, err)
	}
}
