package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/route"
)

// Defaults of [Upstream].
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 30 * time.Second
	DefaultIdleTimeout     = 60 * time.Second
	DefaultMaxBody         = 1 << 30

	DefaultAssertionLifetime = time.Minute
	MaxAssertionLifetime     = 10 * time.Minute
)

// Upstream is a service behind the gateway, as data.upstreams declares it. It
// never changes, and two of equal values are the same to the gateway, whichever
// snapshot they are of.
type Upstream struct {
	Name string
	// Scheme is http or https, Host the address with its port, if one was given.
	Scheme, Host string
	// HostHeader replaces the request's Host; empty passes on what the caller sent,
	// which is what the policy saw.
	HostHeader string
	// ConnectTimeout bounds the dial; ResponseTimeout the wait for the answer's
	// header once the request is written; IdleTimeout the wait for a caller that
	// neither sends nor reads a body that has begun.
	ConnectTimeout, ResponseTimeout, IdleTimeout time.Duration
	// MaxBody bounds a request's body, in bytes.
	MaxBody int64
	// Assertion is the signed statement of who asks; nil for none.
	Assertion *Assertion
	// RemoveToken keeps the caller's Authorization from the upstream.
	RemoveToken bool
}

// Assertion is what an upstream declares of the JWT that tells it who asks.
type Assertion struct {
	// Audience is its aud: the upstream's URL unless another is declared.
	Audience string
	Lifetime time.Duration
}

// declaredUpstream is an upstream with the prefixes whose routes it serves.
type declaredUpstream struct {
	*Upstream
	prefixes []string
}

// readUpstream reads what is declared of one upstream. A member that is not known
// is an error, for it may be a misspelt limit.
func readUpstream(name string, value any) (declaredUpstream, error) {
	u := &Upstream{
		Name: name, ConnectTimeout: DefaultConnectTimeout, ResponseTimeout: DefaultResponseTimeout,
		IdleTimeout: DefaultIdleTimeout, MaxBody: DefaultMaxBody,
	}
	d := declaredUpstream{Upstream: u}
	members, ok := value.(map[string]any)
	if !ok {
		return d, fmt.Errorf("has to be an object, such as {url: http://127.0.0.1:9000}")
	}
	if members["url"] == nil {
		return d, fmt.Errorf("has no url")
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		var err error
		switch v := members[member]; member {
		case "url":
			err = u.readURL(v)
		case "host":
			if u.HostHeader, ok = v.(string); !ok || !isHost(u.HostHeader) {
				err = fmt.Errorf("has to be a host name, with a port if need be")
			}
		case "connect_timeout":
			u.ConnectTimeout, err = readDuration(v)
		case "response_timeout":
			u.ResponseTimeout, err = readDuration(v)
		case "idle_timeout":
			u.IdleTimeout, err = readDuration(v)
		case "max_body":
			u.MaxBody, err = readSize(v)
		case "remove_token":
			if u.RemoveToken, ok = v.(bool); !ok {
				err = fmt.Errorf("has to be true or false")
			}
		case "assertion":
			u.Assertion, err = readAssertion(v)
		case "prefixes":
			d.prefixes, err = readPrefixes(v)
		default:
			err = fmt.Errorf("is not known; an upstream has url, prefixes, host, connect_timeout, response_timeout, idle_timeout, max_body, remove_token and assertion")
		}
		if err != nil {
			return d, fmt.Errorf("%s %w", member, err)
		}
	}
	if u.Assertion != nil && u.Assertion.Audience == "" {
		u.Assertion.Audience = u.Scheme + "://" + u.Host
	}
	return d, nil
}

// readAssertion reads true, for the defaults, or an object of audience and lifetime.
func readAssertion(v any) (*Assertion, error) {
	a := &Assertion{Lifetime: DefaultAssertionLifetime}
	if wanted, ok := v.(bool); ok {
		if !wanted {
			return nil, nil
		}
		return a, nil
	}
	members, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("has to be true, or an object such as {audience: https://shop.internal, lifetime: 30s}")
	}
	for name, member := range members {
		switch name {
		case "audience":
			if a.Audience, ok = member.(string); !ok || a.Audience == "" {
				return nil, fmt.Errorf("has an audience that is no text")
			}
		case "lifetime":
			d, err := readDuration(member)
			if err != nil || d < time.Second || d > MaxAssertionLifetime {
				return nil, fmt.Errorf("has a lifetime that is not between 1s and %s", MaxAssertionLifetime)
			}
			a.Lifetime = d
		default:
			return nil, fmt.Errorf("has the member %s, which is not known; it has audience and lifetime", name)
		}
	}
	return a, nil
}

// CheckUpstreamURL reports what can't be an upstream's URL.
func CheckUpstreamURL(text string) error {
	if err := new(Upstream).readURL(text); err != nil {
		return fmt.Errorf("%q %w", text, err)
	}
	return nil
}

// readURL accepts a scheme and a host. A path there would make the upstream's
// target another than the one that the policy decided.
func (u *Upstream) readURL(v any) error {
	text, _ := v.(string)
	parsed, err := url.Parse(text)
	switch {
	case err != nil, parsed.Scheme != "http" && parsed.Scheme != "https", !isHost(parsed.Host), parsed.Opaque != "":
		return fmt.Errorf("has to be http://HOST:PORT or https://HOST:PORT")
	case parsed.User != nil:
		return fmt.Errorf("must not contain a user name or password")
	case parsed.Path != "" && parsed.Path != "/", parsed.RawQuery != "", parsed.ForceQuery, strings.Contains(text, "#"):
		return fmt.Errorf("must have no path, query or fragment: an upstream gets the very path that was decided")
	}
	u.Scheme, u.Host = parsed.Scheme, parsed.Host
	return nil
}

// isHost is a name or address with an optional port.
func isHost(host string) bool {
	name := host
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(host[1:end])
		if err != nil || !addr.Is6() {
			return false
		}
		name = "v6" + host[end+1:]
	}
	name, port, hasPort := strings.Cut(name, ":")
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}

func readDuration(v any) (time.Duration, error) {
	text, _ := v.(string)
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("has to be a positive duration, such as 5s")
	}
	return d, nil
}

// readSize reads a number of bytes, or a text such as 64MiB.
func readSize(v any) (int64, error) {
	text := fmt.Sprint(v)
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = strings.TrimSpace(number), 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > (1<<62)>>shift {
		return 0, fmt.Errorf("has to be a number of bytes, or one of KiB, MiB or GiB, such as 64MiB")
	}
	return n << shift, nil
}

func readPrefixes(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("have to be a list of paths, such as [/shop/]")
	}
	var prefixes []string
	for _, item := range list {
		prefix, _ := item.(string)
		_, path := route.SplitPattern(prefix)
		if !strings.HasSuffix(path, "/") || strings.ContainsAny(prefix, "{}") {
			return nil, fmt.Errorf("have to be paths that begin and end with a slash and hold no parameters, as /shop/ does, with a host before them if need be")
		}
		if _, err := route.ParseTarget(path); err != nil {
			return nil, fmt.Errorf("hold %q, which is not the canonical spelling of a path: %w", prefix, err)
		}
		if _, err := route.NewMatcher([]string{prefix}); err != nil {
			return nil, fmt.Errorf("hold %q: %w", prefix, err)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
