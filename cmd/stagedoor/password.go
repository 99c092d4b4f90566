package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// longestLine bounds what is read as a password or an answer, in bytes.
const longestLine = 4096

// readPassword asks for a new password without echo, twice. Where standard
// input is no terminal it reads one line. There is no way to give a password as
// an argument: other users of the machine see arguments.
func readPassword(ctx context.Context, e *env, username string) (string, error) {
	if !isTerminal(e.stdin) {
		line, err := readLine(e.stdin)
		if errors.Is(err, io.EOF) {
			return "", errors.New("standard input holds no password; pipe it as one line, or run the command in a terminal to be asked")
		}
		if err != nil {
			return "", fmt.Errorf("reading the password from standard input: %w", err)
		}
		return line, nil
	}
	first, err := askSecret(ctx, e, fmt.Sprintf("Password for %s: ", printable(username)))
	if err != nil {
		return "", err
	}
	second, err := askSecret(ctx, e, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing was changed, try again")
	}
	return first, nil
}

// askSecret prompts on standard error and reads a line that the terminal does
// not show. An interrupt gives the terminal its echo back.
func askSecret(ctx context.Context, e *env, prompt string) (string, error) {
	terminal := int(e.stdin.(*os.File).Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("asking for a password: %w", err)
	}
	fmt.Fprint(e.stderr, prompt)
	defer fmt.Fprintln(e.stderr)
	var secret []byte
	err = interruptibly(ctx, func() (err error) {
		secret, err = term.ReadPassword(terminal)
		return err
	})
	if ctx.Err() != nil {
		return "", errors.Join(errInterrupted, term.Restore(terminal, before))
	}
	if errors.Is(err, io.EOF) {
		return "", errors.New("nothing was typed; nothing was changed")
	}
	if err != nil {
		return "", fmt.Errorf("asking for a password: %w", err)
	}
	return string(secret), nil
}

// confirm asks a question that only "y" or "yes" answers with yes.
func confirm(ctx context.Context, e *env, question string) (bool, error) {
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	var answer string
	err := interruptibly(ctx, func() (err error) {
		answer, err = readLine(e.stdin)
		return err
	})
	if ctx.Err() != nil {
		fmt.Fprintln(e.stderr)
		return false, errInterrupted
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// sure asks a person at a terminal, unless they have said --yes.
func sure(ctx context.Context, e *env, yes bool, question string) error {
	if yes || !isTerminal(e.stdin) {
		return nil
	}
	answer, err := confirm(ctx, e, question)
	if err == nil && !answer {
		err = errors.New("not removed")
	}
	return err
}

var errInterrupted = errors.New("interrupted; nothing was changed")

// interruptibly waits for f or for the end of ctx, whichever is first. A read
// from a terminal can't be cancelled: it ends with the process.
func interruptibly(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readLine reads up to the next newline, byte by byte, so that what follows it
// is left for the next reader. The end of the input counts as a newline, unless
// nothing came before it: that is io.EOF.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		n, err := r.Read(one)
		switch {
		case n == 1 && one[0] == '\n':
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		case n == 1 && len(line) == longestLine:
			return "", fmt.Errorf("a line of more than %d bytes", longestLine)
		case n == 1:
			line = append(line, one[0])
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		if err != nil {
			return "", err
		}
	}
}
