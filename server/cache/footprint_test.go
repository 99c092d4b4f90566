package cache_test

import (
	"encoding/json"
	"testing"

	"github.com/stagedoor/stagedoor/server/cache"
)

func TestFootprintGrowsWithWhatAValueHolds(t *testing.T) {
	for name, pair := range map[string][2]any{
		"a longer text":    {"a", "abc"},
		"a longer number":  {json.Number("1"), json.Number("123")},
		"one more element": {[]any{nil}, []any{nil, nil}},
		"one more string":  {[]string{"a"}, []string{"a", "b"}},
		"one more member":  {map[string]any{"a": nil}, map[string]any{"a": nil, "b": nil}},
		"depth":            {map[string]any{"a": nil}, map[string]any{"a": map[string]any{"a": nil}}},
	} {
		if less, more := cache.Footprint(pair[0]), cache.Footprint(pair[1]); less <= 0 || less >= more {
			t.Errorf("%s: %d, then %d", name, less, more)
		}
	}
}
