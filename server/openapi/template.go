package openapi

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/server/route"
)

// template is a path of the document as a route's pattern, below a base.
type template struct {
	pattern string
	// declarable: some requests can have such a path.
	declarable bool
	// written is the path as the document has it, where a parameter is a part of a
	// segment; else empty.
	written string
}

// oneSegment is a parameter, whose name may hold anything but braces, slashes, too.
var oneSegment = regexp.MustCompile(`\{[^{}]*\}`)

// parseTemplate turns a path into a pattern. Where there is none that takes the same
// paths, it says why, and the pattern takes more.
func parseTemplate(path string) (template, *untranslated) {
	if !strings.HasPrefix(path, "/") {
		return template{}, &untranslated{reason: "does not begin with a slash", advice: "paths are absolute; the base belongs into servers"}
	}
	var why *untranslated
	if at := strings.IndexAny(path, "?#"); at >= 0 {
		path = path[:at]
		why = &untranslated{reason: "holds a query or fragment, which no route has", advice: "describe the query by parameters"}
	}
	written := ""
	names := map[string]int{} // with the number that the next of the same name gets
	parts := strings.Split(oneSegment.ReplaceAllStringFunc(path[1:], func(name string) string { return strings.ReplaceAll(name, "/", "_") }), "/")
	for i, part := range parts {
		if !strings.ContainsAny(part, "{}") {
			continue
		}
		name, whole := strings.CutPrefix(part, "{")
		if whole {
			name, whole = strings.CutSuffix(name, "}")
		}
		if !whole || strings.ContainsAny(name, "{}") {
			name, written = "part", path
			why = &untranslated{reason: fmt.Sprintf("has a parameter that is only a part of the segment %s", printable(part)), advice: "make it the whole segment, as in /files/{name}"}
		}
		name = strings.Map(func(c rune) rune {
			if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' {
				return c
			}
			return '_'
		}, name)
		unique, n := name, max(2, names[name])
		for ; unique == "" || names[unique] > 0; n++ {
			unique = fmt.Sprintf("%s%d", name, n)
		}
		names[name] = max(1, n)
		names[unique] = max(1, names[unique])
		parts[i] = "{" + unique + "}"
	}
	return template{pattern: "/" + strings.Join(parts, "/"), declarable: true, written: written}, why
}

// CheckBase reports what can't be a base path.
func CheckBase(base string) error {
	if !strings.HasPrefix(base, "/") || strings.ContainsAny(base, "{}?#") {
		return errors.New("has to be a path, such as /v1")
	}
	if _, err := route.ParseTarget(strings.TrimSuffix(base, "/") + "/"); err != nil {
		return fmt.Errorf("is not the canonical spelling of a path: %w", err)
	}
	return nil
}

// maxBases bounds the base paths of one operation.
const maxBases = 16

// bases are the distinct base paths of a list of servers, without their last slash.
type bases struct {
	paths []string
	why   *untranslated // where there are none
}

// basesOf reads servers; nil and an empty list stand for one at "/".
func (in *importer) basesOf(servers *yaml.Node) bases {
	if in.options.Base != "" {
		return bases{paths: []string{strings.TrimSuffix(in.options.Base, "/")}}
	}
	if servers == nil || isNull(servers) {
		return bases{paths: []string{""}}
	}
	if found, ok := in.bases[servers]; ok {
		return found
	}
	found := bases{}
	list, err := in.items(servers, "servers")
	if err == nil && len(list) == 0 {
		found.paths = []string{""}
	}
	for _, server := range list {
		var base string
		if base, err = in.base(server); err != nil {
			in.out.Left = append(in.out.Left, in.serverItem(server, err))
			continue
		}
		if !slices.Contains(found.paths, base) {
			found.paths = append(found.paths, base)
		}
	}
	if len(found.paths) > maxBases {
		found.paths, err = nil, refuse(servers, "servers have more than %d base paths", maxBases)
	}
	if len(found.paths) == 0 {
		found.why = leftOut(err)
		found.why.advice = "give its base path by --base, or mend servers"
	}
	in.bases[servers] = found
	return found
}

func (in *importer) serverItem(server *yaml.Node, err error) Item {
	why := leftOut(err)
	return Item{Line: server.Line, Reason: "a server " + why.reason, Advice: "its paths are not declared; give the base path by --base, or mend it"}
}

// base is a server's base path, with the defaults of its variables.
func (in *importer) base(server *yaml.Node) (string, error) {
	m, err := in.mapping(server, "a server")
	if err != nil {
		return "", err
	}
	address, ok := text(m.get("url"))
	if !ok {
		return "", refuse(server, "has no url")
	}
	written := address
	if variables := m.get("variables"); variables != nil && strings.Contains(address, "{") {
		variables, err := in.mapping(variables, "its variables")
		if err != nil {
			return "", err
		}
		for _, variable := range variables.list {
			if !strings.Contains(address, "{"+variable.name+"}") {
				continue
			}
			v, err := in.mapping(variable.value, "its variable "+variable.name)
			if err != nil {
				return "", err
			}
			value, ok := text(v.get("default"))
			if !ok || len(value) > maxBaseLength {
				return "", refuse(variable.key, "has a variable %s without a default that is a text", printable(variable.name))
			}
			if address = strings.ReplaceAll(address, "{"+variable.name+"}", value); len(address) > maxBaseLength {
				return "", refuse(server, "has a url of more than %d bytes", maxBaseLength)
			}
		}
	}
	if strings.ContainsAny(address, "{}") {
		return "", refuse(server, "has the url %q with a variable that is not declared", written)
	}
	if address == "." || address == "./" {
		return "", nil
	}
	parsed, err := url.Parse(address)
	switch {
	case err != nil || parsed.Opaque != "":
		return "", refuse(server, "has the url %q, which is none", written)
	case strings.ContainsAny(address, "?#"):
		return "", refuse(server, "has the url %q, with a query or fragment", written)
	}
	base := parsed.EscapedPath()
	if base == "" {
		return "", nil
	}
	if err := CheckBase(base); err != nil {
		return "", refuse(server, "has the url %q, whose path %v", written, err)
	}
	return strings.TrimSuffix(base, "/"), nil
}

const maxBaseLength = 2048
