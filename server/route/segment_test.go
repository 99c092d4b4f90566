package route_test

import (
	"testing"

	"github.com/stagedoor/stagedoor/server/route"
)

func TestEscapeSegment(t *testing.T) {
	for text, want := range map[string]string{
		"reports": "reports", "a@b+c=d": "a@b+c=d", "a?b#c": "a%3Fb%23c", "100%": "100%25", "<ü>": "%3C%C3%BC%3E",
		// No path may hold these.
		"": "", ".": "", "..": "", "a/b": "", `a\b`: "", "a;b": "", "a%2Fb": "", "a%41": "", "a\x00": "", "\xff": "",
	} {
		escaped, ok := route.EscapeSegment(text)
		if ok != (want != "") || ok && escaped != want {
			t.Errorf("%q: %q, %v, want %q", text, escaped, ok, want)
		}
		if !ok {
			continue
		}
		if target, err := route.ParseTarget("/" + escaped); err != nil || target.Segments[0] != text {
			t.Errorf("%q comes back as %q, %v", text, target.Segments, err)
		}
	}
}
