//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started here.
type process struct {
	name  string
	addr  string // HOST:PORT
	log   string // the file of what it prints
	cmd   *exec.Cmd
	ended chan struct{}
	// beside are others that answer with it: their processor time is part of its.
	beside []*process
}

// patience is how long a server may take to answer.
const patience = 30 * time.Second

// launch says how to start a server.
type launch struct {
	name string
	argv func(addr string) []string
	addr string   // HOST:PORT to listen on; empty: a free port
	dir  string   // to run in; empty: here
	env  []string // beside the environment's
}

// start starts a server on a free port and returns once it answers HTTP. It runs
// until [process.stop] or the end of the run.
func (b *bench) start(ctx context.Context, l launch) (*process, error) {
	p, err := b.spawn(l)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(patience); ; {
		answer, err := client.Get("http://" + p.addr + "/")
		if err == nil {
			answer.Body.Close()
			client.CloseIdleConnections()
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended at once:\n%s", p.name, p.lastWords())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s does not answer on %s:\n%s", p.name, p.addr, p.lastWords())
		}
	}
}

// spawn starts a server without waiting for it.
func (b *bench) spawn(l launch) (*process, error) {
	addr := l.addr
	if addr == "" {
		var err error
		if addr, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	log, err := os.CreateTemp(b.dir, l.name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("making a log for %s: %w", l.name, err)
	}
	defer log.Close()
	argv := l.argv(addr)
	p := &process{name: l.name, addr: addr, log: log.Name(), cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = l.dir, append(environment(), l.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Should this program be killed, its servers go with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", l.name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ends is in its log
	}()
	b.running = append(b.running, p)
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	select {
	case <-p.ended:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2_000):])
}

// family is the process and all that it has started, and those beside it.
func (p *process) family() []int {
	family := descendants(p.cmd.Process.Pid)
	for _, other := range p.beside {
		family = append(family, other.family()...)
	}
	return family
}

func descendants(pid int) []int {
	family := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		for child := range strings.FieldsSeq(string(text)) {
			if id, err := strconv.Atoi(child); err == nil {
				family = append(family, descendants(id)...)
			}
		}
	}
	return family
}

// cpu is the processor time that the process and its family have used.
func (p *process) cpu() (time.Duration, error) {
	var total time.Duration
	for _, pid := range p.family() {
		used, err := cpuOf(pid)
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of %s: %w", p.name, err)
		}
		total += used
	}
	return total, nil
}

// tick is the unit of /proc/PID/stat (proc(5)): USER_HZ is 100 on Linux.
const tick = 10 * time.Millisecond

// The fields of /proc/PID/stat that are of use here, by their number in proc(5).
const (
	statFaults = 10 // minflt
	statUser   = 14 // utime
	statSystem = 15 // stime
)

// stat reads some fields of /proc/PID/stat.
func stat(pid int, numbers ...int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The name, in parentheses, may have spaces. The first after it is field 3.
	const first = 3
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	values := make([]int, len(numbers))
	for i, number := range numbers {
		if number-first >= len(fields) {
			return nil, fmt.Errorf("/proc/%d/stat is too short", pid)
		}
		if values[i], err = strconv.Atoi(fields[number-first]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func cpuOf(pid int) (time.Duration, error) {
	used, err := stat(pid, statUser, statSystem)
	if err != nil {
		return 0, err
	}
	return time.Duration(used[0]+used[1]) * tick, nil
}

// faults is how many pages the process had the kernel map for it without reading
// them from a disk.
func (p *process) faults() (int, error) {
	found, err := stat(p.cmd.Process.Pid, statFaults)
	if err != nil {
		return 0, fmt.Errorf("reading the page faults of %s: %w", p.name, err)
	}
	return found[0], nil
}

// memory is the resident set size in bytes, and the part of it that is no file's.
func (p *process) memory() (resident, anonymous int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("reading the memory of %s: %w", p.name, err)
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); n == 1 {
			resident = kilobytes << 10
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kilobytes); n == 1 {
			anonymous = kilobytes << 10
		}
	}
	return resident, anonymous, nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
