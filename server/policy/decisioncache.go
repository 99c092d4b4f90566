package policy

import (
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/cache"
)

// decisionBytes estimates what a decision takes.
func decisionBytes(d *authz.Decision) int {
	n := 160
	for _, r := range d.Reasons {
		n += 48 + len(r.Code) + len(r.Message) + len(r.DependsOn)
	}
	for _, s := range d.Needs.Scope {
		n += 16 + len(s)
	}
	for name, values := range d.Headers {
		n += 64 + len(name)
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return n
}

// CacheStats is how the snapshot's decision cache is doing.
func (s *Snapshot) CacheStats() cache.Stats { return s.decisions.Stats() }
