package policy

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestDataKeys(t *testing.T) {
	source := FS(nil, fstest.MapFS{
		"roles.yaml":       {Data: []byte("roles: {usher: [], actor: [stage:enter]}\nname: globe\n")},
		"house/seats.json": {Data: []byte(`{"rows": {"b": 1, "a": 2}}`)},
	})
	for _, c := range []struct {
		name string
		path []string
		want []string
	}{
		{"an object", []string{"roles"}, []string{"actor", "usher"}},
		{"below a directory", []string{"house", "rows"}, []string{"a", "b"}},
		{"everything", nil, []string{"house", "name", "roles"}},
		{"what is not there", []string{"plays"}, nil},
		{"what is no object", []string{"name"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DataKeys(t.Context(), source, c.path...)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if _, err := DataKeys(t.Context(), FS(nil, fstest.MapFS{"roles.yaml": {Data: []byte("roles: [")}}), "roles"); err == nil {
		t.Error("malformed data has keys")
	}
}
