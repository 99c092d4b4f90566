package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMigratingFromFastAPI types what docs/migrating-from-fastapi.md says into one
// shell, as TestREADME does, in an empty directory and on a free port. The block
// that starts the server is run in the background.
func TestMigratingFromFastAPI(t *testing.T) {
	needs(t, "bash", "curl", "openssl", "sed", "tr")
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "migrating-from-fastapi.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := readmeSteps(string(text))
	if len(steps) < 6 {
		t.Fatalf("found only %d blocks of commands; is it read right?", len(steps))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()

	bin, dir := t.TempDir(), t.TempDir()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// By this name the test's binary is the program; see TestMain.
	if err := os.Symlink(executable, filepath.Join(bin, "stagedoor")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	sh := startShell(t, dir)
	t.Cleanup(func() { sh.run(t, `kill $server; wait $server`) })
	for _, step := range steps {
		commands := strings.ReplaceAll(step.commands, "127.0.0.1:8080", address)
		if serve, ok := strings.CutPrefix(commands, "stagedoor serve "); ok {
			// The pipe ends, and with it the waiting, when the server does.
			commands = "mkfifo said; stagedoor serve --listen " + address + " " + strings.TrimSpace(serve) +
				" >said 2>server.log & server=$!\nexec 3<said; grep -m1 'answers on' <&3 || cat server.log"
			if output, _ := sh.run(t, commands); !strings.Contains(output, "answers on") {
				t.Fatalf("the server does not start:\n%s", output)
			}
			continue
		}
		output, code := sh.run(t, commands)
		if code != 0 {
			t.Fatalf("line %d: exit code %d from\n%s\n%s", step.line, code, step.commands, output)
		}
		if step.expected != "" && !matchesOutput(step.expected, output) {
			t.Errorf("line %d: printed\n%s\nbut the document says\n%s", step.line, output, step.expected)
		}
	}
}
