package policy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/loader"
)

// What is loaded has to be what stock OPA loads from the same directories.
func TestSourceLoadsLikeStock(t *testing.T) {
	t.Parallel()
	f := simple()
	f["data/nested/deep/list.json"] = `{"numbers": [1, 9007199254740993, 0.1]}`
	f["data/nested/other.yml"] = "other: yes\n"
	f["policies/mixed/values.yaml"] = "colour: red\n"
	f["data/rules/extra.rego"] = "package extra\n\nx := 1\n"
	f["data/README.md"] = "not loaded"
	for _, layout := range []struct {
		name string
		dirs func(t *testing.T, dir string) (policies, data string)
	}{
		{"two directories", func(_ *testing.T, dir string) (string, string) {
			return filepath.Join(dir, "policies"), filepath.Join(dir, "data")
		}},
		{"the same directory twice", func(_ *testing.T, dir string) (string, string) {
			return filepath.Join(dir, "data"), filepath.Join(dir, "data")
		}},
		{"a trailing slash and dots", func(_ *testing.T, dir string) (string, string) {
			return filepath.Join(dir, "policies") + "/./", filepath.Join(dir, "data") + "/../data"
		}},
		{"one in the other", func(t *testing.T, dir string) (string, string) {
			rename(t, filepath.Join(dir, "data"), filepath.Join(dir, "policies", "sub"))
			return filepath.Join(dir, "policies"), filepath.Join(dir, "policies", "sub", "nested")
		}},
		{"the inner first", func(t *testing.T, dir string) (string, string) {
			rename(t, filepath.Join(dir, "data"), filepath.Join(dir, "policies", "sub"))
			return filepath.Join(dir, "policies", "sub", "nested"), filepath.Join(dir, "policies")
		}},
		{"symbolic links", func(t *testing.T, dir string) (string, string) {
			rename(t, filepath.Join(dir, "data", "nested"), filepath.Join(dir, "elsewhere"))
			symlink(t, "../elsewhere", filepath.Join(dir, "data", "nested"))
			symlink(t, "policies", filepath.Join(dir, "link"))
			return filepath.Join(dir, "link"), filepath.Join(dir, "data")
		}},
	} {
		t.Run(layout.name, func(t *testing.T) {
			t.Parallel()
			dir, _ := f.dirs(t)
			policies, data := layout.dirs(t, dir)
			want, err := loader.NewFileLoader().WithProcessAnnotation(true).Filtered([]string{policies, data}, nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Dir(policies, data).read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := parse(c, Options{}.withDefaults())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.documents, want.Documents) {
				t.Errorf("documents\n got %v\nwant %v", got.documents, want.Documents)
			}
			wantModules := map[string]string{}
			for _, m := range want.Modules {
				wantModules[filepath.Clean(m.Name)] = m.Parsed.String()
			}
			gotModules := map[string]string{}
			for name, m := range got.modules {
				gotModules[name] = m.String()
			}
			if !reflect.DeepEqual(gotModules, wantModules) {
				t.Errorf("modules\n got %v\nwant %v", gotModules, wantModules)
			}
		})
	}
}

func TestSourceLeavesDotNamesOut(t *testing.T) {
	t.Parallel()
	f := simple()
	dir, source := f.dirs(t)
	before, err := source.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "policies", ".git", "hooks.rego"), "not rego")
	writeFile(t, filepath.Join(dir, "policies", "authz", ".authz.rego.swp"), "not rego")
	writeFile(t, filepath.Join(dir, "data", ".hidden.json"), "not json")
	writeFile(t, filepath.Join(dir, "data", "NOTES.txt"), "not loaded")
	after, err := source.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.digest != after.digest {
		t.Error("the digest changed with files that are not loaded")
	}
	if _, err := Load(t.Context(), source, Options{}); err != nil {
		t.Error(err)
	}
}

