//go:build linux && !race

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSmoke runs every section in miniature: what `make bench` does works, and
// writes no file. What it measures is worth nothing.
func TestSmoke(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		const why = "wrk is not installed"
		if os.Getenv("STAGEDOOR_TEST_ALL") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	page := filepath.Join("..", pageFile)
	before, _ := os.ReadFile(page) // there need not be one
	var stdout, progress bytes.Buffer
	wanted := sectionNames()
	_, noNginx := findNginx()
	if noNginx != nil {
		wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == "gateway" })
	}
	if err := run(t.Context(), []string{"-smoke", "-output", "json", "-only", strings.Join(wanted, ",")}, &stdout, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var r result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, stdout.String())
	}
	for name, missing := range map[string]bool{
		"stages": len(r.Stages) == 0, "growth": len(r.Growth) == 0, "http": len(r.HTTP) == 0, "memory": r.Memory == nil,
		"profile": r.Profile == nil, "latency": len(r.Latency) == 0, "reload": r.Reload == nil, "logins": r.Logins == nil, "start": r.Start == nil,
	} {
		if missing {
			t.Errorf("nothing was measured of %s", name)
		}
	}
	if r.Reload != nil && r.Reload.Failed > 0 {
		t.Errorf("%d requests failed during reloads: %v", r.Reload.Failed, r.Reload.Reasons)
	}
	// Every line of what must hold is judged, but perhaps for the delay of requests
	// during so few reloads.
	if got, least := len(r.Verdicts), 19; got < least {
		t.Errorf("%d verdicts, want at least %d: %+v", got, least, r.Verdicts)
	}
	for _, want := range []string{"A provisional run", "### What must hold", "GOGC=350 on both sides", "### Where a figure falls short", rowWarm, rowOPA, "### Growth", "### Reloads under load"} {
		if !strings.Contains(renderMain(&r), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	t.Run("gateway", func(t *testing.T) {
		if noNginx != nil {
			if os.Getenv("STAGEDOOR_TEST_ALL") == "1" {
				t.Fatal(noNginx)
			}
			t.Skip(noNginx)
		}
		for _, name := range []string{rowNginx, rowProxy, rowGateway, rowAuthRequest, rowForwardAuth} {
			if len(samplesOf(r.Gateway, name)) == 0 {
				t.Errorf("nothing was measured of %s", name)
			}
		}
		judged := slices.DeleteFunc(slices.Clone(r.Verdicts), func(v verdict) bool { return !strings.HasPrefix(v.What, "gateway, authorised") })
		if len(judged) != 2 || judged[0].Even == "" {
			t.Errorf("the gateway is judged as %+v", judged)
		}
		if !strings.Contains(renderMain(&r), "### In front of another service") {
			t.Error("the page lacks the gateway")
		}
	})
	if after, _ := os.ReadFile(page); !bytes.Equal(before, after) {
		t.Error("the page was written")
	}
}
