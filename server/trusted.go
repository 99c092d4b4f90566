package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"encoding/json"

	"go.yaml.in/yaml/v3"

	"github.com/stagedoor/stagedoor/server/token"
)

// issuersFile is the file of trusted issuers; docs/trusted-issuers.md describes it.
type issuersFile struct {
	Issuers []issuerEntry `yaml:"issuers"`
}

type issuerEntry struct {
	Issuer     string               `yaml:"issuer"`
	Audience   texts                `yaml:"audience"`
	Algorithms []string             `yaml:"algorithms"`
	Types      []string             `yaml:"types"`
	JWKS       string               `yaml:"jwks"`
	JWKSFile   string               `yaml:"jwks-file"`
	CAFile     string               `yaml:"ca-file"`
	BearerFile string               `yaml:"bearer-file"`
	SecretFile string               `yaml:"hs256-secret-file"`
	Legacy     bool                 `yaml:"legacy"`
	Leeway     time.Duration        `yaml:"leeway"`
	Require    map[string]yaml.Node `yaml:"require"`
	Subject    string               `yaml:"subject"`
	Roles      mappingEntry         `yaml:"roles"`
	Scopes     mappingEntry         `yaml:"scopes"`
}

type mappingEntry struct {
	Claim    string           `yaml:"claim"`
	Map      map[string]texts `yaml:"map"`
	Unmapped string           `yaml:"unmapped"`
	Always   texts            `yaml:"always"`
}

// texts is one text, or a list of them.
type texts []string

// UnmarshalYAML takes both forms.
func (t *texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" {
		*t = texts{node.Value}
		return nil
	}
	var list []string
	if err := node.Decode(&list); err != nil {
		return fmt.Errorf("line %d: needs a text, or a list of texts", node.Line)
	}
	*t = list
	return nil
}

// trustedIssuers reads the file of trusted issuers; nil where there is none. What
// is wrong with it is a [*ConfigError] that names file and line.
func (c *Config) trustedIssuers(ownIssuer string, logger *slog.Logger) (*token.TrustedIssuers, error) {
	if c.TrustedIssuersFile == "" {
		return nil, nil
	}
	trusted, err := readTrustedIssuers(c.TrustedIssuersFile, ownIssuer, logger)
	if err != nil {
		return nil, &ConfigError{Option: "trusted-issuers", Err: err}
	}
	return trusted, nil
}

func readTrustedIssuers(name, ownIssuer string, logger *slog.Logger) (*token.TrustedIssuers, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var file issuersFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, placed(name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: has more than one document", name)
	}
	if len(file.Issuers) == 0 {
		return nil, fmt.Errorf("%s: names no issuers; it begins with `issuers:` and a list", name)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, placed(name, err)
	}
	list := make([]token.TrustedIssuer, len(file.Issuers))
	for i := range file.Issuers {
		if list[i], err = file.Issuers[i].issuer(filepath.Dir(name)); err == nil && list[i].Issuer == ownIssuer && ownIssuer != "" {
			err = &token.IssuerError{Member: "issuer", Err: fmt.Errorf("%q is this server's own", ownIssuer)}
		}
		if err != nil {
			return nil, at(name, &document, &token.IssuerPosition{Index: i, Err: err})
		}
	}
	trusted, err := token.NewTrustedIssuers(list, token.TrustedIssuersOptions{Logger: logger})
	if err != nil {
		return nil, at(name, &document, err)
	}
	return trusted, nil
}

// issuer turns an entry into what the verifier takes. Files are relative to the
// file that names them.
func (e *issuerEntry) issuer(dir string) (token.TrustedIssuer, error) {
	beside := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	issuer := token.TrustedIssuer{
		Issuer: e.Issuer, Audience: e.Audience, Algorithms: e.Algorithms, Types: e.Types,
		JWKSURL: e.JWKS, JWKSFile: beside(e.JWKSFile), CAFile: beside(e.CAFile), BearerFile: beside(e.BearerFile),
		Legacy: e.Legacy, Leeway: e.Leeway, Subject: e.Subject,
	}
	var err error
	if e.SecretFile != "" {
		text, err := os.ReadFile(beside(e.SecretFile))
		if err != nil {
			return token.TrustedIssuer{}, &token.IssuerError{Member: "hs256-secret-file", Err: err}
		}
		issuer.Secret = append([]byte{}, bytes.TrimSpace(text)...)
	}
	for claim, node := range e.Require {
		values, err := requiredValues(&node)
		if err != nil {
			return token.TrustedIssuer{}, &token.IssuerError{Member: "require", Err: fmt.Errorf("%s: %w", claim, err)}
		}
		issuer.Require = append(issuer.Require, token.Requirement{Claim: claim, AnyOf: values})
	}
	if issuer.Roles, err = e.Roles.mapping("roles"); err != nil {
		return token.TrustedIssuer{}, err
	}
	issuer.Scopes, err = e.Scopes.mapping("scopes")
	return issuer, err
}

