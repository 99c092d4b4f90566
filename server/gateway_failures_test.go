package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// upstreamOf serves with a handler behind the gateway.
func upstreamOf(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	up := httptest.NewServer(handle)
	t.Cleanup(up.Close)
	return up
}

// connect opens a connection to a server.
func connect(t *testing.T, s *running) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn, bufio.NewReader(conn)
}

// receive reads one answer.
func receive(t *testing.T, from *bufio.Reader) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response, string(body)
}

// wait returns what comes out of a channel.
func wait[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: it never happens", what)
		panic("not reached")
	}
}

// isProblem checks an answer that the gateway makes itself.
func isProblem(t *testing.T, response *http.Response, status int) {
	t.Helper()
	if h := response.Header; response.StatusCode != status || h.Get("Content-Type") != "application/problem+json" ||
		h.Get("X-Request-Id") == "" || h.Get("X-Decision-Id") == "" {
		t.Errorf("answered %d %v, want a problem %d", response.StatusCode, h, status)
	}
}

// TestGatewayEndsAnUploadThatStalls: 408, and the upstream's request ends.
func TestGatewayEndsAnUploadThatStalls(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	up := upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 5))
		began <- struct{}{}
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		ended <- err
	})
	s, _ := behind(t, up.URL, ", idle_timeout: 300ms", nil)
	for name, request := range map[string]string{
		"of known length":   "Content-Length: 1000\r\n\r\nhello",
		"of unknown length": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, reader := connect(t, s)
			_, _ = io.WriteString(conn, "POST /shop/x HTTP/1.1\r\nHost: h\r\n"+request)
			wait(t, began, "the upload's beginning")
			response, _ := receive(t, reader)
			isProblem(t, response, http.StatusRequestTimeout)
			if _, err := reader.ReadByte(); err != io.EOF {
				t.Errorf("the connection goes on: %v", err)
			}
			if err := wait(t, ended, "the upload's end"); err == nil {
				t.Error("the upstream took it for whole")
			}
		})
	}
}

// TestGatewayEndsAnUploadThatNobodyTakes: an upstream that accepts the connection,
// and neither reads nor answers, is one that does not answer in time.
func TestGatewayEndsAnUploadThatNobodyTakes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, _ := behind(t, "http://"+l.Addr().String(), ", response_timeout: 300ms", nil)
	conn, reader := connect(t, s)
	go func() {
		_, _ = io.WriteString(conn, "POST /shop/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
		_, _ = io.CopyN(conn, &measured{every: 1 << 40, measure: func() {}}, 1_000_000_000)
	}()
	response, _ := receive(t, reader)
	isProblem(t, response, http.StatusGatewayTimeout)
}

// TestGatewayCutsADownloadThatIsNotRead, and the upstream's request with it.
func TestGatewayCutsADownloadThatIsNotRead(t *testing.T) {
	ended := make(chan struct{}, 1)
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		_, _ = io.Copy(w, &measured{every: 1 << 40, measure: func() {}})
	})
	s, _ := behind(t, up.URL, ", idle_timeout: 300ms", nil)
	conn, _ := connect(t, s)
	_, _ = io.WriteString(conn, "GET /shop/x HTTP/1.1\r\nHost: h\r\n\r\n")
	wait(t, ended, "the download's end")
}

// TestGatewayPassesOnThatTheCallerWentAway, in the middle of a body.
func TestGatewayPassesOnThatTheCallerWentAway(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		if r.Method == http.MethodPost {
			_, _ = io.ReadFull(r.Body, make([]byte, 5))
			began <- struct{}{}
			if _, err := io.ReadAll(r.Body); err == nil {
				t.Error("the upstream took the upload for whole")
			}
			return
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	})
	s, _ := behind(t, up.URL, "", nil)
	for _, request := range []string{
		"POST /shop/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhello",
		"POST /shop/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"GET /shop/x HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		conn, _ := connect(t, s)
		_, _ = io.WriteString(conn, request)
		wait(t, began, "the body's beginning")
		conn.Close()
		wait(t, ended, "the upstream's end of "+request[:4])
	}
}

// TestGatewayExpectContinue: the body is asked for when somebody wants it.
func TestGatewayExpectContinue(t *testing.T) {
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/shop/unwanted" {
			w.WriteHeader(http.StatusConflict)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	s, _ := behind(t, up.URL, ", max_body: 100, idle_timeout: 300ms", nil)
	const expect = " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
	t.Run("wanted", func(t *testing.T) {
		conn, reader := connect(t, s)
		_, _ = io.WriteString(conn, "POST /shop/wanted"+expect+"5\r\n\r\n")
		if line, err := reader.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		if line, err := reader.ReadString('\n'); err != nil || line != "\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = io.WriteString(conn, "hello")
		if response, body := receive(t, reader); response.StatusCode != 200 || body != "hello" {
			t.Errorf("%d %q", response.StatusCode, body)
		}
	})
	for _, c := range []struct {
		name, target, length string
		status               int
	}{
		{"by the upstream", "/shop/unwanted", "5", 409},
		{"too large", "/shop/wanted", "101", 413},
		{"by the policy", "/private/x", "5", 401},
	} {
		t.Run("unwanted, "+c.name, func(t *testing.T) {
			conn, reader := connect(t, s)
			_, _ = io.WriteString(conn, "POST "+c.target+expect+c.length+"\r\n\r\n")
			response, _ := receive(t, reader)
			if response.StatusCode != c.status {
				t.Errorf("answered %d, want %d", response.StatusCode, c.status)
			}
			if !response.Close {
				t.Error("the connection goes on, though no body came")
			}
		})
	}
}

