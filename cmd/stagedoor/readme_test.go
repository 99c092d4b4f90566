package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestREADME does what README.md says, in a copy of the repository: every block
// marked sh is typed into one shell, in order, and a block marked text right
// after it is what must be printed ("..." stands for anything).
func TestREADME(t *testing.T) {
	needs(t, "bash", "make", "curl", "git")
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		skip(t, "port 8080, which the README uses, is taken")
	}
	listener.Close()

	repository := copyRepository(t)
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := readmeSteps(string(text))
	if len(steps) < 5 {
		t.Fatalf("README.md has only %d blocks of commands; is it read right?", len(steps))
	}
	sh := startShell(t, repository)
	for _, step := range steps {
		if step.commands == "make run\n" {
			startServer(t, repository)
			continue
		}
		typeSteps(t, "README.md", sh, []readmeStep{step})
	}
}

// TestGoProgramsGuide does what docs/go-programs.md says, in the same manner, and holds
// the program that it shows to be the one that is tested.
func TestGoProgramsGuide(t *testing.T) {
	needs(t, "bash", "make", "curl", "git", "sed")
	for _, port := range []string{"8080", "9000"} {
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			skip(t, "port "+port+", which the guide uses, is taken")
		}
		listener.Close()
	}
	repository := copyRepository(t)
	guide, err := os.ReadFile(filepath.Join(repository, "docs", "go-programs.md"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(repository, "examples", "nethttp", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(guide, append([]byte("```go\n"), append(program, "```\n"...)...)) {
		t.Error("docs/go-programs.md shows another program than examples/nethttp/main.go")
	}
	typeSteps(t, "docs/go-programs.md", startShell(t, repository), readmeSteps(string(guide)))
}

// typeSteps types each step into the shell, and holds what is printed against what the
// document says.
func typeSteps(t *testing.T, document string, sh *shell, steps []readmeStep) {
	t.Helper()
	for _, step := range steps {
		output, code := sh.run(t, step.commands)
		if code != 0 {
			t.Fatalf("%s:%d: exit code %d from\n%s\n%s", document, step.line, code, step.commands, output)
		}
		if step.expected != "" && !matchesOutput(step.expected, output) {
			t.Errorf("%s:%d: printed\n%s\nbut it says\n%s", document, step.line, output, step.expected)
		}
	}
}

type readmeStep struct {
	line               int
	commands, expected string
}

func readmeSteps(text string) []readmeStep {
	var steps []readmeStep
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] != "```sh\n" {
			continue
		}
		step := readmeStep{line: i + 2}
		step.commands, i = readBlock(lines, i+1)
		for next := i + 1; next < len(lines); next++ {
			if lines[next] == "```text\n" {
				step.expected, i = readBlock(lines, next+1)
			}
			if strings.TrimSpace(lines[next]) != "" {
				break
			}
		}
		steps = append(steps, step)
	}
	return steps
}

func readBlock(lines []string, from int) (block string, end int) {
	for end = from; end < len(lines) && lines[end] != "```\n"; end++ {
		block += lines[end]
	}
	return block, end
}

func matchesOutput(expected, output string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(expected)), `\.\.\.`, `(?s:.*)`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(strings.TrimSpace(output))
}

// copyRepository copies what git tracks, or would, to a new folder.
func copyRepository(t *testing.T) string {
	t.Helper()
	target := t.TempDir()
	list := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	list.Dir = filepath.Join("..", "..")
	names, err := list.Output()
	if err != nil {
		t.Fatalf("listing the repository's files: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		source := filepath.Join("..", "..", name)
		info, err := os.Stat(source)
		if os.IsNotExist(err) { // deleted, but not yet committed as such
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(target, name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, content, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

// startServer runs `make run` until the test ends, and returns once it answers.
func startServer(t *testing.T, dir string) {
	t.Helper()
	command := exec.Command("make", "run")
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	command.Stderr = &log
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		_ = command.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "answers on http://127.0.0.1:8080") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return
		}
	}
	t.Fatalf("`make run` ended without answering:\n%s", log.String())
}

// shell is one bash that runs block after block, as a person's would.
type shell struct {
	stdin  io.Writer
	output *bufio.Reader
}

func startShell(t *testing.T, dir string) *shell {
	t.Helper()
	command := exec.Command("bash", "--noprofile", "--norc")
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // with what runs in its background
		_ = command.Wait()
	})
	return &shell{stdin, bufio.NewReader(output)}
}

// run types commands and returns what they print, with the last one's exit code.
func (s *shell) run(t *testing.T, commands string) (output string, code int) {
	t.Helper()
	const mark = "--- end of block, exit code "
	if _, err := fmt.Fprintf(s.stdin, "%s\necho \"\n%s$?\"\n", commands, mark); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := s.output.ReadString('\n')
		if err != nil {
			t.Fatalf("the shell ended in the middle of\n%s\n%s", commands, output)
		}
		if rest, ok := strings.CutPrefix(line, mark); ok {
			_, err := fmt.Sscanf(rest, "%d", &code)
			if err != nil {
				t.Fatal(err)
			}
			return output, code
		}
		output += line
	}
}

// needs skips the test where a program is missing, and fails it in CI.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, program+" is not installed")
		}
	}
}

// skip skips the test by name; with STAGEDOOR_TEST_ALL=1 a skip is a failure.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("STAGEDOOR_TEST_ALL") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
