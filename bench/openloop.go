//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// openLoop is a client that sends at a fixed rate, whatever the answers do.
// Latency counts from the moment at which a request was to be sent: a server that
// stalls is charged for every request that had to wait for it, those too that
// could not be sent yet.
type openLoop struct {
	addr        string
	request     []byte
	rate        float64 // requests per second
	connections int
}

// arrivals are the latencies of a run, sorted.
type arrivals struct {
	latencies []time.Duration
	failed    int
	// reasons are some of the failures.
	reasons []string
}

// percentile of the latencies; 0 without any.
func (a *arrivals) percentile(p float64) time.Duration {
	if len(a.latencies) == 0 {
		return 0
	}
	return a.latencies[min(len(a.latencies)-1, int(float64(len(a.latencies))*p/100))]
}

// rawRequest is a GET as it goes over the wire.
func rawRequest(addr, path, token string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: stagedoor-bench\r\nAccept: */*\r\nAuthorization: Bearer " + token + "\r\n\r\n")
}

// run sends until ctx ends, then waits for the answers to what was sent. One
// thread does everything, in the way of wrk, so that the client takes as little as
// possible of the processors that it shares with the server.
func (o openLoop) run(ctx context.Context) (_ *arrivals, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel's usual slack of 50 µs would be charged to the server (prctl(2)).
	const setTimerSlack, nanosecond, byDefault = 29, 1, 0
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, nanosecond, 0)
	defer func() { _, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, byDefault, 0) }()

	c, err := newPump(o.addr, o.request, o.connections)
	if err != nil {
		return nil, err
	}
	defer c.close()
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(float64(i) / o.rate * float64(time.Second)))
		for wait := time.Until(due); wait > 0 && ctx.Err() == nil; wait = time.Until(due) {
			if err := c.wait(min(wait, 10*time.Millisecond)); err != nil {
				return nil, err
			}
		}
		if err := c.submit(due); err != nil {
			return nil, err
		}
		// A client that is behind must read, too, or it would never find a free
		// connection.
		if i%o.connections == 0 {
			if err := c.wait(0); err != nil {
				return nil, err
			}
		}
	}
	if err := c.drain(); err != nil {
		return nil, err
	}
	slices.Sort(c.got.latencies)
	return &c.got, nil
}

// connection sends one request at a time.
type connection struct {
	addr string
	net.Conn
	reader *bufio.Reader
}

func dial(addr string) (*connection, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{addr: addr, Conn: conn, reader: bufio.NewReader(conn)}, nil
}

// exchange sends a request and reads the whole answer.
func (c *connection) exchange(request []byte) (status int, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("no status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length := -1
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):]))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("the answer has no Content-Length")
	}
	_, err = c.reader.Discard(length)
	return status, err
}
