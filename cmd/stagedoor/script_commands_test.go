package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// background is the server that a script runs.
type background struct {
	cmd    *exec.Cmd
	log    *logLines
	output sync.WaitGroup // the readers of its output
}

// servers finds a script's server by the script's name: testscript gives its
// commands no other place to keep something.
var servers sync.Map

// logLines collects what a server logs, and wakes whoever waits for a line.
type logLines struct {
	mu    sync.Mutex
	lines []string
	seen  int           // lines before this one have been matched
	more  chan struct{} // closed when a line comes
	ended bool
}

func (l *logLines) add(line string, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended {
		l.ended = true
	} else {
		l.lines = append(l.lines, line)
	}
	close(l.more)
	l.more = make(chan struct{})
}

// wait returns the first line that matches and was not passed before.
func (l *logLines) wait(pattern *regexp.Regexp) (string, error) {
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		for l.seen < len(l.lines) {
			line := l.lines[l.seen]
			l.seen++
			if pattern.MatchString(line) {
				l.mu.Unlock()
				return line, nil
			}
		}
		more, ended := l.more, l.ended
		l.mu.Unlock()
		if ended {
			return "", errors.New("the server has ended")
		}
		select {
		case <-more:
		case <-deadline:
			return "", fmt.Errorf("no line like that within %s", patience)
		}
	}
}

var answersOn = regexp.MustCompile(`answers on (http\S+)`)

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("use `exits` for a server that does not start")
	}
	if _, running := servers.Load(ts.Name()); running {
		ts.Fatalf("this script's server runs already")
	}
	binary, err := exec.LookPath("stagedoor")
	ts.Check(err)
	args = append([]string{"serve"}, args...)
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	server := &background{cmd: exec.Command(binary, args...), log: &logLines{more: make(chan struct{})}}
	server.cmd.Dir = ts.MkAbs(".")
	for _, name := range append(optionVariables(ts), "PATH", "HOME", "TMPDIR") {
		if value := ts.Getenv(name); value != "" {
			server.cmd.Env = append(server.cmd.Env, name+"="+value)
		}
	}
	stdout, err := server.cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := server.cmd.StderrPipe()
	ts.Check(err)
	logFile, err := os.OpenFile(ts.MkAbs("serve.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	ts.Check(server.cmd.Start())
	servers.Store(ts.Name(), server)
	ts.Defer(func() { server.end(ts.Name(), syscall.SIGKILL) })

	server.output.Go(func() {
		defer logFile.Close()
		defer server.log.add("", true)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(logFile, lines.Text())
			server.log.add(lines.Text(), false)
		}
	})
	welcome, err := os.Create(ts.MkAbs("welcome.txt"))
	ts.Check(err)
	answers := make(chan string, 1)
	server.output.Go(func() {
		defer close(answers)
		defer welcome.Close()
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(welcome, lines.Text())
			if match := answersOn.FindStringSubmatch(lines.Text()); match != nil {
				answers <- match[1]
			}
		}
	})
	select {
	case url, ok := <-answers:
		if !ok {
			server.output.Wait()
			ts.Fatalf("the server did not start; it said:\n%s", ts.ReadFile("serve.log"))
		}
		ts.Setenv("URL", url)
		ts.Setenv("ADDR", strings.TrimPrefix(url, "http://"))
	case <-time.After(patience):
		ts.Fatalf("the server did not answer within %s", patience)
	}
}

// optionVariables are the names of all STAGEDOOR_ variables: testscript does not
// say which ones a script has set.
func optionVariables(ts *testscript.TestScript) []string {
	options, err := commandLineOptions()
	ts.Check(err)
	names := []string{"STAGEDOOR_CONFIG"}
	for _, o := range options {
		names = append(names, o.variable)
	}
	return names
}

