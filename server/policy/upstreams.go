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

// The documents that say what lies behind the gateway.
const (
	upstreamsName       = "upstreams"
	decisionHeadersName = "decision_headers"
	// upstreamMember is the member of a route that names its upstream.
	upstreamMember = "upstream"
)

// Defaults of [Upstream].
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 30 * time.Second
	DefaultIdleTimeout     = 60 * time.Second
	DefaultMaxBody         = 1 << 30
)

// OptionUpstream is the name of the upstream that [Options.Upstream] declares.
const OptionUpstream = "--upstream"

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
	// RemoveToken keeps the caller's Authorization from the upstream.
	RemoveToken bool
}

// upstreamTable says which upstream serves a declared pattern. It is part of the
// route table, so that a request is matched, decided and proxied by one table.
type upstreamTable struct {
	byPattern map[string]*Upstream
	headers   []string // of decisions, in lower case, sorted
}

// Upstream is the upstream that serves a declared pattern; nil where the server
// itself does.
func (s *Snapshot) Upstream(pattern string) *Upstream {
	if len(s.routes.upstreams.byPattern) == 0 || pattern == "" {
		return nil
	}
	return s.routes.upstreams.byPattern[pattern]
}

// DecisionHeaders are the names that data.decision_headers declares, in lower case
// and sorted: those of a decision's headers that go to an upstream, and that are
// removed from every request. It is not to be changed.
func (s *Snapshot) DecisionHeaders() []string { return s.routes.upstreams.headers }

// declaredUpstream is an upstream with the prefixes whose routes it serves.
type declaredUpstream struct {
	*Upstream
	prefixes []string
}

// maxTableProblems is how many problems are told at a time.
const maxTableProblems = 20

// upstreams builds the upstream table of the routes that t has already.
func (l *loading) upstreams(t *routeTable) (problems []Problem) {
	refuse := func(message string, keys ...string) {
		p := Problem{Code: CodeRoutes, Message: message}
		p.File, p.Line = l.content.locate(keys...)
		problems = append(problems, p)
	}
	t.upstreams.byPattern = map[string]*Upstream{}
	t.upstreams.headers = l.decisionHeaders(refuse)
	declared := map[string]declaredUpstream{}
	document, ok := l.documents[upstreamsName].(map[string]any)
	if !ok && l.documents[upstreamsName] != nil {
		refuse("data.upstreams has to be an object of upstreams, such as shop: {url: http://127.0.0.1:9000}", upstreamsName)
	}
	for _, name := range slices.Sorted(maps.Keys(document)) {
		u, err := readUpstream(name, document[name])
		if err != nil {
			refuse(fmt.Sprintf("upstream %q: %v", name, err), upstreamsName, name)
			continue
		}
		declared[name] = u
	}
	if l.options.Upstream != "" {
		u, err := readUpstream(OptionUpstream, map[string]any{"url": l.options.Upstream, "prefixes": []any{"/"}})
		if err != nil {
			refuse(fmt.Sprintf("%s: %v", OptionUpstream, err))
		} else {
			declared[OptionUpstream] = u
		}
	}
	byPrefix := map[string]*Upstream{}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		for _, prefix := range declared[name].prefixes {
			if other := byPrefix[prefix]; other != nil {
				refuse(fmt.Sprintf("upstreams %q and %q both have the prefix %s, so it is ambiguous which of them serves it; remove one", other.Name, name, prefix), upstreamsName, name)
			}
			byPrefix[prefix] = declared[name].Upstream
		}
	}

	builtIn, err := newBuiltIn(l.options.BuiltIn)
	if err != nil {
		refuse("the built-in routes: " + err.Error())
		return problems
	}
	routes, _ := l.documents[routesName].(map[string]any)
	for _, pattern := range t.patterns {
		if len(problems) >= maxTableProblems {
			break // each is looked for in the files
		}
		item, _ := routes[pattern].(map[string]any)
		host, path := route.SplitPattern(pattern)
		value, explicit := item[upstreamMember]
		if !explicit {
			prefix, u := longestPrefix(byPrefix, pattern)
			if u == nil {
				continue
			}
			over := ""
			if strings.HasPrefix(prefix, "/") { // else the host was given to the upstream
				over = builtIn.under(path)
			}
			switch {
			case over != "" && prefix == "/":
			case over != "":
				refuse(fmt.Sprintf("route %q is under the prefix %s of upstream %q, but the server itself serves %s; change the prefix", pattern, prefix, u.Name, over), routesName, pattern)
			default:
				t.upstreams.byPattern[pattern] = u
			}
			continue
		}
		name, ok := value.(string)
		u := declared[name]
		over := ""
		if host == "" {
			over = builtIn.under(path)
		}
		switch {
		case !ok:
			refuse(fmt.Sprintf("route %q: upstream has to be the name of an upstream", pattern), routesName, pattern, upstreamMember)
		case u.Upstream == nil:
			refuse(fmt.Sprintf("route %q: there is no upstream %q; declare it in data.upstreams (it has %s)", pattern, name, listOr(slices.Sorted(maps.Keys(declared)), "none")), routesName, pattern, upstreamMember)
		case over != "":
			refuse(fmt.Sprintf("route %q can't go to upstream %q: the server itself serves %s; choose another path", pattern, name, over), routesName, pattern, upstreamMember)
		default:
			t.upstreams.byPattern[pattern] = u.Upstream
		}
	}
	return problems
}

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

