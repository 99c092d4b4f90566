package policy

import (
	"bytes"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// memFS hands a source's content to OPA's loader. Its paths are those that the
// loader asks for, which may be absolute, so it is no fs.FS in the strict sense;
// the loader only uses Stat, ReadDir and ReadFile.
type memFS map[string]*memNode

// memNode is a file or a directory.
type memNode struct {
	name     string
	dir      bool
	data     []byte
	listed   bool          // it is among its directory's children
	children []fs.DirEntry // in the order of the scan, which is sorted
}

// newMemFS builds the directory tree of a content.
func newMemFS(c *content) memFS {
	m := memFS{}
	for i := range c.files {
		m.add(c.roots[c.files[i].root], &c.files[i])
	}
	for _, r := range c.roots {
		if m[r] == nil { // an empty directory
			m[r] = &memNode{name: filepath.Base(r), dir: true}
		}
	}
	return m
}

// add adds a file and the directories on the way to it. A root may lie in
// another one: then its files belong to both.
func (m memFS) add(rootName string, f *file) {
	if m[f.name] == nil {
		m[f.name] = &memNode{name: filepath.Base(f.name), data: f.data}
	}
	for at := f.name; at != rootName; {
		up := filepath.Dir(at)
		if m[up] == nil {
			m[up] = &memNode{name: filepath.Base(up), dir: true}
		}
		if node := m[at]; !node.listed {
			node.listed = true
			m[up].children = append(m[up].children, fs.FileInfoToDirEntry(node))
		}
		at = up
	}
}

// loaderPath is the path to give to the loader for a root. A colon would be
// taken for the end of a data prefix, except in a URL.
func loaderPath(rootName string) string {
	if !strings.Contains(rootName, ":") {
		return rootName
	}
	return (&url.URL{Scheme: "file", Path: rootName}).String()
}

func (m memFS) node(op, name string) (*memNode, error) {
	if n, ok := m[name]; ok {
		return n, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Open implements fs.FS.
func (m memFS) Open(name string) (fs.File, error) {
	n, err := m.node("open", name)
	if err != nil {
		return nil, err
	}
	return &memFile{memNode: n, Reader: bytes.NewReader(n.data)}, nil
}

// Stat implements fs.StatFS.
func (m memFS) Stat(name string) (fs.FileInfo, error) {
	n, err := m.node("stat", name)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ReadDir implements fs.ReadDirFS.
func (m memFS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := m.node("readdir", name)
	if err != nil {
		return nil, err
	}
	return n.children, nil
}

// ReadFile implements fs.ReadFileFS. The bytes are shared and must not be
// changed.
func (m memFS) ReadFile(name string) ([]byte, error) {
	n, err := m.node("read", name)
	if err != nil {
		return nil, err
	}
	return n.data, nil
}

// The methods of fs.FileInfo.

func (n *memNode) Name() string       { return n.name }
func (n *memNode) Size() int64        { return int64(len(n.data)) }
func (n *memNode) ModTime() time.Time { return time.Time{} }
func (n *memNode) IsDir() bool        { return n.dir }
func (n *memNode) Sys() any           { return nil }

func (n *memNode) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// memFile is an opened memNode.
type memFile struct {
	*memNode
	io.Reader
}

func (f *memFile) Stat() (fs.FileInfo, error) { return f.memNode, nil }
func (f *memFile) Close() error               { return nil }
