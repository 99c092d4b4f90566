package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// optionSources remembers where each option was set, so that an error can name
// the flag, the variable, or the file and line.
type optionSources struct {
	file      string
	keys      map[string]*yaml.Node // value nodes of the file, by key
	variables map[string]string     // options that a variable has set
	inFile    map[string]*yaml.Node // options that the file has set
}

// where names the place that set an option, such as "stagedoor.yaml:3: listen".
// For one of the items of a list in the file it is the item's own line.
func (o *optionSources) where(option, item string) string {
	if variable, ok := o.variables[option]; ok {
		return variable
	}
	node, ok := o.inFile[option]
	if !ok {
		return "--" + option
	}
	for _, listed := range node.Content {
		if item != "" && listed.Value == item {
			node = listed
			break
		}
	}
	return o.position(node, option)
}

// position names a place in the file.
func (o *optionSources) position(node *yaml.Node, option string) string {
	return fmt.Sprintf("%s:%d: %s", o.file, node.Line, option)
}

// learn notes which options came from a variable or from the file. A flag on
// the command line precedes both.
func (o *optionSources) learn(command *kong.Context) {
	o.variables, o.inFile = make(map[string]string), make(map[string]*yaml.Node)
	onCommandLine := make(map[string]bool)
	for _, path := range command.Path {
		if path.Flag != nil && !path.Resolved {
			onCommandLine[path.Flag.Name] = true
		}
	}
	for _, flag := range command.Flags() {
		if onCommandLine[flag.Name] {
			continue
		}
		if variable := setVariable(flag); variable != "" {
			o.variables[flag.Name] = variable
		} else if node, ok := o.keys[flag.Name]; ok {
			o.inFile[flag.Name] = node
		}
	}
}

// setVariable is the environment variable that sets the flag, if one does.
func setVariable(flag *kong.Flag) string {
	for _, variable := range flag.Envs {
		if _, ok := os.LookupEnv(variable); ok {
			return variable
		}
	}
	return ""
}

// configFlag is the --config flag: reading it makes the file a source of
// options below flags and variables.
type configFlag string

// BeforeResolve is called by kong once it knows the file's name.
func (configFlag) BeforeResolve(k *kong.Kong, ctx *kong.Context, trace *kong.Path, options *optionSources) error {
	name := string(ctx.FlagValue(trace.Flag).(configFlag))
	if name == "" {
		return nil
	}
	if err := options.read(name); err != nil {
		return err
	}
	ctx.AddResolver(options)
	return nil
}

// read parses the file: one mapping, no key twice.
func (o *optionSources) read(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	o.file, o.keys = name, make(map[string]*yaml.Node)
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return yamlError(name, err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: not a mapping of options, such as `listen: 127.0.0.1:8080`", name, root.Line)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if _, twice := o.keys[key.Value]; twice {
			return fmt.Errorf("%s:%d: %s is set twice", name, key.Line, key.Value)
		}
		value.Line = key.Line
		o.keys[key.Value] = value
	}
	return nil
}

// yamlError puts the line where editors look for it: behind the file's name.
func yamlError(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if line, what, ok := strings.Cut(rest, ": "); ok {
			return fmt.Errorf("%s:%s: %s", name, line, what)
		}
	}
	return fmt.Errorf("%s: %s", name, text)
}

// Validate refuses a key that is no option.
func (o *optionSources) Validate(app *kong.Application) error {
	known := make(map[string]bool)
	collectOptions(app.Node, known)
	for _, key := range slices.Sorted(maps.Keys(o.keys)) {
		if !known[key] {
			return fmt.Errorf("%s:%d: unknown option %q; `stagedoor serve --help` lists the options", o.file, o.keys[key].Line, key)
		}
	}
	return nil
}

// collectOptions gathers the flags that have a variable: those are the options.
// --config itself can't be set in the file that it names.
func collectOptions(node *kong.Node, into map[string]bool) {
	for _, flag := range node.Flags {
		if len(flag.Envs) > 0 && flag.Name != "config" {
			into[flag.Name] = true
		}
	}
	for _, child := range node.Children {
		collectOptions(child, into)
	}
}

// Resolve hands kong the file's value of a flag, unless a variable sets it.
func (o *optionSources) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	node, ok := o.keys[flag.Name]
	if !ok || len(flag.Envs) == 0 || setVariable(flag) != "" {
		return nil, nil
	}
	value, err := optionValue(node, flag)
	if err != nil {
		return nil, &fileError{o.position(node, flag.Name), err}
	}
	// Tried here, where the line is known: kong's own error would not name it.
	scratch := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	if err = flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, scratch); err != nil {
		return nil, &fileError{o.position(node, flag.Name), err}
	}
	return value, nil
}

// fileError is a value in the file that its option can't have.
type fileError struct {
	where string // file, line and option
	err   error
}

func (e *fileError) Error() string { return e.where + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

var errNotScalar = errors.New("needs a single value")

// optionValue turns a YAML value into what the flag would be given: a scalar's
// text, or for a list option its items.
func optionValue(node *yaml.Node, flag *kong.Flag) (any, error) {
	if node.Tag == "!!null" {
		return nil, errors.New("has no value")
	}
	if flag.IsSlice() {
		items := []any{}
		switch node.Kind {
		case yaml.ScalarNode:
			for _, item := range strings.Split(node.Value, ",") {
				items = append(items, strings.TrimSpace(item))
			}
		case yaml.SequenceNode:
			for _, item := range node.Content {
				if item.Kind != yaml.ScalarNode {
					return nil, errors.New("needs a list of single values")
				}
				items = append(items, item.Value)
			}
		default:
			return nil, errors.New("needs a list")
		}
		return items, nil
	}
	if node.Kind != yaml.ScalarNode {
		return nil, errNotScalar
	}
	return node.Value, nil
}