// end sends the signal, waits, and returns how the server ended.
func (b *background) end(script string, signal syscall.Signal) error {
	if !servers.CompareAndDelete(script, b) {
		return nil
	}
	if err := b.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	b.output.Wait()
	return b.cmd.Wait()
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: signal TERM|KILL|HUP")
	}
	found, running := servers.Load(ts.Name())
	if !running {
		ts.Fatalf("no server runs")
	}
	server := found.(*background)
	switch args[0] {
	case "HUP":
		ts.Check(server.cmd.Process.Signal(syscall.SIGHUP))
	case "TERM":
		ts.Check(server.end(ts.Name(), syscall.SIGTERM))
	case "KILL":
		var killed *exec.ExitError
		if err := server.end(ts.Name(), syscall.SIGKILL); !errors.As(err, &killed) {
			ts.Fatalf("killed, the server ended with %v", err)
		}
	default:
		ts.Fatalf("usage: signal TERM|KILL|HUP")
	}
}

func scriptServerLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serverlog REGEXP")
	}
	found, running := servers.Load(ts.Name())
	if !running {
		ts.Fatalf("no server runs")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	line, err := found.(*background).log.wait(pattern)
	if err != nil {
		ts.Fatalf("serverlog %q: %v", args[0], err)
	}
	fmt.Fprintln(ts.Stdout(), line)
}

func scriptLogin(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: login NAME PASSWORD [SCOPE...]")
	}
	form := url.Values{"username": {args[0]}, "password": {args[1]}}
	if len(args) > 2 {
		form.Set("scope", strings.Join(args[2:], " "))
	}
	status, _, body := ask(ts, http.MethodPost, "/token", "", form.Encode())
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		ts.Fatalf("the answer is no JSON: %s", body)
	}
	switch {
	case neg && status == http.StatusOK:
		ts.Fatalf("the login of %s was accepted", args[0])
	case !neg && (status != http.StatusOK || answer.AccessToken == ""):
		ts.Fatalf("the login of %s was refused: %d %s", args[0], status, body)
	case !neg:
		ts.Setenv("TOKEN", answer.AccessToken)
	}
}

func scriptKeyOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keyof STATE")
	}
	ts.Check(ts.Exec("stagedoor", "key", "list", "--output", "json"))
	var keys []struct{ ID, State string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &keys))
	for _, key := range keys {
		if key.State == args[0] {
			ts.Setenv("KEY", key.ID)
			return
		}
	}
	ts.Fatalf("no key is in the state %q: %v", args[0], keys)
}

func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	match := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(match) != 2 {
		ts.Fatalf("capture %q: not in what was printed last, or without one group:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], match[1])
}

func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	token, form, until := "", "", 0
	for len(args) > 2 {
		switch args[0] {
		case "-t":
			token = args[1]
		case "-d":
			form = args[1]
		case "-until":
			var err error
			until, err = strconv.Atoi(args[1])
			ts.Check(err)
		default:
			ts.Fatalf("http: unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: http [-t TOKEN] [-d FORM] [-until STATUS] METHOD PATH")
	}
	status, header, body := ask(ts, args[0], args[1], token, form)
	// What another process has changed is noticed within a second.
	for end := time.Now().Add(patience); until != 0 && status != until && time.Now().Before(end); {
		status, header, body = ask(ts, args[0], args[1], token, form)
	}
	out := ts.Stdout()
	fmt.Fprintf(out, "HTTP %d %s\n", status, http.StatusText(status))
	ts.Check(header.Write(out))
	fmt.Fprintf(out, "\n%s\n", body)
}

// ask sends one request and reads the answer whole.
func ask(ts *testscript.TestScript, method, path, token, form string) (int, http.Header, []byte) {
	request, err := http.NewRequest(method, ts.Getenv("URL")+path, strings.NewReader(form))
	ts.Check(err)
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	return response.StatusCode, response.Header, body
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("stagedoor", args[1:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("running stagedoor: %v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("stagedoor ended with exit code %d, want %d", got, want)
	}
}

func scriptEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	before := ts.ReadFile(args[0])
	if strings.Count(before, args[1]) != 1 {
		ts.Fatalf("%s holds %q %d times, not once", args[0], args[1], strings.Count(before, args[1]))
	}
	file := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(file+"~", []byte(strings.Replace(before, args[1], args[2], 1)), 0o600))
	ts.Check(os.Rename(file+"~", file))
}
