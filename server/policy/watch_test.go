package policy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"
)

// live reports whether the status is of a snapshot with these routes.
func live(e *Engine, routes ...string) func(Status) bool {
	return func(s Status) bool {
		return s.LastError == nil && slices.Equal(e.Current().Routes(), routes)
	}
}

func refused(code string) func(Status) bool {
	return func(s Status) bool {
		return s.LastError != nil && slices.ContainsFunc(s.LastError.Problems, func(p Problem) bool { return p.Code == code })
	}
}

const oneRoute = "routes:\n  /%s: {GET: {roles: [actor]}}\n"

func TestWatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dir string)
		routes []string
	}{
		{"a file is written", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "new"))
		}, []string{"/new"}},
		{"an editor renames and replaces", func(t *testing.T, dir string) {
			name := filepath.Join(dir, "data", "routes.yaml")
			rename(t, name, name+"~")
			writeFile(t, filepath.Join(dir, "data", ".routes.yaml.swp"), fmt.Sprintf(oneRoute, "new"))
			rename(t, filepath.Join(dir, "data", ".routes.yaml.swp"), name)
			if err := os.Remove(name + "~"); err != nil {
				t.Fatal(err)
			}
		}, []string{"/new"}},
		{"a file is removed", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "data", "routes.yaml")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"new sub-directories", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "data", "routes.yaml")); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "data", "routes", "deep", "x.json"), `{}`)
			writeFile(t, filepath.Join(dir, "data", "routes", "r.json"), `{"/new": {"GET": {}}, "/deep/x": {}}`)
			if err := os.RemoveAll(filepath.Join(dir, "data", "routes", "deep")); err != nil {
				t.Fatal(err)
			}
		}, []string{"/deep/x", "/new"}},
		{"a directory is moved in", func(t *testing.T, dir string) {
			aside := filepath.Join(dir, "aside")
			writeFile(t, filepath.Join(aside, "r.json"), `{"/moved": {"GET": {}}}`)
			rename(t, aside, filepath.Join(dir, "data", "routes"))
			if err := os.Remove(filepath.Join(dir, "data", "routes.yaml")); err != nil {
				t.Fatal(err)
			}
		}, []string{"/moved"}},
		{"the directory is removed and made anew", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "anew"))
		}, []string{"/anew"}},
		{"the directory is replaced by another", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "next", "routes.yaml"), fmt.Sprintf(oneRoute, "next"))
			rename(t, filepath.Join(dir, "data"), filepath.Join(dir, "previous"))
			rename(t, filepath.Join(dir, "next"), filepath.Join(dir, "data"))
		}, []string{"/next"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, source := simple().dirs(t)
			e, told := watched(t, source, Options{})
			tc.change(t, dir)
			told.wait(t, "the change is live", live(e, tc.routes...))
			// And it goes on watching, also what was not there at first.
			name := filepath.Join(dir, "data", "more", "sub", "m.yaml")
			writeFile(t, name, "x: 1\n")
			told.wait(t, "a new file is live", func(s Status) bool {
				v, err := e.Current().Eval(t.Context(), "more.sub.x", nil)
				return err == nil && fmt.Sprint(v) == "1"
			})
			writeFile(t, name, "x: 2\n")
			told.wait(t, "its change is live", func(s Status) bool {
				v, err := e.Current().Eval(t.Context(), "more.sub.x", nil)
				return err == nil && fmt.Sprint(v) == "2"
			})
		})
	}
}

func TestWatchDirectoryGoneForAWhile(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "a", "b")
	simple().write(t, dir)
	e, told := watched(t, Dir(filepath.Join(dir, "policies"), filepath.Join(dir, "data")), Options{})
	rename(t, filepath.Join(base, "a"), filepath.Join(base, "away"))
	status := told.wait(t, "the directory is missed", refused(CodeSource))
	if status.Revision != e.Current().Revision() || len(e.Current().Routes()) != 2 {
		t.Errorf("the live snapshot did not stay: %+v", status)
	}
	simple().with("data/routes.yaml", fmt.Sprintf(oneRoute, "back")).write(t, filepath.Join(base, "new", "b"))
	rename(t, filepath.Join(base, "new"), filepath.Join(base, "a"))
	told.wait(t, "the new directory is live", live(e, "/back"))
	writeFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "again"))
	told.wait(t, "its change is live", live(e, "/again"))
}

