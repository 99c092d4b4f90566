package server

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/policy/schema"
)

//go:embed scaffold.md
var scaffoldReadme []byte

// Scaffold writes what a policy author starts from into dir: the embedded
// policies and data, the schemas of the inputs, and a README. It returns the
// files written, relative to dir. A file that exists already is an error that
// names every such file, and then nothing is written.
func Scaffold(dir string) ([]string, error) {
	files := map[string][]byte{"README.md": scaffoldReadme}
	names := []string{"README.md"}
	for _, part := range []struct {
		name string
		from fs.FS
	}{{"policies", policies.FS}, {"data", data.FS}, {"schemas", schema.FS}} {
		err := fs.WalkDir(part.from, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(part.from, name)
			name = path.Join(part.name, name)
			files[name] = text
			names = append(names, name)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading the embedded %s: %w", part.name, err)
		}
	}

	var taken []string
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			taken = append(taken, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking at what is in %s: %w", dir, err)
		}
	}
	if len(taken) > 0 {
		return nil, fmt.Errorf("%s holds %s already; choose another directory, or remove them", dir, strings.Join(taken, ", "))
	}
	for _, name := range names {
		if err := writeNew(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			return nil, fmt.Errorf("writing what to start from: %w", err)
		}
	}
	return names, nil
}

// writeNew makes a file that must not exist, and the directories above it.
func writeNew(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
