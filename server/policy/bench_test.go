package policy

import (
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

// BenchmarkDecide is one evaluation of the shipped policy: a route that asks for
// a scope, allowed and denied.
func BenchmarkDecide(b *testing.B) {
	s, err := Load(b.Context(), Dir("../../policies", "../../data"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	values := map[string]any{"sub": "01A", "scope": "items:read items:write"}
	r := &authz.Request{
		Method: "GET", Path: "/items/", Segments: []string{"items", ""}, Route: "/items/",
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: "01A", Username: "carol"},
		Claims:  &authz.Claims{Values: values, Prepared: PrepareClaims(values)},
	}
	for name, roles := range map[string][]string{"allowed": {"client"}, "denied": {"nobody"}} {
		b.Run(name, func(b *testing.B) {
			r.Subject.Roles = roles
			b.ReportAllocs()
			for b.Loop() {
				d, err := s.Decide(b.Context(), r)
				if err != nil || d.Allow != (name == "allowed") {
					b.Fatalf("Decide = %+v, %v", d, err)
				}
			}
		})
	}
}