// requiredValues reads one value or a list of them; null is any.
func requiredValues(node *yaml.Node) ([]any, error) {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		if nodes = node.Content; len(nodes) == 0 {
			return nil, errors.New("is an empty list; leave the value out to ask for any")
		}
	}
	var values []any
	for _, one := range nodes {
		switch {
		case one.Kind != yaml.ScalarNode:
			return nil, errors.New("needs a text, a number, true or false, or a list of those")
		case one.Tag == "!!null" && node.Kind == yaml.ScalarNode:
			return nil, nil
		case one.Tag == "!!bool":
			values = append(values, one.Value == "true")
		case one.Tag == "!!int", one.Tag == "!!float":
			values = append(values, json.Number(one.Value))
		default:
			values = append(values, one.Value)
		}
	}
	return values, nil
}

func (m *mappingEntry) mapping(what string) (token.ClaimMapping, error) {
	mapping := token.ClaimMapping{Claim: m.Claim, Always: m.Always}
	switch m.Unmapped {
	case "", "drop":
	case "keep":
		mapping.KeepUnmapped = true
	default:
		return token.ClaimMapping{}, &token.IssuerError{Member: what + ".unmapped", Err: fmt.Errorf("%q is not one of drop, keep", m.Unmapped)}
	}
	if m.Map != nil {
		mapping.Map = make(map[string][]string, len(m.Map))
		for theirs, ours := range m.Map {
			mapping.Map[theirs] = ours
		}
	}
	return mapping, nil
}

// yamlLine is how the YAML library says where an error is.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)`)

// placed puts the line of a YAML error behind the file's name.
func placed(name string, err error) error {
	text := err.Error()
	text = strings.TrimPrefix(text, "yaml: ")
	text = strings.TrimSpace(strings.TrimPrefix(text, "unmarshal errors:"))
	first, _, _ := strings.Cut(text, "\n")
	if match := yamlLine.FindStringSubmatch(first); match != nil {
		what := match[2]
		if field := regexp.MustCompile(`^field (\S+) not found in type \S+$`).FindStringSubmatch(what); field != nil {
			what = fmt.Sprintf("unknown key %q; docs/trusted-issuers.md lists the keys", field[1])
		}
		return fmt.Errorf("%s:%s: %s", name, match[1], what)
	}
	return fmt.Errorf("%s: %s", name, first)
}

// at puts the line of the member that an error is about behind the file's name.
func at(name string, document *yaml.Node, err error) error {
	var position *token.IssuerPosition
	if !errors.As(err, &position) {
		return fmt.Errorf("%s: %w", name, err)
	}
	node := child(child(document, "issuers"), position.Index)
	line := node.Line
	var member *token.IssuerError
	if errors.As(err, &member) {
		for _, part := range strings.Split(member.Member, ".") {
			if key := keyOf(node, part); key != nil {
				line = key.Line
			}
			node = child(node, part)
		}
		return fmt.Errorf("%s:%d: %w", name, line, member)
	}
	return fmt.Errorf("%s:%d: %w", name, line, position.Err)
}

// child is the value of a key, or the item of an index; never nil.
func child(node *yaml.Node, name any) *yaml.Node {
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	switch name := name.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && name < len(node.Content) {
			return node.Content[name]
		}
	case string:
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i+1]
			}
		}
	}
	return &yaml.Node{Line: node.Line}
}

// keyOf is the node of a key itself; nil where there is none.
func keyOf(node *yaml.Node, name string) *yaml.Node {
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i]
		}
	}
	return nil
}
