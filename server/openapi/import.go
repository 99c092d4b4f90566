package openapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Unsecured says what becomes of operations for which a document says nothing about
// security.
type Unsecured string

// The zero value of [Unsecured] is UnsecuredDeny.
const (
	UnsecuredDeny          Unsecured = "deny"
	UnsecuredAuthenticated Unsecured = "authenticated"
	UnsecuredPublic        Unsecured = "public"
)

// Options say how a document is read. The zero value leaves everything out that is in
// doubt.
type Options struct {
	// Base is the path below which the API lies, such as /v1, in place of those of the
	// document's servers; "/" is none. Empty: the document's.
	Base string
	// Unsecured is for operations without a security of their own or the document's.
	Unsecured Unsecured
	// BuiltIn returns the built-in route of which a pattern takes a part, empty where
	// there is none: such a pattern is left out. nil: there are no built-in routes.
	BuiltIn func(pattern string) string
}

// Import is what a document became.
type Import struct {
	Title, Version string // of the API, and of OpenAPI
	// Routes are sorted by pattern.
	Routes []Route
	// Left is what could not be translated, and is refused to everybody; Notes are
	// translated, but not quite as the document has it. Both in the order of lines.
	Left, Notes []Item
}

// Route is a pattern with what its methods ask for. One without methods is refused to
// everybody; it is there so that no wider pattern opens it.
type Route struct {
	Pattern string
	Line    int
	Methods map[string]Condition
}

// Item is one thing to know about an operation, a path (without Method) or the document
// (without Path).
type Item struct {
	Path   string `json:"path,omitempty"`
	Method string `json:"method,omitempty"`
	Line   int    `json:"line,omitempty"`
	Reason string `json:"reason"`
	Advice string `json:"advice,omitempty"`
}

func (i Item) String() string {
	where := strings.TrimSpace(i.Method + " " + i.Path)
	if where != "" {
		where += ": "
	}
	if i.Advice != "" {
		return where + i.Reason + "; " + i.Advice
	}
	return where + i.Reason
}

// methods of a path item, in the order in which they are told.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

// Read translates a document. An error is an [*Error]: nothing of it can be used.
func Read(document []byte, options Options) (*Import, error) {
	if options.Base != "" {
		if err := CheckBase(options.Base); err != nil {
			return nil, refuse(nil, "the base %q %v", options.Base, err)
		}
	}
	root, err := parse(document)
	if err != nil {
		return nil, err
	}
	in := &importer{options: options, reader: &reader{root: root, mappings: map[*yaml.Node]*mapping{}}, bases: map[*yaml.Node]bases{}}
	if err := in.read(root); err != nil {
		return nil, err
	}
	return in.finish()
}

// maxLeft bounds what is told of one document.
const maxLeft = 100_000

// importer is one reading of a document.
type importer struct {
	*reader
	options  Options
	document *mapping
	schemes  *schemes
	bases    map[*yaml.Node]bases // by the node of the servers
	table    table
	partial  []partial
	compared int // patterns, in the search for ambiguous ones
	out      Import
}

func (in *importer) read(root *yaml.Node) (err error) {
	if in.document, err = in.mapping(root, "the document"); err != nil {
		return err
	}
	if old := in.document.get("swagger"); old != nil {
		return refuse(old, "is Swagger %s; convert it to OpenAPI 3 first", old.Value)
	}
	version := in.document.get("openapi")
	switch {
	case version == nil || version.Kind != yaml.ScalarNode:
		return refuse(root, "is no OpenAPI document: it has no `openapi`, such as 3.1.0")
	case !strings.HasPrefix(version.Value, "3."):
		return refuse(version, "is of OpenAPI %s; 3.0, 3.1 and 3.2 are understood", printable(version.Value))
	}
	in.out.Version = printable(version.Value)
	if info := in.document.get("info"); info != nil && info.Kind == yaml.MappingNode {
		if m, err := in.mapping(info, "info"); err == nil {
			in.out.Title, _ = text(m.get("title"))
		}
	}
	in.schemes = &schemes{r: in.reader, known: map[string]scheme{}}
	if components := in.document.get("components"); components != nil && !isNull(components) {
		m, err := in.mapping(components, "components")
		if err != nil {
			return err
		}
		if node := m.get("securitySchemes"); node != nil && !isNull(node) {
			if in.schemes.nodes, err = in.mapping(node, "components.securitySchemes"); err != nil {
				return err
			}
		}
	}
	paths := in.document.get("paths")
	if paths == nil || isNull(paths) {
		return nil // a document of webhooks, say
	}
	m, err := in.mapping(paths, "paths")
	if err != nil {
		return err
	}
	for _, item := range m.list {
		if strings.HasPrefix(item.name, "x-") {
			continue
		}
		if err := in.path(item); err != nil {
			return err
		}
		if len(in.out.Left) > maxLeft {
			return refuse(item.key, "has more than %d operations that can't be translated", maxLeft)
		}
	}
	return nil
}

// path reads one path item.
func (in *importer) path(item member) error {
	path := printable(item.name)
	template, why := parseTemplate(item.name)
	if why != nil {
		why.line = item.key.Line
	}
	servers := in.document.get("servers")
	if isNull(item.value) {
		return in.block(template, servers, item.key.Line)
	}
	m, err := in.follow(item.value, "the path item")
	if err != nil {
		in.leave(path, "", leftOut(err))
		return in.block(template, servers, item.key.Line)
	}
	servers = cmp.Or(m.get("servers"), servers)
	operations, err := in.operations(m)
	if err != nil {
		in.leave(path, "", leftOut(err))
		return in.block(template, servers, item.key.Line)
	}
	if len(operations) == 0 {
		// What may be done there is not said to everybody (OpenAPI's "ACL constraints").
		return in.block(template, servers, item.key.Line)
	}
	if at := slices.IndexFunc(m.list, func(beside member) bool { return isSecurity(beside.name) }); at >= 0 && why == nil {
		why = &untranslated{m.list[at].key.Line, "has a security for all of the path, which OpenAPI does not know", "write it at each operation"}
	}
	for _, operation := range operations {
		if err := in.operation(path, template, why, operation, servers); err != nil {
			return err
		}
	}
	return nil
}