func TestSourceDigestIsOfPathsAndBytes(t *testing.T) {
	t.Parallel()
	digest := func(s Source) string {
		t.Helper()
		c, err := s.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.digest
	}
	_, here := simple().dirs(t)
	_, there := simple().dirs(t)
	if digest(here) != digest(there) || digest(here) != digest(simple().source()) {
		t.Error("equal content has different digests")
	}
	for name, f := range map[string]files{
		"a byte":           simple().with("data/routes.yaml", "routes: {}\n"),
		"a name":           simple().with("data/routes.yaml", "").with("data/paths.yaml", simple()["data/routes.yaml"]),
		"a file more":      simple().with("data/x.yaml", "x: 1\n"),
		"the other root":   simple().with("data/routes.yaml", "").with("policies/routes.yaml", simple()["data/routes.yaml"]),
		"where bytes fall": simple().with("data/routes.yaml", simple()["data/routes.yaml"]+"\n"),
	} {
		if digest(f.source()) == digest(here) {
			t.Errorf("%s: the digest did not change", name)
		}
	}
}

func TestSourceColonInName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	simple().write(t, filepath.Join(dir, "a:b %41"))
	base := filepath.Join(dir, "a:b %41")
	s, err := Load(t.Context(), Dir(filepath.Join(base, "policies"), filepath.Join(base, "data")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Routes()) != 2 {
		t.Errorf("routes %v", s.Routes())
	}
}

func TestSourceRefusals(t *testing.T) {
	t.Parallel()
	dir, _ := simple().dirs(t)
	loop := filepath.Join(dir, "loop")
	mkdir(t, filepath.Join(loop, "below"))
	symlink(t, "..", filepath.Join(loop, "below", "up"))
	dangling := filepath.Join(dir, "dangling")
	mkdir(t, dangling)
	symlink(t, "nowhere", filepath.Join(dangling, "x.rego"))
	for name, tc := range map[string]struct {
		source Source
		want   string
	}{
		"nothing given":        {Source{}, "no policy source"},
		"empty names":          {Dir("", ""), "no policy source"},
		"missing":              {Dir(filepath.Join(dir, "missing"), ""), "missing"},
		"a file":               {Dir(filepath.Join(dir, "data", "routes.yaml"), ""), "not a directory"},
		"a link that loops":    {Dir(loop, ""), "leads back"},
		"a link to nowhere":    {Dir(dangling, ""), "x.rego"},
		"one of two is absent": {Dir(filepath.Join(dir, "policies"), filepath.Join(dir, "nodata")), "nodata"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(t.Context(), tc.source, Options{})
			var refusal *LoadError
			if !errors.As(err, &refusal) || refusal.Problems[0].Code != CodeSource || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load = %v, want a source_error with %q", err, tc.want)
			}
		})
	}
	_, err := Load(t.Context(), Dir(filepath.Join(dir, "missing"), ""), Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("errors.Is(%v, fs.ErrNotExist) is false", err)
	}
}

// changingFS changes a file while another one is read, times often.
type changingFS struct {
	fstest.MapFS
	times int
}

func (c *changingFS) ReadFile(name string) ([]byte, error) {
	data, err := c.MapFS.ReadFile(name)
	if name == "a.yaml" && c.times > 0 {
		c.times--
		text := "b: after" + strings.Repeat("!", c.times) + "\n"
		c.MapFS["b.yaml"] = &fstest.MapFile{Data: []byte(text)}
		c.MapFS["a.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(text, "b", "a", 1))}
	}
	return data, err
}

func TestSourceReadsTornContentAgain(t *testing.T) {
	t.Parallel()
	start := func(times int) Source {
		return FS(&changingFS{fstest.MapFS{
			"a.yaml": {Data: []byte("a: before\n")},
			"b.yaml": {Data: []byte("b: before\n")},
		}, times}, nil)
	}
	c, err := start(1).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := string(c.files[0].data), string(c.files[1].data); a != "a: after\n" || b != "b: after\n" {
		t.Errorf("read %q beside %q: two states", a, b)
	}
	if _, err := start(1000).read(t.Context()); !errors.Is(err, errChanging) {
		t.Errorf("read of an endlessly changing source = %v", err)
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	dir, _ := simple().dirs(t)
	s := Join(Dir(filepath.Join(dir, "policies"), ""), FS(nil, os.DirFS(filepath.Join(dir, "data"))))
	snapshot, err := Load(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Routes()) != 2 {
		t.Errorf("routes %v", snapshot.Routes())
	}
}
