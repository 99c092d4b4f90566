package server_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
)

// TestMain has the whole process trust the certificate of httptest's servers, as an
// operator has the server trust a private authority.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		up := httptest.NewTLSServer(nil)
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
		up.Close()
		file, err := os.CreateTemp("", "stagedoor-roots-*.pem")
		if err != nil {
			panic(err)
		}
		defer os.Remove(file.Name())
		if _, err := file.Write(certificate); err != nil {
			panic(err)
		}
		if err := errors.Join(file.Close(), os.Setenv("SSL_CERT_FILE", file.Name())); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// behindTLS is behind, for callers that speak HTTP/2.
func behindTLS(t *testing.T, url, members string) (*running, *http.Client) {
	t.Helper()
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	certificate.Close()
	dir := t.TempDir()
	writePair(t, dir, certificate.TLS.Certificates[0])
	s, _ := behind(t, url, members, func(c *server.Config) {
		c.TLSCert, c.TLSKey = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &http.Client{Transport: transport}
}

func TestGatewayOverHTTP2(t *testing.T) {
	up := newUpstream(t)
	s, client := behindTLS(t, up.URL, ", max_body: 2MiB")
	post := func(body io.Reader) (*http.Response, string) {
		t.Helper()
		response, err := client.Post(s.URL()+"/shop/echo", "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return response, string(text)
	}
	whole := strings.Repeat("x", 2<<20)
	for _, body := range []string{"hello", whole} {
		response, text := post(strings.NewReader(body))
		if response.ProtoMajor != 2 || text != body {
			t.Errorf("%s %d %.80q", response.Proto, response.StatusCode, text)
		}
		if got := up.take()[0]; got.Header.Get("X-Forwarded-Proto") != "https" || got.Header.Get("X-Request-Id") == "" || got.ProtoMajor != 1 {
			t.Errorf("%v", got.Header)
		}
	}
	if response, text := post(strings.NewReader(whole + "x")); response.StatusCode != 413 {
		t.Errorf("too large: %d %.80q", response.StatusCode, text)
	}
}

func TestGatewayStreamsOverHTTP2(t *testing.T) {
	next, began, ended := make(chan string), make(chan struct{}, 1), make(chan struct{}, 1)
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		control := http.NewResponseController(w)
		switch r.URL.Path {
		case "/shop/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				select {
				case event := <-next:
					_, _ = io.WriteString(w, "data: "+event+"\n\n")
					_ = control.Flush()
				case <-r.Context().Done():
					return
				}
			}
		case "/shop/upload":
			_, _ = io.ReadFull(r.Body, make([]byte, 5))
			began <- struct{}{}
			_, _ = io.ReadAll(r.Body)
		case "/shop/download":
			_, _ = io.Copy(w, &measured{every: 1 << 40, measure: func() {}})
		}
	})
	s, client := behindTLS(t, up.URL, ", idle_timeout: 500ms")

	t.Run("events, with pauses longer than idle_timeout", func(t *testing.T) {
		// Nothing says when the time limits have passed but the other streams.
		go func() { next <- "one" }()
		response, err := client.Get(s.URL() + "/shop/events")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(response.Body)
		event := func(want string) {
			t.Helper()
			if line, err := lines.ReadString('\n'); err != nil || line != "data: "+want+"\n" {
				t.Fatalf("%q %v", line, err)
			}
			_, _ = lines.ReadString('\n')
		}
		event("one")
		t.Run("an upload that stalls", func(t *testing.T) {
			reader, writer := io.Pipe()
			defer writer.Close()
			go func() { _, _ = io.WriteString(writer, "hello") }()
			response, err := client.Post(s.URL()+"/shop/upload", "text/plain", reader)
			wait(t, began, "the upload's beginning")
			wait(t, ended, "the upload's end")
			if err != nil {
				return // the stream was reset
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusRequestTimeout {
				t.Errorf("answered %d", response.StatusCode)
			}
		})
		t.Run("a download that is not read", func(t *testing.T) {
			response, err := client.Get(s.URL() + "/shop/download")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			wait(t, ended, "the download's end")
		})
		next <- "two" // the connection has outlived both
		event("two")
		response.Body.Close()
		wait(t, ended, "the events' end, when the caller goes away")
	})
}

// TestGatewayToHTTPS: the upstream's certificate has to be good, and WebSockets pass
// though everything else speaks HTTP/2.
func TestGatewayToHTTPS(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, r.Proto, " ", r.RequestURI, " ", r.Host)
			return
		}
		echoSocket(w)
	}))
	up.EnableHTTP2 = true
	up.StartTLS()
	t.Cleanup(up.Close)
	s, data := behind(t, up.URL, ", host: example.com", nil)
	if a := s.call("GET", "/shop/a%20b?x=%2e", "", ""); a.body != "HTTP/2.0 /shop/a%20b?x=%2e example.com" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	socket, err := openSocket(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if back, err := socket.echo("hello"); err != nil || back != "hello\n" {
		t.Errorf("%q %v", back, err)
	}
	// It is not the certificate of this name.
	s.log.waitAfter(t, "policy activated", func() {
		write(t, data, "upstreams.yaml", fmt.Sprintf("upstreams:\n  shop: {url: %q}\n", strings.Replace(up.URL, "127.0.0.1", "localhost", 1)))
	})
	s.log.waitAfter(t, "certificate is valid for", func() {
		isProblem(t, s.call("GET", "/shop/x", "", "").Response, http.StatusBadGateway)
	})
}