// operations are a path item's, with methods in upper case.
func (in *importer) operations(item *mapping) ([]member, error) {
	var found []member
	for _, name := range methods {
		if node := item.get(name); node != nil {
			key := item.list[item.index[name]].key
			found = append(found, member{strings.ToUpper(name), key, node})
		}
	}
	additional := item.get("additionalOperations")
	if additional == nil {
		return found, nil
	}
	m, err := in.mapping(additional, "additionalOperations")
	if err != nil {
		return nil, err
	}
	for _, operation := range m.list {
		if slices.Contains(methods, strings.ToLower(operation.name)) {
			return nil, refuse(operation.key, "additionalOperations has %s, which has a member of its own", operation.name)
		}
		found = append(found, operation)
	}
	return found, nil
}

// operation translates one operation, or tells why it can't be.
func (in *importer) operation(path string, template template, why *untranslated, operation member, servers *yaml.Node) error {
	if err := in.spend(1, operation.key); err != nil {
		return err
	}
	method := operation.name
	var condition Condition
	var notes []string
	m, err := in.mapping(operation.value, "the operation")
	switch {
	case err != nil:
		why = leftOut(err)
	case why != nil:
	case m.get("$ref") != nil:
		why = &untranslated{operation.key.Line, "is a $ref, which an operation can't be in OpenAPI", "write it out, or put the reference at the path"}
	case slices.ContainsFunc(m.list, func(m member) bool { return m.name != "security" && isSecurity(m.name) }):
		why = &untranslated{operation.key.Line, "has its security under another name", "write security, in lower case and without space"}
	case strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" || method == "CONNECT":
		why = &untranslated{operation.key.Line, "has a method that no route can have", "methods are in upper case"}
	default:
		condition, notes, why = in.security(m, operation.key.Line)
	}
	if m != nil {
		servers = cmp.Or(m.get("servers"), servers)
	}
	found := in.basesOf(servers)
	if why == nil && len(found.paths) == 0 {
		why = found.why
	}
	if why != nil {
		in.leave(path, printable(method), why)
	} else {
		for _, note := range notes {
			in.out.Notes = append(in.out.Notes, Item{Path: path, Method: method, Line: operation.key.Line, Reason: note})
		}
	}
	return in.declare(template, found, claim{path: path, method: method, line: operation.key.Line, condition: condition, denied: why != nil})
}

// security is what an operation asks for.
func (in *importer) security(operation *mapping, line int) (Condition, []string, *untranslated) {
	node := operation.get("security")
	if node == nil {
		node = in.document.get("security")
	}
	if node != nil {
		return in.schemes.condition(node)
	}
	switch in.options.Unsecured {
	case UnsecuredPublic:
		return Condition{Public: true}, nil, nil
	case UnsecuredAuthenticated:
		return Condition{}, nil, nil
	}
	return Condition{}, nil, &untranslated{line, "says nothing about security", "write `security: []` to make it public"}
}

// declare puts what is claimed for a method into the table, under each base.
func (in *importer) declare(t template, found bases, c claim) error {
	if !t.declarable {
		return nil
	}
	paths := found.paths
	if len(paths) == 0 && c.denied {
		paths = []string{""} // wherever it lies, at least there nothing wider opens it
	}
	for _, base := range paths {
		if err := in.table.claim(base+t.pattern, c); err != nil {
			return err
		}
		if t.written != "" {
			in.partial = append(in.partial, partial{strings.Split((base + t.written)[1:], "/"), shape(base + t.pattern), c})
		}
	}
	return nil
}

// block keeps wider patterns from opening a path.
func (in *importer) block(t template, servers *yaml.Node, line int) error {
	return in.declare(t, in.basesOf(servers), claim{line: line, denied: true})
}

func (in *importer) leave(path, method string, why *untranslated) {
	in.out.Left = append(in.out.Left, Item{Path: path, Method: method, Line: why.line, Reason: why.reason, Advice: why.advice})
}

// finish settles what can't stand beside each other, and builds the routes.
func (in *importer) finish() (*Import, error) {
	// One place that could not be read for want of steps was left out like any other.
	if err := in.spend(0, nil); err != nil {
		return nil, err
	}
	for _, settle := range []func() error{in.refuseSpellings, in.refuseBuiltIn, in.settlePartial, in.settleAmbiguity, in.settleHead} {
		if err := settle(); err != nil {
			return nil, err
		}
	}
	in.out.Routes = in.table.routes()
	for _, list := range [][]Item{in.out.Left, in.out.Notes} {
		slices.SortFunc(list, func(a, b Item) int {
			return cmp.Or(a.Line-b.Line, strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method), strings.Compare(a.Reason, b.Reason))
		})
	}
	in.out.Left = slices.Compact(in.out.Left)
	return &in.out, nil
}

// printable makes one line of a text, whatever a terminal would make of it.
func printable(text string) string {
	if strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) || !utf8.ValidString(text) {
		return fmt.Sprintf("%q", text)
	}
	return text
}
