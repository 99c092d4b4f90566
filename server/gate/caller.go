package gate

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const (
	headerRequestID  = "X-Request-Id" // in the form of [http.CanonicalHeaderKey]
	headerDecisionID = "X-Decision-Id"
	maxRequestID     = 128 // characters
)

// clientIP is the address that the request came from. X-Forwarded-For is
// believed only as far as trusted proxies wrote it: read from its right end, the
// first address that is no trusted proxy is the caller's. What stands further
// left was written by the caller, and is not looked at. A malformed entry among
// those read makes it the connection's address.
func (g *Gate) clientIP(r *http.Request) netip.Addr {
	connection, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a connection without an address, such as a Unix socket's
	}
	peer := connection.Addr().Unmap()
	if !g.trusts(peer) {
		return peer
	}
	client := peer
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var entry string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				rest, entry, more = "", rest, false
			}
			addr, ok := forwardedAddr(strings.Trim(entry, " \t"))
			if !ok {
				return peer
			}
			client = addr
			if !g.trusts(addr) {
				return client
			}
		}
	}
	return client
}

// forwardedAddr reads an entry of X-Forwarded-For: an address, which some
// proxies write with a port.
func forwardedAddr(entry string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(entry)
	if err != nil {
		withPort, err := netip.ParseAddrPort(entry)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.WithZone("").Unmap(), true
}

func (g *Gate) trusts(addr netip.Addr) bool { return Trusts(g.o.TrustedProxies, addr) }

// Trusts reports whether an address, which is not an IPv4 address mapped into IPv6,
// is one of the networks'. Zones don't count.
func Trusts(proxies []netip.Prefix, addr netip.Addr) bool {
	addr = addr.WithZone("")
	return slices.ContainsFunc(proxies, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// addressText writes an address; empty where it is not valid. Mostly it is the
// connection's, which is a text already.
func addressText(addr netip.Addr, remoteAddr string) string {
	if !addr.IsValid() {
		return ""
	}
	var room [64]byte // a longer one, with a zone, is made elsewhere
	text := addr.AppendTo(room[:0])
	if rest, same := strings.CutPrefix(remoteAddr, string(text)); same && strings.HasPrefix(rest, ":") {
		return remoteAddr[:len(text)]
	}
	return string(text)
}

func isRequestID(s string) bool {
	if s == "" || len(s) > maxRequestID {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// isToken is RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= 0x20 || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
