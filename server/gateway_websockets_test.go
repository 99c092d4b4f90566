package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// socket is a caller's end of a WebSocket; its frames are lines here, for the gateway
// looks at none.
type socket struct {
	net.Conn
	lines *bufio.Reader
}

func openSocket(address string) (*socket, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	s := &socket{conn, bufio.NewReaderSize(conn, 512)}
	if _, err := io.WriteString(conn, "GET /shop/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(s.lines, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, &net.OpError{Op: response.Status, Err: io.ErrUnexpectedEOF}
	}
	return s, nil
}

// echo sends a line and waits for it.
func (s *socket) echo(text string) (string, error) {
	if _, err := io.WriteString(s, text+"\n"); err != nil {
		return "", err
	}
	return s.lines.ReadString('\n')
}

// TestGatewayHoldsAThousandIdleWebSockets, lets the first and the last of them speak,
// serves others meanwhile, and ends them all when it stops.
func TestGatewayHoldsAThousandIdleWebSockets(t *testing.T) {
	const sockets = 1000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 4*sockets+200 {
		missing(t, fmt.Sprintf("the limit of open files is %d", limit.Max))
	}
	ended := make(chan struct{}, sockets)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "others, too")
			return
		}
		echoSocket(w)
		ended <- struct{}{}
	}))
	defer up.Close()
	s, _ := behind(t, up.URL, "", nil)

	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	all := make([]*socket, sockets)
	for i := range all {
		var err error
		if all[i], err = openSocket(s.Addr().String()); err != nil {
			t.Fatalf("socket %d: %v", i, err)
		}
		defer all[i].Close()
	}
	// Callers and upstream are in this process, too.
	if each := (inUse() - before) / sockets; each > 192<<10 {
		t.Errorf("each takes %d KiB", each>>10)
	} else {
		t.Logf("each takes %d KiB, with its caller and its upstream", each>>10)
	}
	for i, socket := range all {
		if back, err := socket.echo("are you there?"); err != nil || back != "are you there?\n" {
			t.Fatalf("socket %d: %q, %v", i, back, err)
		}
	}
	if a := s.call("GET", "/shop/x", "", ""); a.body != "others, too" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	s.stop()
	for i, socket := range all {
		if rest, err := io.ReadAll(socket.lines); len(rest) > 0 || err != nil {
			t.Fatalf("socket %d after the end: %q, %v", i, rest, err)
		}
	}
	for range sockets {
		<-ended
	}
}