// Kubernetes mounts a config map as links to files below ..data, itself a link
// that an update replaces.
func TestWatchKubernetesConfigMap(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"files", "directories"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mount := filepath.Join(dir, "mount")
			publish := func(stamp, route string) {
				version := filepath.Join(mount, "..2026_"+stamp)
				writeFile(t, filepath.Join(version, "authz", "authz.rego"), simple()["policies/authz/authz.rego"])
				writeFile(t, filepath.Join(version, "routes.yaml"), fmt.Sprintf(oneRoute, route))
				symlink(t, filepath.Base(version), filepath.Join(mount, "..data_tmp"))
				rename(t, filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data"))
			}
			publish("1", "one")
			symlink(t, "..data/routes.yaml", filepath.Join(mount, "routes.yaml"))
			if layout == "directories" {
				symlink(t, "..data/authz", filepath.Join(mount, "authz"))
			} else {
				symlink(t, "..data/authz/authz.rego", filepath.Join(mount, "authz.rego"))
			}
			e, told := watched(t, Dir(mount, ""), Options{})
			told.wait(t, "the first is live", live(e, "/one"))
			publish("2", "two")
			if err := os.RemoveAll(filepath.Join(mount, "..2026_1")); err != nil {
				t.Fatal(err)
			}
			told.wait(t, "the second is live", live(e, "/two"))
			publish("3", "three")
			if err := os.RemoveAll(filepath.Join(mount, "..2026_2")); err != nil {
				t.Fatal(err)
			}
			told.wait(t, "the third is live", live(e, "/three"))
			for _, s := range told.all() {
				if s.Modules != 1 || s.LastError != nil && s.LastError.Problems[0].Code != CodeSource {
					t.Errorf("in between: %+v", s)
				}
			}
		})
	}
}

// Deployment tools replace a link on the way to the directory.
func TestWatchReplacedLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, release := range []string{"1", "2", "3"} {
		simple().with("data/routes.yaml", fmt.Sprintf(oneRoute, "r"+release)).write(t, filepath.Join(dir, "releases", release))
	}
	to := func(release string) {
		symlink(t, "releases/"+release, filepath.Join(dir, "tmp"))
		rename(t, filepath.Join(dir, "tmp"), filepath.Join(dir, "current"))
	}
	to("1")
	symlink(t, "current/data", filepath.Join(dir, "data"))
	e, told := watched(t, Dir(filepath.Join(dir, "current", "policies"), filepath.Join(dir, "data")), Options{})
	for _, release := range []string{"2", "3"} {
		to(release)
		told.wait(t, "release "+release+" is live", live(e, "/r"+release))
	}
	// A file that lies elsewhere, changed where it lies.
	writeFile(t, filepath.Join(dir, "shared", "v.yaml"), "v: 1\n")
	symlink(t, filepath.Join(dir, "shared", "v.yaml"), filepath.Join(dir, "releases", "3", "data", "v.yaml"))
	value := func(want string) func(Status) bool {
		return func(Status) bool {
			v, err := e.Current().Eval(t.Context(), "v", nil)
			return err == nil && fmt.Sprint(v) == want
		}
	}
	told.wait(t, "a linked file is live", value("1"))
	writeFile(t, filepath.Join(dir, "shared", "v.yaml"), "v: 2\n")
	told.wait(t, "its change is live", value("2"))
}

// A checkout of many files is one change: no state in between is loaded, let
// alone live.
func TestWatchCheckoutIsOneChange(t *testing.T) {
	t.Parallel()
	const n = 200
	checkout := func(version int) files {
		f := files{}
		for i := range n {
			// Each file needs the next one to be of its version, or a test fails.
			f[fmt.Sprintf("policies/p%d/p.rego", i)] = fmt.Sprintf(
				"package p%d\n\nversion := %d\n\ntest_next if data.p%d.version == %d\n", i, version, (i+1)%n, version)
		}
		f["data/routes.yaml"] = fmt.Sprintf(oneRoute, fmt.Sprint("v", version))
		return f
	}
	dir, source := checkout(1).dirs(t)
	e, told := watched(t, source, Options{QuietPeriod: 500 * time.Millisecond})
	checkout(2).write(t, dir)
	told.wait(t, "the checkout is live", live(e, "/v2"))
	if all := told.all(); len(all) != 2 {
		t.Errorf("%d statuses, want one for each version: %+v", len(all), all)
	}
}

// Writing that never ends does not keep a change from going live.
func TestWatchEndlessWrites(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	e, told := watched(t, source, Options{})
	first := e.Current().Revision()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(5 * time.Millisecond) // faster than the quiet period
		defer pace.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			// Never at rest for a quiet period, always whole.
			if err := os.WriteFile(filepath.Join(dir, "data", ".n.yaml"), fmt.Appendf(nil, "n: %d\n", i), 0o644); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(filepath.Join(dir, "data", ".n.yaml"), filepath.Join(dir, "data", "n.yaml")); err != nil {
				t.Error(err)
				return
			}
			if i == 0 {
				if err := os.WriteFile(filepath.Join(dir, "data", "routes.yaml"), fmt.Appendf(nil, oneRoute, "new"), 0o644); err != nil {
					t.Error(err)
					return
				}
			}
			select {
			case <-ctx.Done():
			case <-pace.C:
			}
		}
	}()
	told.wait(t, "the change is live while writing goes on", func(s Status) bool {
		return s.Revision != first && slices.Equal(e.Current().Routes(), []string{"/new"})
	})
	stop()
	<-done
}