// TestGatewayPassesAnAnswerThatIsEarly: it comes before the body has been sent, and
// what follows of the body is not taken for a request.
func TestGatewayPassesAnAnswerThatIsEarly(t *testing.T) {
	up := newUpstream(t)
	early := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // so that it doesn't wait for the body itself
		w.WriteHeader(http.StatusTooManyRequests)
		_ = http.NewResponseController(w).Flush()
	})
	s, data := behind(t, early.URL, ", idle_timeout: 300ms", nil)
	conn, reader := connect(t, s)
	_, _ = io.WriteString(conn, "POST /shop/x HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\nhello")
	response, _ := receive(t, reader)
	if response.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("answered %d", response.StatusCode)
	}
	s.log.waitAfter(t, "policy activated", func() {
		write(t, data, "upstreams.yaml", fmt.Sprintf("upstreams:\n  shop: {url: %q}\n", up.URL))
	})
	smuggled := "GET /shop/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	_, _ = io.WriteString(conn, smuggled+strings.Repeat("x", 295-len(smuggled)))
	_, _ = io.Copy(io.Discard, reader)
	if seen := up.take(); len(seen) != 0 {
		t.Errorf("a part of the body was taken for a request: %s", seen[0].RequestURI)
	}
}

// TestGatewayPassesBothWaysAtOnce: an upstream that answers what it has got of a body
// gets all that follows of it.
func TestGatewayPassesBothWaysAtOnce(t *testing.T) {
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_, _ = io.WriteString(w, "go on\n")
		_ = control.Flush()
		for body := bufio.NewReader(r.Body); ; {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, line)
			_ = control.Flush()
		}
	})
	s, _ := behind(t, up.URL, "", nil)
	lines := make([]string, 50)
	length := 0
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", 2000))
		length += len(lines[i])
	}
	conn, reader := connect(t, s)
	_, _ = fmt.Fprintf(conn, "POST /shop/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", length)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answers := bufio.NewReader(response.Body)
	if line, err := answers.ReadString('\n'); err != nil || line != "go on\n" {
		t.Fatalf("%q %v", line, err)
	}
	for _, line := range lines {
		_, _ = io.WriteString(conn, line)
		if back, err := answers.ReadString('\n'); err != nil || back != line {
			t.Fatalf("sent %.10q, got %.10q %v", line, back, err)
		}
	}
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %.80q %v", rest, err)
	}
}

// TestGatewayNeverSendsAPostTwice: not even where its reused connection was closed
// before anything was answered.
func TestGatewayNeverSendsAPostTwice(t *testing.T) {
	got := make(chan string, 16)
	// Answers the first request of each connection, and closes it at the second.
	up := rawUpstream(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for range 2 {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if got <- r.Method; len(got) == 2 {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	s, _ := behind(t, up, "", nil)
	for _, c := range []struct {
		method, body string
		status, sent int
	}{{"POST", "x", 502, 1}, {"PUT", "x", 502, 1}, {"POST", "", 502, 1}, {"GET", "", 200, 2}} {
		first := s.call("GET", "/shop/first", "", "")
		if first.StatusCode != 200 {
			t.Fatal(first.StatusCode, first.body)
		}
		a := s.call(c.method, "/shop/second", "", c.body)
		var sent []string
		for range len(got) {
			sent = append(sent, <-got)
		}
		if a.StatusCode != c.status || len(sent) != 1+c.sent {
			t.Errorf("%s with the body %q: answered %d, and the upstream got %q", c.method, c.body, a.StatusCode, sent)
		}
	}
}

// TestGatewaySwitchesOnlyWhenAsked: an upstream that answers 101 to anything but the
// upgrade that was asked for would leave the caller with a connection on which
// nobody decides.
func TestGatewaySwitchesOnlyWhenAsked(t *testing.T) {
	answer := make(chan string, 1)
	smuggled := make(chan string, 1)
	up := rawUpstream(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		if _, err := http.ReadRequest(reader); err != nil {
			return
		}
		_, _ = io.WriteString(conn, <-answer)
		rest, _ := reader.ReadString('\n')
		smuggled <- rest
	})
	s, _ := behind(t, up, "", nil)
	for _, c := range []struct{ name, asked, answer string }{
		{"not asked", "", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		{"not asked, and said to what", "", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
		{"asked for h2c", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
		{"asked without Connection", "Upgrade: websocket\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		{"to something else", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
		{"to nothing", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		{"no status", "", "HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, reader := connect(t, s)
			answer <- c.answer
			_, _ = io.WriteString(conn, "GET /shop/x HTTP/1.1\r\nHost: h\r\n"+c.asked+"\r\n")
			response, _ := receive(t, reader)
			isProblem(t, response, http.StatusBadGateway)
			_, _ = io.WriteString(conn, "GET /admin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			if rest := wait(t, smuggled, "the upstream's connection ends"); rest != "" {
				t.Errorf("past the gate, the upstream got %q", rest)
			}
		})
	}
}
