package policy

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// watchSet is the directories that have to be watched so that no change of a
// source is missed: every directory of its content, and, on the way to it and
// to whatever symbolic links in it lead to, the directories in which a link can
// be replaced or a missing directory can appear. Kubernetes replaces a link
// called ..data, deployment tools one called current.
type watchSet struct {
	source   Source
	notifier *fsnotify.Watcher // nil: nothing can be watched
	log      *slog.Logger
	// dirs are keyed by their real path, so that no directory is watched twice.
	dirs   map[string]*watchedDir
	failed bool // a watch could not be had, which has been logged
}

// watchedDir is one watched directory.
type watchedDir struct {
	info fs.FileInfo
	// all is set where any change counts; otherwise it is changes to names.
	all   bool
	names []string
	// wanted is set while an update still wants it.
	wanted bool
}

func newWatchSet(s Source, notifier *fsnotify.Watcher, log *slog.Logger) *watchSet {
	return &watchSet{source: s, notifier: notifier, log: log, dirs: map[string]*watchedDir{}}
}

// update watches what has to be watched now, and nothing else.
func (w *watchSet) update() {
	if w.notifier == nil {
		return
	}
	for _, d := range w.dirs {
		d.all, d.names, d.wanted = false, nil, false
	}
	for _, r := range w.source.roots {
		if r.dir == "" {
			continue
		}
		dir, err := filepath.Abs(r.dir)
		if err != nil {
			continue
		}
		w.trail(dir)
		if r.file == "" {
			w.tree(dir, nil)
		}
	}
	for path, d := range w.dirs {
		if !d.wanted {
			delete(w.dirs, path)
			_ = w.notifier.Remove(path) // it may be gone already
		}
	}
}

// tree watches a directory of the content and those below it. A directory is
// watched before it is listed, so an entry is either listed or reported.
func (w *watchSet) tree(dir string, above []fs.FileInfo) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() ||
		slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
		return
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return
	}
	if d := w.watch(path); d != nil {
		d.all = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	above = append(slices.Clip(above), info)
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			w.trail(name)
		}
		if e.IsDir() || e.Type()&fs.ModeSymlink != 0 {
			w.tree(name, above)
		}
	}
}

// trail watches the places on the way to a path where it can be made to lead
// elsewhere: every symbolic link, and the last name that exists.
func (w *watchSet) trail(path string) {
	at := filepath.VolumeName(path) + string(filepath.Separator)
	rest := split(path)
	for steps := 0; len(rest) > 0 && steps < 255; steps++ {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		isLink := err == nil && info.Mode()&fs.ModeSymlink != 0
		if isLink || err != nil || len(rest) == 0 {
			if d := w.watch(at); d != nil {
				d.names = append(d.names, name)
			}
		}
		if err != nil {
			return
		}
		if !isLink {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return
		}
		if filepath.IsAbs(target) {
			at = filepath.VolumeName(target) + string(filepath.Separator)
		}
		rest = append(split(target), rest...)
	}
}

// split splits a path into its names.
func split(path string) []string {
	path = strings.TrimPrefix(path, filepath.VolumeName(path))
	return slices.DeleteFunc(strings.Split(filepath.ToSlash(path), "/"), func(s string) bool {
		return s == "" || s == "."
	})
}

// watch watches a directory; nil when it can't be.
func (w *watchSet) watch(path string) *watchedDir {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	d := w.dirs[path]
	if d != nil && !os.SameFile(d.info, info) {
		// Another directory has taken its place, and its name in the notifier.
		_ = w.notifier.Remove(path)
		delete(w.dirs, path)
		d = nil
	}
	if d == nil {
		if err := w.notifier.Add(path); err != nil {
			if !w.failed && !os.IsNotExist(err) {
				w.failed = true
				w.log.Warn("policy directory can't be watched; changes are noticed by polling", "directory", path, "error", err)
			}
			return nil
		}
		d = &watchedDir{info: info}
		w.dirs[path] = d
	}
	d.wanted = true
	return d
}

// concerns reports whether an event may have changed the content. New
// directories are watched at once, for what is written to them next.
func (w *watchSet) concerns(event fsnotify.Event) bool {
	if own, ok := w.dirs[event.Name]; ok && own.all {
		if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
			// The notifier forgets a directory that is gone.
			_ = w.notifier.Remove(event.Name)
			delete(w.dirs, event.Name)
		}
		return true
	}
	dir, known := w.dirs[filepath.Dir(event.Name)]
	if !known {
		return true
	}
	if dir.all {
		if event.Has(fsnotify.Create) && !hidden(filepath.Base(event.Name)) {
			w.tree(event.Name, nil)
		}
		return true
	}
	return slices.Contains(dir.names, filepath.Base(event.Name))
}
