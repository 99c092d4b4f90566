package policy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of a source, so that a directory given by mistake (a home directory,
// say) is refused instead of read into memory.
const (
	maxSourceFiles = 50_000
	maxSourceBytes = 256 << 20
	// maxReadAttempts is how often a source is read anew because it changed
	// while it was read.
	maxReadAttempts = 10
)

// Source says where policy and data come from. Every part of it may hold both
// Rego and data, and is loaded as `opa test` loads a directory: .rego, .json,
// .yaml and .yml, sub-directories naming the place of the data below them. Names
// that begin with a dot are left out, at any depth; the given directories' own
// names are not looked at. The zero Source is refused.
type Source struct {
	roots []root
}

// root is one directory of a source.
type root struct {
	// name is what the loader and its messages call the directory.
	name string
	fsys fs.FS
	// dir is the directory on disk, or the file; empty when it can't change.
	dir string
	// file is the only one that is read; empty where all of the directory are.
	file string
	// derive makes the data of each file; nil where they are data already.
	derive Derive
}

// Dir reads the two directories. One of them may be empty, which means that
// there is none. A symbolic link is followed, whether it is the directory, in
// it, or on the way to it.
func Dir(policies, data string) Source {
	var s Source
	for _, dir := range []string{policies, data} {
		if dir == "" {
			continue
		}
		clean := filepath.Clean(dir)
		s.roots = append(s.roots, root{name: loaderName(clean), fsys: os.DirFS(clean), dir: clean})
	}
	return s
}

// FS reads two file systems that never change, such as embedded ones. Either
// may be nil.
func FS(policies, data fs.FS) Source {
	var s Source
	if policies != nil {
		s.roots = append(s.roots, root{name: "policies", fsys: policies})
	}
	if data != nil {
		s.roots = append(s.roots, root{name: "data", fsys: data})
	}
	return s
}

// File reads one data file, which is not there to be read as what it is if a
// directory of the source holds it, too.
func File(name string) Source {
	clean := filepath.Clean(name)
	dir, base := filepath.Split(clean)
	return Source{roots: []root{{name: loaderName(clean), fsys: os.DirFS(cmp.Or(dir, ".")), dir: clean, file: base}}}
}

// Join is the union of two sources: a policy directory on disk, say, with
// embedded data.
func Join(a, b Source) Source {
	return Source{roots: slices.Concat(a.roots, b.roots)}
}

// loaderName is the name that OPA's loader gets for a directory. The loader
// takes what stands before a colon for a prefix of the data's path, so a name
// with a colon has to be absolute, and is handed in as a URL (see loaderPath).
func loaderName(dir string) string {
	if !strings.Contains(dir, ":") {
		return dir
	}
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// content is what a source held at one moment.
type content struct {
	roots []string // loader names, in order
	files []file   // sorted by root and path
	// warnings are what there is to say about files that data was derived from.
	warnings []Warning
	// digest identifies the content: the paths below the roots and the bytes.
	digest string
}

// file is one loaded file.
type file struct {
	name string // path as the loader and its messages know it
	root int    // index of the root
	rel  string // slash-separated path below the root
	data []byte
	// routes are the lines of the routes that were derived from the file, which
	// holds other text; nil where the file is read as it is.
	routes map[string]int
}

// entry is what a scan of the source saw of a file.
type entry struct {
	root int
	rel  string
	info fs.FileInfo
}

// errChanging says that no moment of rest was found.
var errChanging = errors.New("the policy source keeps changing while it is read; it is read again at the next change")

// read reads everything that the loader would read, once, into memory. A source
// that changes while it is read (files of before beside files of after) is read
// again.
func (s Source) read(ctx context.Context) (*content, error) {
	if len(s.roots) == 0 {
		return nil, errors.New("no policy source: give a directory with policies")
	}
	var last error
	for range maxReadAttempts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before, err := s.scan()
		if err != nil {
			last = err
			continue
		}
		c, err := s.readEntries(before)
		if err != nil {
			last = err
			continue
		}
		after, err := s.scan()
		if err != nil {
			last = err
			continue
		}
		if s.same(before, after) {
			return c, s.derive(c)
		}
		last = errChanging
	}
	return nil, last
}

// scan lists the files that the loader would read, without reading them.
func (s Source) scan() ([]entry, error) {
	var entries []entry
	single := map[int]fs.FileInfo{}
	for i, r := range s.roots {
		if r.file == "" {
			continue
		}
		info, err := fs.Stat(r.fsys, r.file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("read %s: not a file", r.name)
		}
		single[i] = info
	}
	for i, r := range s.roots {
		if info := single[i]; info != nil {
			entries = append(entries, entry{root: i, rel: r.file, info: info})
			continue
		}
		info, err := fs.Stat(r.fsys, ".")
		if err != nil {
			return nil, fmt.Errorf("read directory %s: %w", r.name, err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("read %s: not a directory; give the directory that holds it", r.name)
		}
		entries, err = r.scanDir(i, ".", []fs.FileInfo{info}, entries)
		if err != nil {
			return nil, err
		}
		for _, file := range single {
			entries = slices.DeleteFunc(entries, func(e entry) bool { return e.root == i && os.SameFile(e.info, file) })
		}
	}
	return entries, nil
}

// scanDir adds the files below dir. above holds the directories on the way to
// it, so that a link to one of them is noticed.
func (r root) scanDir(index int, dir string, above []fs.FileInfo, entries []entry) ([]entry, error) {
	list, err := fs.ReadDir(r.fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", r.display(dir), err)
	}
	for _, e := range list {
		if hidden(e.Name()) {
			continue
		}
		rel := path.Join(dir, e.Name())
		var info fs.FileInfo
		if e.Type()&fs.ModeSymlink != 0 {
			info, err = fs.Stat(r.fsys, rel)
		} else {
			info, err = e.Info()
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", r.display(rel), err)
		}
		switch {
		case info.IsDir():
			for _, a := range above {
				if os.SameFile(a, info) {
					return nil, fmt.Errorf("read %s: a symbolic link that leads back to a directory above it", r.display(rel))
				}
			}
			entries, err = r.scanDir(index, rel, append(slices.Clip(above), info), entries)
			if err != nil {
				return nil, err
			}
		case info.Mode().IsRegular() && loadable(rel):
			if len(entries) == maxSourceFiles {
				return nil, fmt.Errorf("%s: more than %d policy and data files; give the directory that holds only those", r.name, maxSourceFiles)
			}
			entries = append(entries, entry{root: index, rel: rel, info: info})
		}
	}
	return entries, nil
}

// readEntries reads what a scan listed.
func (s Source) readEntries(entries []entry) (*content, error) {
	c := &content{}
	for _, r := range s.roots {
		c.roots = append(c.roots, r.name)
	}
	sum := sha256.New()
	var total int64
	for _, e := range entries {
		r := s.roots[e.root]
		if total += e.info.Size(); total > maxSourceBytes {
			return nil, fmt.Errorf("%s: more than %d bytes of policy and data; give the directory that holds only those", r.name, maxSourceBytes)
		}
		data, err := fs.ReadFile(r.fsys, e.rel)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", r.display(e.rel), err)
		}
		if int64(len(data)) != e.info.Size() {
			return nil, errChanging
		}
		c.files = append(c.files, file{name: r.display(e.rel), root: e.root, rel: e.rel, data: data})

		var head [24]byte
		binary.BigEndian.PutUint64(head[0:], uint64(e.root))
		binary.BigEndian.PutUint64(head[8:], uint64(len(e.rel)))
		binary.BigEndian.PutUint64(head[16:], uint64(len(data)))
		sum.Write(head[:])
		sum.Write([]byte(e.rel))
		sum.Write(data)
	}
	c.digest = hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// display is the path of a file as the loader knows it.
func (r root) display(rel string) string {
	if r.file != "" {
		return r.name
	}
	return filepath.Join(r.name, filepath.FromSlash(rel))
}

// same reports whether two scans saw the same files, unchanged.
func (s Source) same(before, after []entry) bool {
	return slices.EqualFunc(before, after, func(x, y entry) bool {
		return x.root == y.root && x.rel == y.rel &&
			x.info.Size() == y.info.Size() && x.info.ModTime().Equal(y.info.ModTime()) &&
			(s.roots[x.root].dir == "" || os.SameFile(x.info, y.info))
	})
}

// hidden reports whether the loader leaves a name out.
func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// loadable reports whether a file is policy or data; all others are passed over.
// OPA's loader would also unpack .tar.gz, of whatever size they claim to have: a
// directory is no place for them.
func loadable(name string) bool {
	switch path.Ext(name) {
	case ".rego", ".json", ".yaml", ".yml":
		return true
	}
	return false
}
