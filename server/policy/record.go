package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Record keeps a note across restarts: which content has passed, so that the
// next start needs neither check nor test it again. It has to be kept where only
// those can write who may also decide what the policy is.
//
// What a start believes is narrow. The note holds a digest of everything that
// the outcome depends on: every file's path and bytes, the program with its
// engine, and the options. If any of it has changed, or the note can't be read,
// everything runs. Only [New] believes it, never a reload; and nothing is noted
// of a policy that mentions what may be different the next time (see
// unrepeatable).
type Record interface {
	// Read returns what was written last; nothing where nothing was.
	Read() ([]byte, error)
	// Write replaces it.
	Write(note []byte) error
}

// passed is the note: that a content has passed, and when.
type passed struct {
	Key   string     `json:"key"`
	At    time.Time  `json:"at"`
	Tests TestCounts `json:"tests"`
	// TestFiles are the files that no decision can reach; see testFiles.
	TestFiles []string `json:"test_files"`
}

// passKey identifies all that the outcome of checks and tests depends on.
// It is empty where that can't be said.
func passKey(c *content, o Options) string {
	if o.Record == nil || o.Program == "" {
		return ""
	}
	sum := sha256.New()
	// Encoded, so that no two lists of values have one text.
	err := json.NewEncoder(sum).Encode([]any{"passed 1", o.Program, c.digest, c.roots, o.AllowNetwork, o.TestDeadline})
	if err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// recall returns what the record has of a content; nil where that is nothing.
func recall(c *content, o Options) *passed {
	wanted := passKey(c, o)
	if wanted == "" {
		return nil
	}
	text, err := o.Record.Read()
	if err != nil {
		o.Logger.Warn("what has passed before can't be read: the policy is checked and tested again", "error", err)
		return nil
	}
	var note passed
	if json.Unmarshal(text, &note) != nil || note.Key != wanted || note.Tests.Failed > 0 {
		return nil
	}
	// Whatever the note says, it can't keep more than tests from being loaded.
	if slices.ContainsFunc(note.TestFiles, func(name string) bool { return !strings.HasSuffix(name, testSuffix) }) {
		return nil
	}
	return &note
}

// note records that a snapshot's content has passed.
func note(c *content, s *Snapshot, o Options) {
	p := passed{Key: passKey(c, o), At: s.passedAt, Tests: s.tests, TestFiles: s.testFiles}
	if p.Key == "" || s.recalled || !s.repeatable {
		return
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = o.Record.Write(text)
	}
	if err != nil {
		o.Logger.Warn("that the policy has passed can't be noted: the next start checks and tests it again", "error", err)
	}
}

// unrepeatable returns a builtin whose result may be different the next time
// although neither policy nor program has changed, if the modules mention one
// anywhere, be it only to replace it; empty if they don't.
func unrepeatable(modules map[string]*ast.Module, builtins []*ast.Builtin) string {
	unstable := make(map[string]bool)
	for _, b := range builtins {
		unstable[b.Name] = isUnstable(b) ||
			(strings.HasPrefix(b.Name, "time.") && !slices.Contains(zonelessBuiltins, b.Name))
	}
	found := ""
	for _, m := range modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if name := ref.String(); unstable[name] {
				found = name
			}
			return found != ""
		})
	}
	return found
}

// testSuffix ends the names of files that may hold nothing but tests.
const testSuffix = "_test.rego"

// testFiles returns the files of compiled modules that are there for the tests
// only, so that a policy which has passed them decides the same without: files
// and packages that are called tests, to which nothing else refers. Where one of
// them is needed it returns none, for that one may need the others.
func testFiles(modules map[string]*ast.Module) []string {
	var names []string
	kept := maps.Clone(modules)
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if strings.HasSuffix(name, testSuffix) && isTestPackage(modules[name].Package.Path) {
			names = append(names, name)
			delete(kept, name)
		}
	}
	for _, name := range names {
		if reaches(kept, modules[name].Package.Path) {
			return nil
		}
	}
	return names
}

// reaches reports whether the modules, or the entrypoints, may look at what a
// package holds, or are a part of it.
func reaches(modules map[string]*ast.Module, pkg ast.Ref) bool {
	found := false
	for _, e := range append(entrypoints(), optionalDocuments()...) {
		found = found || mayReach(e.ref(), pkg)
	}
	for _, m := range modules {
		// The module's own package is one of its references.
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			found = found || mayReach(ref, pkg)
			return found
		})
	}
	return found
}

func isTestPackage(path ast.Ref) bool {
	last, ok := path[len(path)-1].Value.(ast.String)
	return ok && strings.HasSuffix(string(last), "_test")
}

// mayReach reports whether evaluating a reference may look at what a package
// holds.
func mayReach(ref, pkg ast.Ref) bool {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return false
	}
	for i := range min(len(ref), len(pkg)) {
		if ref[i].IsGround() && !ref[i].Equal(pkg[i]) {
			return false
		}
	}
	return true
}

// without is the content without some files. It is still known as the whole.
func (c *content) without(names []string) *content {
	rest := *c
	rest.files = slices.DeleteFunc(slices.Clone(c.files), func(f file) bool { return slices.Contains(names, f.name) })
	return &rest
}

// zonelessBuiltins are those of time that know their result without the
// machine's time zones, which an update may change.
var zonelessBuiltins = []string{"time.parse_duration_ns", "time.parse_rfc3339_ns"}
