package server_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// The lines of the attack list, end to end. Each room tests its own part in
// depth; here a whole server stands behind a socket.

func TestAttacksOnTokens(t *testing.T) {
	s := start(t, nil)
	good := s.token("johndoe", "secret", "")
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	header := func(json string) string { return encode([]byte(json)) + "." + parts[1] + "." + parts[2] }
	unsigned := func(json string) string { return encode([]byte(json)) + "." + parts[1] + "." }
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	signature[5] ^= 1

	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"the good token", good, 200},
		{"alg none", unsigned(`{"alg":"none","typ":"at+jwt"}`), 401},
		{"alg None", unsigned(`{"alg":"None","typ":"at+jwt"}`), 401},
		{"alg nOnE", unsigned(`{"alg":"nOnE","typ":"at+jwt"}`), 401},
		{"alg HS256 with the key's kid", header(`{"alg":"HS256","typ":"at+jwt","kid":"x"}`), 401},
		{"kid as a path", header(`{"alg":"EdDSA","typ":"at+jwt","kid":"../../dev/null"}`), 401},
		{"kid as SQL", header(`{"alg":"EdDSA","typ":"at+jwt","kid":"' OR 1=1 --"}`), 401},
		{"kid as a URL", header(`{"alg":"EdDSA","typ":"at+jwt","kid":"http://127.0.0.1/jwks"}`), 401},
		{"kid of 10 kB", header(`{"alg":"EdDSA","typ":"at+jwt","kid":"` + strings.Repeat("k", 10_000) + `"}`), 401},
		{"unknown crit", header(`{"alg":"EdDSA","typ":"at+jwt","crit":["x"],"x":1}`), 401},
		{"b64 false", header(`{"alg":"EdDSA","typ":"at+jwt","b64":false,"crit":["b64"]}`), 401},
		{"typ JWT", header(`{"alg":"EdDSA","typ":"JWT"}`), 401},
		{"another signature", parts[0] + "." + parts[1] + "." + encode(signature), 401},
		{"no signature", parts[0] + "." + parts[1] + ".", 401},
		{"padded base64", good + "=", 401},
		{"not a JWT", "abc", 401},
		{"20,000 dots", strings.Repeat(".", 20_000), 401},
		{"illegal characters", "a b", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call("GET", "/admin-only", c.token, "")
			if a.StatusCode != c.status {
				t.Fatalf("%d, want %d: %s", a.StatusCode, c.status, a.body)
			}
			challenge := a.Header.Get("WWW-Authenticate")
			switch c.status {
			case 401:
				if !strings.Contains(challenge, `error="invalid_token"`) {
					t.Errorf("challenge %q", challenge)
				}
			case 400:
				if !strings.Contains(challenge, `error="invalid_request"`) {
					t.Errorf("challenge %q", challenge)
				}
			}
			// A public route ignores a bad token.
			if a := s.call("GET", "/livez", c.token, ""); a.StatusCode != 200 {
				t.Errorf("/livez answered %d", a.StatusCode)
			}
		})
	}

	for name, size := range map[string]int{"a header of 64 kB": 64 << 10, "a token of 1 MB": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			request := "GET /admin-only HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat("a", size) + "\r\nConnection: close\r\n\r\n"
			if status := s.raw(request); status != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("answered %d", status)
			}
		})
	}

	t.Run("two Authorization headers", func(t *testing.T) {
		request, _ := http.NewRequest("GET", s.URL()+"/admin-only", nil)
		request.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
		if a := s.do(request); a.StatusCode != 400 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("a token in the query", func(t *testing.T) {
		if a := s.call("GET", "/admin-only?access_token="+good, "", ""); a.StatusCode != 400 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

func TestAttacksOnPaths(t *testing.T) {
	s := start(t, nil)
	admin := s.token("johndoe", "secret", "")
	for _, c := range []struct {
		target string
		status int
	}{
		{"/admin-only", 200},
		{"/admin-only?x=/../", 200},
		{"//admin-only", 400},
		{"/./admin-only", 400},
		{"/x/../admin-only", 400},
		{"/admin-only/", 404},
		{"/ADMIN-ONLY", 404},
		{"/admin-only;x", 400},
		{"/admin-only%2f", 400},
		{"/admin-only%2F", 400},
		{"/%61dmin-only", 400},
		{"/admin%2Donly", 400},
		{"/admin-only%00", 400},
		{`/admin-only\`, 400},
		{"/admin-only%5c", 400},
		{"/admin-only%5C", 400},
		{"/admin-only#", 400},
		{"/%C0%AFadmin-only", 400},
		{"/%FF", 400},
		{"/%252e%252e/admin-only", 400},
		{"/admin-only%", 400},
		{"/admin-only%zz", 400},
		{"http://x/admin-only", 400},
		{"*", 400},
	} {
		t.Run(c.target, func(t *testing.T) {
			status := s.raw("GET " + c.target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin + "\r\nConnection: close\r\n\r\n")
			if status != c.status {
				t.Errorf("answered %d, want %d", status, c.status)
			}
		})
	}
	for method, want := range map[string]int{"TRACE": 405, "PROPFIND": 405, "POST": 405, "get": 405, "HEAD": 200} {
		t.Run("method "+method, func(t *testing.T) {
			status := s.raw(method + " /admin-only HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer " + admin + "\r\nConnection: close\r\n\r\n")
			if status != want {
				t.Errorf("answered %d, want %d", status, want)
			}
		})
	}
	t.Run("CONNECT", func(t *testing.T) {
		if status := s.raw("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nConnection: close\r\n\r\n"); status != 400 {
			t.Errorf("answered %d", status)
		}
	})
	t.Run("method override headers", func(t *testing.T) {
		status := s.raw("GET /admin-only HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: DELETE\r\nAuthorization: Bearer " + admin + "\r\nConnection: close\r\n\r\n")
		if status != 200 {
			t.Errorf("answered %d", status)
		}
	})
	t.Run("both Content-Length and Transfer-Encoding", func(t *testing.T) {
		status := s.raw("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n")
		if status == 200 {
			t.Errorf("answered %d", status)
		}
	})
}

// TestAttackManyLoginsAtOnce holds that logins queue for the hash while requests
// with tokens do not.
func TestAttackManyLoginsAtOnce(t *testing.T) {
	s := start(t, nil)
	token := s.token("johndoe", "secret", "")
	var logins sync.WaitGroup
	statuses := make(chan int, manyLogins)
	for range manyLogins {
		logins.Go(func() { statuses <- s.login("carol", "secretcarol", "").StatusCode })
	}
	for range 200 {
		if a := s.call("GET", "/admin-only", token, ""); a.StatusCode != 200 {
			t.Errorf("a request with a token got %d during the logins", a.StatusCode)
		}
	}
	logins.Wait()
	close(statuses)
	for status := range statuses {
		if status != 200 && status != 503 {
			t.Errorf("a login got %d", status)
		}
	}
}
