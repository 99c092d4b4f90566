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
	"sync"
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

// run sends until ctx ends, then waits for the answers to what was sent.
func (o openLoop) run(ctx context.Context) (*arrivals, error) {
	// The sender below keeps a thread of its own in a system call.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 2))

	// Every connection takes the next request that waits. The queue is long enough
	// never to block the sender: more than that waiting is an error.
	queue := make(chan time.Time, 1<<20)
	results := make([]arrivals, o.connections)
	var workers sync.WaitGroup
	for i := range results {
		c, err := dial(o.addr)
		if err != nil {
			close(queue)
			workers.Wait()
			return nil, fmt.Errorf("connecting to %s: %w", o.addr, err)
		}
		workers.Go(func() { c.serve(queue, o.request, &results[i]) })
	}
	overflow := o.send(ctx, queue)
	close(queue)
	workers.Wait()
	if overflow {
		return nil, errors.New("the server fell behind by a million requests")
	}

	all := &arrivals{}
	for _, r := range results {
		all.latencies = append(all.latencies, r.latencies...)
		all.failed += r.failed
		all.reasons = append(all.reasons, r.reasons...)
	}
	slices.Sort(all.latencies)
	return all, nil
}

// send puts each request into the queue when its time has come. Go's own timers
// are too coarse for this, hence the bare system call on a thread with the least
// slack (prctl(2)).
func (o openLoop) send(ctx context.Context, queue chan<- time.Time) (overflow bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const setTimerSlack, nanosecond, byDefault = 29, 1, 0
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, nanosecond, 0)
	defer func() { _, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, byDefault, 0) }()

	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(float64(i) / o.rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			pause := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&pause, nil) // woken early, it sends early
		}
		select {
		case queue <- due:
		default:
			return true
		}
	}
	return false
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

// serve sends what the queue holds, until it is closed. A connection that fails
// counts as a failed request, and is replaced.
func (c *connection) serve(queue <-chan time.Time, request []byte, r *arrivals) {
	defer func() { c.Close() }()
	for due := range queue {
		status, err := c.exchange(request)
		if err == nil && status == 200 {
			r.latencies = append(r.latencies, time.Since(due))
			continue
		}
		r.failed++
		if err == nil {
			err = fmt.Errorf("status %d", status)
		}
		if len(r.reasons) < 3 {
			r.reasons = append(r.reasons, err.Error())
		}
		c.Close()
		next, err := dial(c.addr)
		if err != nil {
			for range queue {
				r.failed++
			}
			return
		}
		*c = *next
	}
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
