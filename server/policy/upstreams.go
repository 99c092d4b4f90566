package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/route"
)

// The documents that say what lies behind the gateway.
const (
	upstreamsName       = "upstreams"
	decisionHeadersName = "decision_headers"
	// upstreamMember is the member of a route that names its upstream.
	upstreamMember = "upstream"
)

// OptionUpstream is the name of the upstream that [Options.Upstream] declares.
const OptionUpstream = "--upstream"

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

	if why := l.options.NoAssertions; why != "" {
		for _, name := range slices.Sorted(maps.Keys(declared)) {
			if declared[name].Assertion != nil {
				refuse(fmt.Sprintf("upstream %q: assertion: %s", name, why), upstreamsName, name, "assertion")
			}
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

// reservedHeaders are no names for data.decision_headers: the gateway sets them
// itself, or the connection does.
var reservedHeaders = []string{
	"x-auth-subject", "x-auth-scopes", "x-auth-roles", "x-auth-decision-id", "x-auth-assertion", "x-decision-id", "x-request-id", "forwarded",
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
