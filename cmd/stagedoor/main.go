// Command stagedoor is the whole of Stagedoor: the server, and the tools for
// its accounts, policies and tokens. `stagedoor --help` lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stagedoor/stagedoor/server"
)

// version is set by the Makefile; a plain `go install` uses the module's.
var version = ""

// Exit codes, for scripts.
const (
	exitOK     = 0
	exitFailed = 1 // the command could not do what was asked
	exitUsage  = 2 // wrong flags, variables or configuration
	exitPartly = 3 // the command left something out of what it wrote, and said what
)

const description = `Logs people and programs in, hands them tokens, and decides every request by policy.

  stagedoor serve --demo      try it
  stagedoor serve --help      all options of the server

Each option of serve can be a flag, a STAGEDOOR_* variable, or a key of the YAML file named by --config, in that order of precedence.`

// cli is the command line: kong reads its flags and commands from the tags.
type cli struct {
	Config    configFlag `help:"YAML file of options; its keys are the long flag names." type:"path" placeholder:"FILE" env:"STAGEDOOR_CONFIG"`
	State     string     `help:"Directory of everything the server writes. Default: ${default}." default:"stagedoor-state" placeholder:"DIR" env:"STAGEDOOR_STATE"`
	LogFormat logFormat  `help:"How to log to standard error: text or json. Default: ${default}." default:"text" placeholder:"FORMAT" env:"STAGEDOOR_LOG_FORMAT"`
	LogLevel  logLevel   `help:"What to log: debug, info, warn or error. Default: ${default}." default:"info" placeholder:"LEVEL" env:"STAGEDOOR_LOG_LEVEL"`

	Serve   serveCmd   `cmd:"" help:"Serve login, tokens and protected routes."`
	Init    initCmd    `cmd:"" help:"Write policies and data of your own to start from."`
	User    userCmd    `cmd:"" help:"Administer accounts."`
	Client  clientCmd  `cmd:"" help:"Administer clients: programs that ask for tokens."`
	Key     keyCmd     `cmd:"" help:"Administer the keys that sign tokens."`
	Audit   auditCmd   `cmd:"" help:"Show what happened: the audit log."`
	Policy  policyCmd  `cmd:"" help:"Check, test and try policies."`
	Token   tokenCmd   `cmd:"" help:"Look into tokens."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// env is what a command may touch of the world outside.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	logger         *slog.Logger
	state          string
	options        *optionSources
	now            func() time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with the world handed in. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var root cli
	options := &optionSources{}
	exited := -1
	parser, err := newParser(&root, options,
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(asOperator(ctx), (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(stderr, "stagedoor:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help has printed and asked to end
		return exited
	}
	if err != nil {
		var inFile *fileError
		if errors.As(err, &inFile) {
			err = inFile // without the flag's name in front, which nobody typed
		}
		fmt.Fprintln(stderr, "stagedoor:", err)
		fmt.Fprintln(stderr, "Run `stagedoor --help`, or --help after a command, to see what there is.")
		return exitUsage
	}
	options.learn(command)

	err = command.Run(&env{
		stdin: stdin, stdout: stdout, stderr: stderr,
		logger:  newLogger(stderr, root.LogFormat, root.LogLevel.Level),
		state:   root.State,
		options: options,
		now:     time.Now,
	})
	return report(stderr, options, err)
}

// newParser is the command line's grammar.
func newParser(root *cli, options *optionSources, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(root, append([]kong.Option{
		kong.Name("stagedoor"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: false, WrapUpperBound: 100}),
		kong.Bind(options),
	}, more...)...)
}

// report prints a command's error, and says where a wrong option was set.
func report(stderr io.Writer, options *optionSources, err error) int {
	if err == nil {
		return exitOK
	}
	var wrongOption *server.ConfigError
	if errors.As(err, &wrongOption) {
		fmt.Fprintf(stderr, "stagedoor: %s: %v\n", options.where(wrongOption.Option, wrongOption.Value), wrongOption.Err)
		return exitUsage
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	fmt.Fprintln(stderr, "stagedoor:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// exitCode is the error of a command that has said everything already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is a wrong command line that only shows when the command runs.
type usageError string

func (u usageError) Error() string { return string(u) }

// logLevel is a slog.Level whose error names the choices.
type logLevel struct{ slog.Level }

// UnmarshalText takes the four names, in any case.
func (l *logLevel) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "debug", "info", "warn", "error":
		return l.Level.UnmarshalText(text)
	}
	return fmt.Errorf("%q is not one of debug, info, warn, error", text)
}

// logFormat is text or json.
type logFormat string

// UnmarshalText refuses every other format.
func (f *logFormat) UnmarshalText(text []byte) error {
	*f = logFormat(text)
	if *f != "text" && *f != "json" {
		return fmt.Errorf("%q is not one of text, json", text)
	}
	return nil
}

func newLogger(w io.Writer, format logFormat, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

type versionCmd struct{}

// Run prints the versions of Stagedoor, of the engine it embeds, and of Go.
func (versionCmd) Run(e *env) error {
	info, _ := debug.ReadBuildInfo()
	ours, opa := version, ""
	if info != nil {
		if ours == "" {
			ours = info.Main.Version
		}
		for _, module := range info.Deps {
			if module.Path == "github.com/open-policy-agent/opa" {
				opa = ", opa " + module.Version
			}
		}
		fmt.Fprintf(e.stdout, "stagedoor %s (%s%s)\n", ours, info.GoVersion, opa)
		return nil
	}
	fmt.Fprintf(e.stdout, "stagedoor %s\n", ours)
	return nil
}
