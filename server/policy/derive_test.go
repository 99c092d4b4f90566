package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listed derives routes from a file with a pattern on each line; one that begins with
// an exclamation mark is left out.
func listed(_ string, text []byte) (Derived, error) {
	d := Derived{Data: []byte("routes:\n  /list: {}\n"), Routes: map[string]int{}, ListAll: "see the list"}
	for i, line := range strings.Fields(string(text)) {
		switch {
		case line == "broken":
			return Derived{}, &FileError{Line: i + 1, Err: errors.New("is broken")}
		case strings.HasPrefix(line, "!"):
			d.Left = append(d.Left, Problem{Line: i + 1, Message: line[1:] + " is left out"})
		default:
			d.Routes[line] = i + 1
			d.Data = fmt.Appendf(d.Data, "  %s: {GET: {roles: [actor]}}\n", line)
		}
	}
	return d, nil
}

// withList is a source of two directories and a list, which lies in one of them.
func withList(t *testing.T, text string) (string, Source) {
	t.Helper()
	dir, source := simple().dirs(t)
	name := filepath.Join(dir, "data", "list.yaml")
	writeFile(t, name, text)
	return name, Join(source, File(name).Derive(listed))
}

func TestDerivedData(t *testing.T) {
	t.Parallel()
	name, source := withList(t, "/x\n/y\n!/z\n")
	s, err := Load(t.Context(), source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"/x", "/y"} {
		if !slices.Contains(s.Routes(), pattern) {
			t.Errorf("%s is missing in %v", pattern, s.Routes())
		}
	}
	left := s.Warnings()
	if !slices.ContainsFunc(left, func(w Warning) bool { return w.Code == WarnLeftOut && w.Message == name+":3: /z is left out" }) {
		t.Errorf("warnings: %v", left)
	}

	// What is left out is said line by line, but not without end.
	writeFile(t, name, strings.Repeat("!/z\n", 3*maxTableProblems))
	if s, err = Load(t.Context(), source, Options{}); err != nil {
		t.Fatal(err)
	}
	left = slices.DeleteFunc(s.Warnings(), func(w Warning) bool { return w.Code != WarnLeftOut })
	if len(left) != maxTableProblems+1 || !strings.Contains(left[maxTableProblems].Message, fmt.Sprint(2*maxTableProblems, " more; see the list")) {
		t.Errorf("%d warnings: %v", len(left), left)
	}
}

func TestDerivedDataIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"broken", "/x broken", "list.yaml:2: data_error: is broken"},
		{"a route of another file", "/x /a", `list.yaml:2: routes_error: route "/a" is declared in `},
		{"ambiguous beside another file", "/{x}/{y} /q/{z} /{w}/q", "list.yaml:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, source := withList(t, tt.text)
			writeFile(t, filepath.Join(filepath.Dir(name), "routes.yaml"), fmt.Sprintf(oneRoute, "a"))
			_, err := Load(t.Context(), source, Options{})
			var refused *LoadError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		_, err := Load(t.Context(), File(filepath.Join(t.TempDir(), "x.yaml")), Options{})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		if _, err := Load(t.Context(), File(t.TempDir()), Options{}); err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Error(err)
		}
	})
}

// A file alone is watched like a directory: written, replaced, away for a while, and
// behind a link that is changed.
func TestWatchFile(t *testing.T) {
	t.Parallel()
	_, source := simple().with("data/routes.yaml", "others: 1\n").dirs(t)
	aside := t.TempDir()
	name := filepath.Join(aside, "list.yaml")
	writeFile(t, filepath.Join(aside, "one"), "/one")
	symlink(t, "one", name)
	e, told := watched(t, Join(source, File(name).Derive(listed)), Options{})
	told.wait(t, "it is live", live(e, "/list", "/one"))
	writeFile(t, filepath.Join(aside, "one"), "/two")
	told.wait(t, "a change is live", live(e, "/list", "/two"))
	writeFile(t, name, "broken")
	if status := told.wait(t, "a broken one is refused", refused(CodeData)); status.LastError.Problems[0].Line != 1 || !live(e, "/list", "/two")(Status{}) {
		t.Errorf("status %+v, routes %v", status, e.Current().Routes())
	}
	writeFile(t, filepath.Join(aside, "new"), "/three")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	told.wait(t, "it is missed", refused(CodeSource))
	rename(t, filepath.Join(aside, "new"), name)
	told.wait(t, "it is back", live(e, "/list", "/three"))
}
