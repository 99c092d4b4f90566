package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// pseudoTerminal is a terminal at which the test sits. What it shows is in
// screen.
type pseudoTerminal struct {
	keyboard, process *os.File
	screen            *screen
}

// screen collects what appears, and wakes whoever waits for a text.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// wait returns once text has appeared.
func (s *screen) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		shown, more := s.text.String(), s.more
		s.mu.Unlock()
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no %q on the screen, only %q", text, shown)
		}
	}
}

func openTerminal(t *testing.T) *pseudoTerminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number, unlock int32
	for _, call := range []struct {
		request uintptr
		value   *int32
	}{{syscall.TIOCSPTLCK, &unlock}, {syscall.TIOCGPTN, &number}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), call.request, uintptr(unsafe.Pointer(call.value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	process, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pseudoTerminal{keyboard, process, &screen{more: make(chan struct{})}}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(p.screen, keyboard) }) // ends with EIO
	t.Cleanup(func() {
		process.Close()
		reading.Wait()
		keyboard.Close()
	})
	return p
}

func (p *pseudoTerminal) typeLine(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.keyboard, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// echoes reports whether the terminal shows what is typed.
func (p *pseudoTerminal) echoes(t *testing.T) bool {
	t.Helper()
	var mode syscall.Termios
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, p.process.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&mode))); errno != 0 {
		t.Fatal(errno)
	}
	return mode.Lflag&syscall.ECHO != 0
}

type passwordAnswer struct {
	password string
	err      error
}

func askAt(ctx context.Context, p *pseudoTerminal) <-chan passwordAnswer {
	answer := make(chan passwordAnswer, 1)
	go func() {
		password, err := readPassword(ctx, &env{stdin: p.process, stderr: p.process}, "carol")
		answer <- passwordAnswer{password, err}
	}()
	return answer
}

func TestAPasswordTypedIsNotShown(t *testing.T) {
	p := openTerminal(t)
	answer := askAt(t.Context(), p)
	p.screen.wait(t, "Password for carol: ")
	waitForNoEcho(t, p)
	p.typeLine(t, "correct horse")
	p.screen.wait(t, "Again: ")
	waitForNoEcho(t, p)
	p.typeLine(t, "correct horse")
	if got := <-answer; got.password != "correct horse" || got.err != nil {
		t.Errorf("got %+v", got)
	}
	if strings.Contains(p.screen.String(), "horse") {
		t.Errorf("the screen shows %q", p.screen)
	}
	if !p.echoes(t) {
		t.Error("the terminal has lost its echo")
	}
}

func TestAnInterruptGivesTheEchoBack(t *testing.T) {
	p := openTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	answer := askAt(ctx, p)
	p.screen.wait(t, "Password for carol: ")
	waitForNoEcho(t, p)
	interrupt()
	if got := <-answer; !errors.Is(got.err, errInterrupted) {
		t.Errorf("got %+v", got)
	}
	if !p.echoes(t) {
		t.Error("the terminal has lost its echo")
	}
	p.typeLine(t, "") // lets the abandoned read end
}

// waitForNoEcho polls, for a terminal tells nobody of its modes.
func waitForNoEcho(t *testing.T, p *pseudoTerminal) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(time.Millisecond); p.echoes(t); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the terminal goes on echoing")
		}
	}
}
