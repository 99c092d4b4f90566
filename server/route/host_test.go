package route

import "testing"

func TestParseHost(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "example.com": "example.com", "EXAMPLE.com.:8080": "example.com", "a_b.example:": "a_b.example",
		"127.0.0.1:80": "127.0.0.1", "[::1]": "::1", "[2001:DB8:0::1]:443": "2001:db8::1",
	} {
		if host, err := ParseHost(header); err != nil || host != want {
			t.Errorf("%q: %q, %v; want %q", header, host, err, want)
		}
	}
	for _, header := range []string{
		".", "..", ".a", "a..", "a..b", ":80", "a:b", "a:-1", "a:123456", "a:80:80", "::1", "u@a", "a/", "a b", "a\tb", "a,b", "a%2E", "a\\b", "a~b", "é",
		"[]", "[", "[::1", "[::1]80", "[::1]x:80", "[a]", "[127.0.0.1]", "[fe80::1%eth0]", "[::1]:x", "a[::1]",
	} {
		if host, err := ParseHost(header); err == nil {
			t.Errorf("%q is taken for %q", header, host)
		}
	}
}
