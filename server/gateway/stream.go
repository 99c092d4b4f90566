package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// errNotTaken ends a request whose body the upstream does not take.
var errNotTaken = errors.New("the upstream does not read the request's body")

// requestBody gives each read of a caller's body a time limit of its own, and
// remembers why it could not be read. Between reads it is the upstream's turn: until
// it answers, it has to take what was read within the time that it has for answering,
// for the transport counts that time from the body's end.
type requestBody struct {
	io.ReadCloser
	limits *limits
	fault  atomic.Pointer[error] // the transport may still read when it has given up
	ended  atomic.Bool           // read to its end

	patience time.Duration
	giveUp   context.CancelCauseFunc
	turn     *time.Timer // nil before the first read
	answered atomic.Bool
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

func (b *requestBody) Read(p []byte) (int, error) {
	if b.turn != nil {
		b.turn.Stop()
	}
	_ = b.limits.control.SetReadDeadline(time.Now().Add(b.limits.idle))
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF || b.limits.streams {
		// At the end the server goes on watching whether the caller is still there. After
		// a fault the limit stays: the server may read on before it closes the connection.
		_ = b.limits.control.SetReadDeadline(time.Time{})
	}
	switch {
	case err == io.EOF:
		b.ended.Store(true)
	case err != nil:
		b.fault.Store(&err)
	case b.answered.Load():
	case b.turn == nil:
		b.turn = time.AfterFunc(b.patience, func() {
			if !b.answered.Load() {
				b.giveUp(errNotTaken)
			}
		})
	default:
		b.turn.Reset(b.patience)
	}
	return n, err
}

// malformed reports whether a body could not be read for what was sent, and not for
// the connection's end.
func (b *requestBody) malformed(fault error) bool {
	var lost net.Error
	return !b.limits.streams && !errors.Is(fault, io.ErrUnexpectedEOF) && !errors.As(fault, &lost)
}

// responseWriter gives each write of an answer a time limit of its own.
type responseWriter struct {
	http.ResponseWriter
	limits limits
	body   *requestBody // the request's; nil where it has none
}

// Unwrap is for [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *responseWriter) WriteHeader(status int) {
	if status >= http.StatusOK && w.body != nil && !w.limits.streams && !w.body.ended.Load() {
		// An answer that begins before the request's body has ended: the server would
		// read on in the transport's place, and wait for a caller that sends nothing.
		// What is left of the body must not be taken for a request either.
		w.Header().Set("Connection", "close")
	}
	w.limits.beginWrite()
	w.ResponseWriter.WriteHeader(status)
	w.limits.endWrite()
}

func (w *responseWriter) Write(p []byte) (int, error) {
	w.limits.beginWrite()
	n, err := w.ResponseWriter.Write(p)
	w.limits.endWrite()
	return n, err
}

// limits are the time limits of one request. The server's own are for its own short
// answers, and would cut a stream.
type limits struct {
	control http.ResponseController
	idle    time.Duration
	// streams says that the connection has streams (HTTP/2), which are reset when a
	// deadline passes, even while nothing is read or written.
	streams bool
	// written is when the time limit of writing was last set.
	written time.Time
}

func newLimits(w http.ResponseWriter, r *http.Request, idle time.Duration) limits {
	l := limits{control: *http.NewResponseController(w), idle: idle, streams: r.ProtoMajor > 1}
	if l.streams {
		_ = l.control.SetReadDeadline(time.Time{})
		_ = l.control.SetWriteDeadline(time.Time{})
		return l
	}
	if hasBody(r) {
		// Even if nobody reads it, for the server does so in the end.
		_ = l.control.SetReadDeadline(time.Now().Add(idle))
	} else {
		_ = l.control.SetReadDeadline(time.Time{})
	}
	return l
}

// beginWrite sets the time limit of a write. On a connection without streams it is not
// set for each, which costs as much as the write of a small answer to a buffer: a
// write may have a sixteenth of it less.
func (l *limits) beginWrite() {
	now := time.Now()
	if !l.streams && now.Sub(l.written) < l.idle/16 {
		return
	}
	l.written = now
	_ = l.control.SetWriteDeadline(now.Add(l.idle))
}

func (l *limits) endWrite() {
	if l.streams {
		_ = l.control.SetWriteDeadline(time.Time{})
	}
}
