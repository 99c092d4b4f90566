package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/stagedoor/stagedoor/server"
)

// option is one row of docs/configuration.md.
type option struct{ flag, variable, key, fallback string }

// documented reads the tables of docs/configuration.md.
func documented(t *testing.T) map[string]option {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]option{}
	row := regexp.MustCompile("(?m)^\\| `--([a-z0-9-]+)[^`]*` \\| `([A-Z0-9_]+)` \\| `([a-z0-9-]+)` \\| (?:`([^`]*)`)? ?\\| \\S.* \\|$")
	for _, match := range row.FindAllStringSubmatch(string(text), -1) {
		if _, twice := options[match[1]]; twice {
			t.Errorf("docs/configuration.md has --%s twice", match[1])
		}
		options[match[1]] = option{match[1], match[2], match[3], match[4]}
	}
	if rows := strings.Count(string(text), "\n| `"); rows != len(options) {
		t.Errorf("docs/configuration.md has %d rows, of which %d are well-formed", rows, len(options))
	}
	return options
}

// commandLineOptions collects the options of all commands from kong's model.
func commandLineOptions() (map[string]option, error) {
	parser, err := newParser(&cli{}, &optionSources{})
	if err != nil {
		return nil, err
	}
	options := map[string]option{}
	var collect func(node *kong.Node) error
	collect = func(node *kong.Node) error {
		for _, flag := range node.Flags {
			if len(flag.Envs) == 0 || flag.Name == "config" {
				continue
			}
			fallback := flag.Default
			if flag.IsBool() && fallback == "" {
				fallback = "false"
			}
			this := option{flag.Name, flag.Envs[0], flag.Name, fallback}
			if before, known := options[flag.Name]; known && before != this {
				return fmt.Errorf("--%s is %v in one command and %v in %s", flag.Name, before, this, node.FullPath())
			}
			options[flag.Name] = this
		}
		for _, child := range node.Children {
			if err := collect(child); err != nil {
				return err
			}
		}
		return nil
	}
	return options, collect(parser.Model.Node)
}

func TestConfigurationIsDocumented(t *testing.T) {
	docs := documented(t)
	real, err := commandLineOptions()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(real)) {
		if docs[name] != real[name] {
			t.Errorf("--%s: docs/configuration.md says %+v, the command line %+v", name, docs[name], real[name])
		}
		delete(docs, name)
	}
	for name := range docs {
		t.Errorf("docs/configuration.md describes --%s, which does not exist", name)
	}
}

// TestServeDefaults holds that the flags' defaults are the package's.
func TestServeDefaults(t *testing.T) {
	var root cli
	parser, err := newParser(&root, &optionSources{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve"}); err != nil {
		t.Fatal(err)
	}
	if got, want := root.Serve.config(root.State), server.DefaultConfig(); !reflect.DeepEqual(got, want) {
		t.Errorf("serve without options is %+v, DefaultConfig is %+v", got, want)
	}
}