// A refused change is reported once, and the next good one goes live.
func TestWatchRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	name := filepath.Join(dir, "policies", "authz", "authz.rego")
	e, told := watched(t, source, Options{})
	first := e.Current()
	replaceFile(t, name, broken)
	told.wait(t, "the broken policy is refused", refused("rego_unsafe_var_error"))
	if e.Current() != first {
		t.Error("the live snapshot did not stay")
	}
	replaceFile(t, name, simple()["policies/authz/authz.rego"]+"\nx := 1\n")
	told.wait(t, "the good policy is live", func(s Status) bool { return s.LastError == nil && s.Revision != first.Revision() })
	if n := len(told.all()); n != 3 {
		t.Errorf("%d statuses, want activation, refusal, activation", n)
	}
}

// What happened between New and Watch is not missed.
func TestWatchLooksAtTheStart(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	told := newStatuses()
	e, err := New(t.Context(), source, Options{OnStatus: told.tell, PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "early"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Watch(ctx) }()
	told.wait(t, "the change is live", live(e, "/early"))
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Watch = %v", err)
	}
}

// Without notifications, polling notices.
func TestWatchPolls(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	e, told := watched(t, deaf(source), Options{PollInterval: 10 * time.Millisecond})
	writeFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "polled"))
	told.wait(t, "the change is live", live(e, "/polled"))
	rename(t, filepath.Join(dir, "data"), filepath.Join(dir, "away"))
	told.wait(t, "the directory is missed", refused(CodeSource))
	rename(t, filepath.Join(dir, "away"), filepath.Join(dir, "data"))
	told.wait(t, "the directory is back", live(e, "/polled"))
}

// deaf is a source whose directories are watched where nothing ever happens.
func deaf(s Source) Source {
	s.roots = slices.Clone(s.roots)
	for i := range s.roots {
		s.roots[i].dir = filepath.Join(s.roots[i].dir, "nothing", "here")
	}
	return s
}

func TestWatchEmbedded(t *testing.T) {
	t.Parallel()
	e, err := New(t.Context(), FS(fstest.MapFS{}, nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Watch(ctx); err != nil {
		t.Errorf("Watch = %v", err)
	}
}

// Files that are not loaded cause nothing.
func TestWatchIgnoresOtherFiles(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	e, told := watched(t, source, Options{})
	writeFile(t, filepath.Join(dir, "policies", "README.md"), "read me")
	writeFile(t, filepath.Join(dir, "beside.txt"), "not in a directory of ours")
	writeFile(t, filepath.Join(dir, "policies", ".git", "index"), "x")
	replaceFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "last"))
	told.wait(t, "the change is live", live(e, "/last"))
	if all := told.all(); len(all) != 2 {
		t.Errorf("%d activations, want the first and that of the change: %+v", len(all), all)
	}
}

// A test that takes long does not keep its own correction waiting.
func TestWatchSlowTestIsCancelledByTheNextSave(t *testing.T) {
	t.Parallel()
	dir, source := simple().dirs(t)
	looked := make(chan struct{}, 100)
	e, told := watched(t, source, Options{TestDeadline: time.Hour, Now: func() time.Time {
		select {
		case looked <- struct{}{}:
		default:
		}
		return time.Now()
	}})
	for len(looked) > 0 {
		<-looked
	}
	writeFile(t, filepath.Join(dir, "policies", "slow_test.rego"),
		"package slow_test\n\ntest_slow if count([1 | some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i == j + 2000000]) > 0\n")
	<-looked // its tests have begun
	if err := os.Remove(filepath.Join(dir, "policies", "slow_test.rego")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "data", "routes.yaml"), fmt.Sprintf(oneRoute, "corrected"))
	told.wait(t, "the correction is live", live(e, "/corrected"))
}

// An archive is not unpacked: it may claim to hold any size.
func TestSourceLeavesArchivesOut(t *testing.T) {
	t.Parallel()
	f := simple().with("data/bundle.tar.gz", "not even gzip")
	if _, err := Load(t.Context(), f.source(), Options{}); err != nil {
		t.Errorf("Load: %v", err)
	}
}
