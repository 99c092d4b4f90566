package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/openapi"
)

// Bounds of what is printed of a document.
const (
	maxListedScopes = 20
	maxTriedScopes  = 8
)

// tryDocument says what became of the OpenAPI document, and what to type into a shell
// to call one of its routes.
func (s *Server) tryDocument() string {
	var text strings.Builder
	imported := s.document.imported.Load()
	declared := slices.DeleteFunc(slices.Clone(imported.Routes), func(r openapi.Route) bool { return len(r.Methods) == 0 })
	to := "the upstreams"
	if s.cfg.Upstream != "" {
		to = s.cfg.Upstream
	}
	fmt.Fprintf(&text, "%s: %s, served by %s.\n", s.document.name, counted(len(declared), "path"), to)
	if n := len(imported.Left); n > 0 {
		fmt.Fprintf(&text, "%s could not be translated, and nobody is let through to them: `stagedoor policy import %s` lists them.\n",
			counted(n, "operation"), quoted(s.document.name))
	}
	scopes := imported.Scopes()
	if len(scopes) > 0 {
		listed := strings.Join(scopes[:min(len(scopes), maxListedScopes)], ", ")
		if len(scopes) > maxListedScopes {
			listed += ", …"
		}
		fmt.Fprintf(&text, "Its scopes: %s.\n", listed)
	}
	route, condition, ok := firstGet(declared)
	if !ok {
		return text.String()
	}
	text.WriteString("Try it in another shell:\n\n")
	address := quoted(s.URL() + example(route.Pattern))
	if condition.Public {
		fmt.Fprintf(&text, "    curl -i %s\n", address)
		return text.String()
	}
	if len(scopes) > maxTriedScopes {
		scopes = condition.Scopes
	}
	var asked strings.Builder
	for _, scope := range scopes {
		// A comma would be the end of a scope.
		fmt.Fprintf(&asked, " --scope %s", quoted(strings.ReplaceAll(scope, ",", `\,`)))
	}
	fmt.Fprintf(&text, "    SECRET=$(stagedoor client add try --grant client_credentials%s%s | tail -n 1)\n", &asked, s.stateFlag())
	fmt.Fprintf(&text, "    TOKEN=$(curl -sSf --retry 3 --retry-all-errors -u \"try:$SECRET\" -d grant_type=client_credentials %s/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n", s.URL())
	fmt.Fprintf(&text, "    curl -i -H \"Authorization: Bearer $TOKEN\" %s\n", address)
	return text.String()
}

// firstGet is the route to try first: one that is asked for with GET, preferably with
// a token, and has as few parameters as there are.
func firstGet(routes []openapi.Route) (found openapi.Route, _ openapi.Condition, ok bool) {
	for _, r := range routes {
		if _, get := r.Methods["GET"]; !get {
			continue
		}
		if !ok || effort(r) < effort(found) {
			found, ok = r, true
		}
	}
	return found, found.Methods["GET"], ok
}

// effort is smaller for a route that is better to try.
func effort(r openapi.Route) int {
	n := strings.Count(r.Pattern, "{")
	if r.Methods["GET"].Public {
		n += 100
	}
	return n
}

// example is a path that a pattern matches.
func example(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = "1"
		}
	}
	return strings.Join(parts, "/")
}

// quoted is a word for a shell.
func quoted(word string) string {
	plain := strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/@%+=,") == ""
	if plain && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
