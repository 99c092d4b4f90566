package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestGatewayWhenTheUpstreamFails(t *testing.T) {
	up := newUpstream(t)
	s, data := behind(t, up.URL, ", response_timeout: 200ms, max_body: 2MiB", nil)
	if a := s.call("GET", "/shop/slow", "", ""); a.StatusCode != 504 || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("X-Request-Id") == "" {
		t.Errorf("slow: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	if response, err := http.Get(s.URL() + "/shop/cut"); err == nil {
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			t.Errorf("cut mid-body: read %q without an error", body)
		}
	}
	t.Run("bodies", func(t *testing.T) {
		if a := s.call("POST", "/shop/count", "", strings.Repeat("x", 2<<20)); a.body != fmt.Sprint(2<<20) {
			t.Errorf("2 MiB: %d %.80s", a.StatusCode, a.body)
		}
		if a := s.call("POST", "/shop/count", "", strings.Repeat("x", 2<<20+1)); a.StatusCode != 413 {
			t.Errorf("more: %d %.80s", a.StatusCode, a.body)
		}
		request, _ := http.NewRequest("POST", s.URL()+"/shop/count", io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20+1)))) // chunked
		if a := s.do(request); a.StatusCode != 413 {
			t.Errorf("more, of unknown length: %d %.80s", a.StatusCode, a.body)
		}
	})
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	s.log.waitAfter(t, "policy activated", func() {
		write(t, data, "upstreams.yaml", fmt.Sprintf("upstreams:\n  shop: {url: \"http://%s\"}\n", down.Addr()))
	})
	if a := s.call("GET", "/shop/x", "", ""); a.StatusCode != 502 || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("X-Decision-Id") == "" {
		t.Errorf("down: %d %v %s", a.StatusCode, a.Header, a.body)
	}
}

func TestGatewayCancelsForAClientThatGoesAway(t *testing.T) {
	reached, cancelled := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(cancelled)
	}))
	defer up.Close()
	s, _ := behind(t, up.URL, "", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	request, _ := http.NewRequestWithContext(ctx, "GET", s.URL()+"/shop/x", nil)
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
		t.Fatal("answered")
	}
	select {
	case <-cancelled:
	case <-time.After(20 * time.Second):
		t.Error("the upstream's request goes on")
	}
}

func TestGatewayPassesStreams(t *testing.T) {
	next := make(chan string)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoSocket(w)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for event := range next {
			_, _ = io.WriteString(w, "data: "+event+"\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	defer up.Close()
	s, _ := behind(t, up.URL, "", nil)

	t.Run("server-sent events", func(t *testing.T) {
		go func() { next <- "one" }()
		response, err := http.Get(s.URL() + "/shop/events")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		lines := bufio.NewReader(response.Body)
		for _, event := range []string{"one", "two"} {
			if event == "two" {
				next <- event
			}
			if line, err := lines.ReadString('\n'); err != nil || line != "data: "+event+"\n" {
				t.Fatalf("%q %v", line, err)
			}
			_, _ = lines.ReadString('\n')
		}
		close(next)
	})
	t.Run("WebSocket", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, "GET /shop/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		lines := bufio.NewReader(conn)
		response, err := http.ReadResponse(lines, nil)
		if err != nil || response.StatusCode != 101 || response.Header.Get("X-Request-Id") == "" {
			t.Fatalf("%+v %v", response, err)
		}
		for _, text := range []string{"hello\n", "again\n"} {
			_, _ = io.WriteString(conn, text)
			if back, err := lines.ReadString('\n'); err != nil || back != text {
				t.Fatalf("%q %v", back, err)
			}
		}
		s.stop() // ends it, too
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("after the end: %q %v", rest, err)
		}
	})
}

// TestGatewayStreamsWithFlatMemory: 1 GiB each way (64 MiB under the race detector).
func TestGatewayStreamsWithFlatMemory(t *testing.T) {
	up := newUpstream(t)
	s, _ := behind(t, up.URL, "", nil)
	var most atomic.Uint64
	measure := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapInuse > most.Load() {
			most.Store(m.HeapInuse)
		}
	}
	runtime.GC()
	measure()
	before := most.Load()
	size := int64(1 << 30)
	if raceEnabled {
		size = 64 << 20
	}
	request, _ := http.NewRequest("PUT", s.URL()+"/shop/count", io.LimitReader(&measured{every: 4 << 20, measure: measure}, size))
	request.ContentLength = size
	if a := s.do(request); a.body != fmt.Sprint(size) {
		t.Fatalf("upload: %d %.80s", a.StatusCode, a.body)
	}
	response, err := http.Get(fmt.Sprintf("%s/shop/large?bytes=%d", s.URL(), size))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(&measured{every: 4 << 20, measure: measure}, response.Body)
	if err != nil || n != size {
		t.Fatalf("download: %d bytes, %v", n, err)
	}
	if grown := int64(most.Load()) - int64(before); grown > 24<<20 {
		t.Errorf("the heap grew by %d MiB for streams of %d MiB", grown>>20, size>>20)
	}
}

// measured reads zeroes, and swallows what is written, measuring now and then.
type measured struct {
	n, every int
	measure  func()
}

func (m *measured) count(n int) (int, error) {
	if m.n += n; m.n >= m.every {
		m.n = 0
		m.measure()
	}
	return n, nil
}
func (m *measured) Read(p []byte) (int, error)  { clear(p); return m.count(len(p)) }
func (m *measured) Write(p []byte) (int, error) { return m.count(len(p)) }
