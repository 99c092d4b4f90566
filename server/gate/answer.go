package gate

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// answer knows whether an answer has begun, and otherwise is the response
// writer that it holds: streaming, upgrades and sendfile go on working.
type answer struct {
	http.ResponseWriter
	begun bool
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.begun = true
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// ReadFrom lets io.Copy reach the connection's own (sendfile).
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	a.begun = true
	return io.Copy(a.ResponseWriter, src)
}

// Flush is [http.Flusher].
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is what [http.ResponseController] prefers.
func (a *answer) FlushError() error {
	a.begun = true
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack is [http.Hijacker].
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffer, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil {
		a.begun = true
	}
	return connection, buffer, err
}

// CloseNotify is there because Gin's streaming still asks for it.
func (a *answer) CloseNotify() <-chan bool {
	if notifier, ok := a.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok {
		return notifier.CloseNotify()
	}
	return make(chan bool)
}

// hasBegun also asks a writer that was written to behind our back, as Gin's is
// when the gate is one of its middlewares.
func (a *answer) hasBegun() bool {
	if writer, ok := a.ResponseWriter.(interface{ Written() bool }); ok && writer.Written() {
		return true
	}
	return a.begun
}
