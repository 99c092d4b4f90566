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

// ParseHost is [Host] for the Host header of a request: a name or an address, and a
// port if need be (RFC 9110 section 7.2), or nothing. Anything else is a *[TargetError],
// for an upstream might read from it another host than the one that was decided, as
// from shop@admin.example.com.
func ParseHost(header string) (string, error) {
	name, port, hasPort := strings.Cut(header, ":")
	if strings.HasPrefix(header, "[") {
		end := strings.IndexByte(header, ']')
		if end < 0 {
			return "", errHost
		}
		if addr, err := netip.ParseAddr(header[1:end]); err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", errHost
		}
		name, port, hasPort = "v6", strings.TrimPrefix(header[end+1:], ":"), end+1 < len(header)
		if hasPort && header[end+1] != ':' {
			return "", errHost
		}
	}
	dot := true // so that no label is empty
	for i := range len(name) {
		c := name[i]
		if !isUnreserved(c) || c == '~' || c == '.' && dot {
			return "", errHost
		}
		dot = c == '.'
	}
	if name == "" && hasPort || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return "", errHost
	}
	return Host(header), nil
}

// errHost is shared, for it says nothing of the host.
var errHost = refuse(CodeHost, "the Host is not a name or an address with an optional port")

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
