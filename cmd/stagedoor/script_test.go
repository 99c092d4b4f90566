package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	opa "github.com/open-policy-agent/opa/cmd"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what the scripts print into their golden files")

// TestMain lets the scripts run this very test binary as `stagedoor`, and as the
// stock `opa` of the version that is embedded.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"stagedoor": main,
		"opa": func() {
			if err := opa.RootCommand.Execute(); err != nil {
				os.Exit(1)
			}
		},
	})
}

// TestScripts runs testdata/script: each file is a session that a person could
// type. Besides testscript's own commands there are
//
//	serve [FLAG...]        start `stagedoor serve` on a free port in the background, and wait
//	                       until it answers; sets $URL and $ADDR; welcome.txt has what
//	                       it prints, serve.log what it logs
//	signal TERM|KILL|HUP   send the server a signal; TERM and KILL wait for its end
//	serverlog REGEXP       wait until the server logs a matching line, from the last match on
//	login NAME PASSWORD    log in; sets $TOKEN. With ! the login must be refused
//	http [-t TOKEN] [-d FORM] METHOD PATH
//	                       ask the server; prints the status, the headers and the body
//	capture NAME REGEXP    set $NAME to what the one group of REGEXP matches in what was printed last
//	keyof STATE            set $KEY to the id of the key in that state
//	exits CODE ARG...      run stagedoor and expect that exit code
//	edit FILE OLD NEW      replace a text in a file, the way an editor saves: by rename
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":     scriptServe,
			"signal":    scriptSignal,
			"serverlog": scriptServerLog,
			"login":     scriptLogin,
			"http":      scriptHTTP,
			"exits":     scriptExits,
			"keyof":     scriptKeyOf,
			"capture":   scriptCapture,
			"edit":      scriptEdit,
		},
	})
}

// patience is how long a script waits for an event before it fails.
const patience = 20 * time.Second
