package route

import (
	"fmt"
	"net/netip"
	"strings"
)

// Host is the canonical spelling of a Host header's host, which patterns are
// declared with: in lower case, without the port, and without the dot that may end
// a name; an IPv6 address without its brackets.
func Host(header string) string {
	if !strings.HasPrefix(header, "[") {
		name, _, _ := strings.Cut(header, ":")
		return strings.TrimSuffix(strings.ToLower(name), ".")
	}
	if end := strings.IndexByte(header, ']'); end > 0 {
		if addr, err := netip.ParseAddr(header[1:end]); err == nil {
			return addr.String()
		}
	}
	return strings.ToLower(header)
}

// SplitPattern divides a pattern into its host, as it is written and empty where it
// has none, and its path.
func SplitPattern(pattern string) (host, path string) {
	at := strings.IndexByte(pattern, '/')
	if at < 0 {
		return pattern, ""
	}
	return pattern[:at], pattern[at:]
}

// parseHost returns the host that requests have to a pattern's host.
func parseHost(written string) (string, error) {
	host := Host(written)
	spelled := host
	if strings.Contains(host, ":") {
		spelled = "[" + host + "]"
	}
	switch {
	case strings.Contains(written, "*"):
		return "", fmt.Errorf("has a wildcard in its host; declare each host, or leave the host out for all others")
	case strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:") != "", written != "" && strings.Trim(host, ".") == "":
		return "", fmt.Errorf("must begin with a slash, or with a host name, as in api.example.com/items; got %q", written)
	case written != spelled:
		return "", fmt.Errorf("its host must be in lower case, without a port or a dot at its end: write %s", spelled)
	}
	return host, nil
}
