package policy

import (
	"context"
	"maps"
	"slices"
)

// DataKeys are the sorted keys of an object in a source's data files, which
// names its place, such as "roles"; none where there is no such object. Nothing
// is compiled or tested, so it is cheap.
func DataKeys(ctx context.Context, source Source, names ...string) ([]string, error) {
	c, err := source.read(ctx)
	if err != nil {
		return nil, readError(ctx, err)
	}
	l, err := parse(c, Options{}.withDefaults())
	if err != nil {
		return nil, l.refused(err)
	}
	object := l.documents
	for _, name := range names {
		object, _ = object[name].(map[string]any)
	}
	return slices.Sorted(maps.Keys(object)), nil
}