// longestPrefix finds the upstream whose prefix is a pattern's longest: one with the
// pattern's host, or else one without a host, which is for all of them.
func longestPrefix(byPrefix map[string]*Upstream, pattern string) (prefix string, u *Upstream) {
	_, path := route.SplitPattern(pattern)
	for _, of := range []string{pattern, path} {
		for p := range byPrefix {
			if len(p) > len(prefix) && strings.HasPrefix(of, p) {
				prefix, u = p, byPrefix[p]
			}
		}
		if u != nil {
			break
		}
	}
	return prefix, u
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
		case "prefixes":
			d.prefixes, err = readPrefixes(v)
		default:
			err = fmt.Errorf("is not known; an upstream has url, prefixes, host, connect_timeout, response_timeout, idle_timeout, max_body and remove_token")
		}
		if err != nil {
			return d, fmt.Errorf("%s %w", member, err)
		}
	}
	return d, nil
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

// reservedHeaders are no names for data.decision_headers: the gateway sets them
// itself, or the connection does.
var reservedHeaders = []string{
	"x-auth-subject", "x-auth-scopes", "x-auth-roles", "x-auth-decision-id", "x-decision-id", "x-request-id", "forwarded",
	"www-authenticate",
}

// decisionHeaders reads data.decision_headers.
func (l *loading) decisionHeaders(refuse func(string, ...string)) []string {
	value := l.documents[decisionHeadersName]
	if value == nil {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		refuse("data.decision_headers has to be a list of header names, such as [x-tenant]", decisionHeadersName)
		return nil
	}
	var names []string
	for _, item := range list {
		given, _ := item.(string)
		name := strings.ToLower(given)
		if !isHeaderName(name) || slices.Contains(forbiddenHeaders, name) || slices.Contains(reservedHeaders, name) || strings.HasPrefix(name, "x-forwarded-") {
			refuse(fmt.Sprintf("data.decision_headers holds %q, which a policy can't set", given), decisionHeadersName)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// builtIn are the patterns that the server itself serves.
type builtIn struct {
	patterns []string
	matcher  *route.Matcher
	byShape  map[string]string
}

func newBuiltIn(patterns []string) (*builtIn, error) {
	b := &builtIn{patterns: patterns, byShape: map[string]string{}}
	for _, p := range patterns {
		b.byShape[shape(p)] = p
	}
	var err error
	b.matcher, err = route.NewMatcher(patterns)
	return b, err
}

// under returns the built-in pattern of which a pattern takes a part or the whole;
// empty where there is none. A pattern that takes in more than a built-in one, such
// as /{path...}, is not over it: where both are declared, the built-in one wins, as
// the more specific.
func (b *builtIn) under(pattern string) string {
	if same := b.byShape[shape(pattern)]; same != "" {
		return same
	}
	// Does the built-in table take some path of the pattern? One that stands for
	// them all will do: its parameters have a value that is no literal.
	if match, ok := b.matcher.Match("", sample(pattern)); ok {
		return match.Pattern
	}
	// Or do they cross, as /a/{x}/c and /a/b/{y} do?
	if !strings.Contains(pattern, "{") {
		return ""
	}
	if _, err := route.NewMatcher(append(slices.Clone(b.patterns), pattern)); err != nil {
		for _, p := range b.patterns {
			if strings.Contains(err.Error(), fmt.Sprintf("%q", p)) {
				return p
			}
		}
		return "some paths of it"
	}
	return ""
}

// shape is a pattern without the names of its parameters.
func shape(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, "{") && strings.HasSuffix(part, "...}"):
			parts[i] = "{...}"
		case strings.HasPrefix(part, "{"):
			parts[i] = "{}"
		default:
			if decoded, err := url.PathUnescape(part); err == nil {
				parts[i] = decoded
			}
		}
	}
	return strings.Join(parts, "/")
}

// sample is the segments of some path that a pattern matches.
func sample(pattern string) []string {
	parts := strings.Split(strings.TrimPrefix(shape(pattern), "/"), "/")
	for i, part := range parts {
		if part == "{}" || part == "{...}" {
			parts[i] = "\x00" // in no path, so no literal is it
		}
	}
	return parts
}
