package trial

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Program is the running binary of the example whose test it is.
type Program struct {
	URL string
	// Dir is where it runs, with policies and data of its own.
	Dir string

	lines chan string // what it logs
}

// StartProgram builds the example in the test's directory, and runs it for as long
// as the test, in a copy of its policies and data.
func StartProgram(t *testing.T, issuer string) *Program {
	t.Helper()
	p := &Program{Dir: t.TempDir(), lines: make(chan string, 10_000)}
	binary := filepath.Join(t.TempDir(), "example")
	if output, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	for _, name := range []string{"policies", "data"} {
		if err := os.CopyFS(filepath.Join(p.Dir, name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(binary)
	command.Dir = p.Dir
	command.Env = append(os.Environ(), "ISSUER="+issuer, "ADDRESS=127.0.0.1:0")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for scanner := bufio.NewScanner(log); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-read
		_ = command.Wait()
	})
	_, p.URL, _ = strings.Cut(p.await(t, "INFO serving"), "url=")
	return p
}

// await returns the next line of the log that has text in it.
func (p *Program) await(t *testing.T, text string) string {
	t.Helper()
	var said []string
	for deadline := time.After(time.Minute); ; {
		select {
		case line, more := <-p.lines:
			said = append(said, line)
			switch {
			case !more:
				t.Fatalf("it has ended, and never logged %q:\n%s", text, strings.Join(said, "\n"))
			case strings.Contains(line, text):
				return line
			}
		case <-deadline:
			t.Fatalf("it never logged %q:\n%s", text, strings.Join(said, "\n"))
		}
	}
}

// Edit replaces a text in one of the running program's files, the way an editor
// saves, and returns once the program has logged what it makes of that.
func (p *Program) Edit(t *testing.T, name, before, after, logged string) {
	t.Helper()
	name = filepath.Join(p.Dir, filepath.FromSlash(name))
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(before), []byte(after), 1)
	if bytes.Equal(changed, text) {
		t.Fatalf("%s has no %q", name, before)
	}
	if err := os.WriteFile(name+".new", changed, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	p.await(t, logged)
}

// Answer is what the program said to a request.
type Answer struct {
	Status                    int
	Challenge, Location, Body string
}

// ask sends a request; its target goes out as it is written here.
func (p *Program) ask(t *testing.T, method, target, token, body string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{response.StatusCode, response.Header.Get("WWW-Authenticate"), response.Header.Get("Location"), string(text)}
}

// Want asks, and holds the answer against a status and a text that its challenge or
// body has to have.
func (p *Program) Want(t *testing.T, method, target, token, body string, status int, text string) Answer {
	t.Helper()
	got := p.ask(t, method, target, token, body)
	if got.Status != status || !strings.Contains(got.Challenge+got.Body, text) {
		t.Errorf("%s %s: %d, challenge %q, %s; want %d and %q", method, target, got.Status, got.Challenge, got.Body, status, text)
	}
	return got
}
