//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// pump sends one request over several connections, one at a time on each, and
// measures how long after they were due the answers are there. It is for one
// goroutine.
type pump struct {
	addr    syscall.SockaddrInet4
	request []byte
	epoll   int
	wires   map[int]*wire // by descriptor
	idle    []*wire
	waiting []time.Time // due, but without a connection
	got     arrivals
	events  []syscall.EpollEvent
}

// wire is one connection.
type wire struct {
	descriptor int
	due        time.Time
	buffer     []byte
	filled     int
}

// mostWaiting is how far behind a server may fall, in requests.
const mostWaiting = 1 << 20

func newPump(addr string, request []byte, connections int) (_ *pump, err error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	p := &pump{
		addr: syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}, request: request,
		wires: map[int]*wire{}, events: make([]syscall.EpollEvent, connections),
	}
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	for range connections {
		if err := p.connect(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *pump) close() {
	for descriptor := range p.wires {
		_ = syscall.Close(descriptor)
	}
	_ = syscall.Close(p.epoll)
}

func (p *pump) connect() error {
	descriptor, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	err = errors.Join(
		syscall.Connect(descriptor, &p.addr),
		syscall.SetNonblock(descriptor, true),
		syscall.SetsockoptInt(descriptor, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, descriptor, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(descriptor)}),
	)
	if err != nil {
		_ = syscall.Close(descriptor)
		return fmt.Errorf("connecting: %w", err)
	}
	w := &wire{descriptor: descriptor, buffer: make([]byte, 16<<10)}
	p.wires[descriptor] = w
	p.idle = append(p.idle, w)
	return nil
}

// submit sends the request that is due, or has it wait for a connection.
func (p *pump) submit(due time.Time) error {
	if len(p.waiting) >= mostWaiting {
		return fmt.Errorf("the server fell behind by %d requests", mostWaiting)
	}
	p.waiting = append(p.waiting, due)
	return p.flush()
}

// flush sends what waits, as far as there are connections.
func (p *pump) flush() error {
	sent := 0
	for sent < len(p.waiting) && len(p.idle) > 0 {
		w := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		w.due, w.filled = p.waiting[sent], 0
		sent++
		// Requests are shorter than a socket's buffer, so they fit as a whole.
		n, err := syscall.Write(w.descriptor, p.request)
		if err == nil && n < len(p.request) {
			err = errors.New("a request was cut short")
		}
		if err != nil {
			if err := p.fail(w, err); err != nil {
				return err
			}
		}
	}
	p.waiting = p.waiting[:copy(p.waiting, p.waiting[sent:])]
	return nil
}

// fail counts a failed request, and replaces its connection.
func (p *pump) fail(w *wire, why error) error {
	p.got.failed++
	if len(p.got.reasons) < 10 {
		p.got.reasons = append(p.got.reasons, why.Error())
	}
	delete(p.wires, w.descriptor)
	_ = syscall.Close(w.descriptor)
	return p.connect()
}

// epollWait2 is epoll_pwait2(2), which the package syscall does not have: unlike
// epoll_wait it sleeps in nanoseconds. Its number is the same everywhere.
const epollWait2 = 441

// wait takes in answers until some have come or the time is over.
func (p *pump) wait(timeout time.Duration) error {
	limit := syscall.NsecToTimespec(int64(timeout))
	n, _, errno := syscall.Syscall6(epollWait2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
	case syscall.EINTR:
		return nil
	default:
		return fmt.Errorf("waiting for answers: %w", errno)
	}
	for _, event := range p.events[:n] {
		w := p.wires[int(event.Fd)]
		if w == nil {
			continue
		}
		status, complete, err := w.read()
		switch {
		case err == nil && !complete:
			continue
		case err == nil && status != 200:
			err = fmt.Errorf("status %d", status)
		}
		if err != nil {
			if w.due.IsZero() { // nothing was asked on it: the server has had enough of it
				p.forget(w)
				continue
			}
			if err := p.fail(w, err); err != nil {
				return err
			}
			continue
		}
		p.got.latencies = append(p.got.latencies, time.Since(w.due))
		w.due = time.Time{}
		p.idle = append(p.idle, w)
	}
	return p.flush()
}

// forget drops an idle connection that the server has closed.
func (p *pump) forget(w *wire) {
	for i, other := range p.idle {
		if other == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	delete(p.wires, w.descriptor)
	_ = syscall.Close(w.descriptor)
}

// drain waits for the answers to all that was submitted. What does not come has
// failed.
func (p *pump) drain() error {
	deadline := time.Now().Add(patience)
	for len(p.waiting) > 0 || len(p.idle) < len(p.wires) {
		if time.Now().After(deadline) {
			p.got.failed += len(p.waiting) + len(p.wires) - len(p.idle)
			p.got.reasons = append(p.got.reasons, "no answer within "+patience.String())
			return nil
		}
		if err := p.wait(10 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// read takes in what has come, and says whether that is a whole answer.
func (w *wire) read() (status int, complete bool, err error) {
	n, err := syscall.Read(w.descriptor, w.buffer[w.filled:])
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case n == 0:
		return 0, false, errors.New("the connection was closed, or the answer is too long")
	}
	w.filled += n
	text := w.buffer[:w.filled]
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, false, nil
	}
	head := text[:end+2]
	const name = "\r\nContent-Length: " // as Go's server writes it
	at := bytes.Index(head, []byte(name))
	if len(head) < len("HTTP/1.1 200") || at < 0 {
		return 0, false, fmt.Errorf("an answer without status or Content-Length: %.80q", head)
	}
	digits := head[at+len(name):]
	length, err := strconv.Atoi(string(digits[:bytes.IndexByte(digits, '\r')]))
	if err != nil {
		return 0, false, err
	}
	status, err = strconv.Atoi(string(head[9:12]))
	return status, w.filled >= end+4+length, err
}
