package policy

import (
	"maps"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// ordinary are requests that the shipped policy allows, one for each way there
// is to pass, as the server asks them: with what is kept of token and subject.
func ordinary() []struct {
	name string
	r    authz.Request
} {
	const id = "01JD8Q5ZB6M4T7V9X2C3R5N8KA"
	account := &authz.Subject{Kind: authz.KindAccount, ID: id, Username: "carol", Roles: []string{"client"}}
	admin := &authz.Subject{Kind: authz.KindAccount, ID: "01JD8Q5ZB6M4T7V9X2C3R5N8KB", Username: "ann", Roles: []string{"admin"}}
	external := &authz.Subject{Kind: authz.KindExternal, ID: id, Issuer: "https://other.example.com", Scopes: []string{"items:read", "items:write"}}
	for _, s := range []*authz.Subject{account, admin, external} {
		s.Prepared = PrepareSubject(s)
	}
	claims := func(more map[string]any) *authz.Claims {
		values := map[string]any{"iss": "https://api.example.com", "sub": id, "aud": "https://api.example.com",
			"jti": "01JD8Q5ZB6M4T7V9X2C3R5N8KC", "client_id": "first-party", "scope": "items:read items:write"}
		maps.Copy(values, more)
		return &authz.Claims{Values: values, Prepared: PrepareClaims(values)}
	}
	ours := claims(nil)
	theirs := claims(map[string]any{"iss": "https://id.example.org", "roles": []any{"client"}})
	request := func(method, route, path string, segments []string, s *authz.Subject, c *authz.Claims) authz.Request {
		r := authz.Request{Method: method, Host: "api.example.com", Path: path, Segments: segments, Route: route,
			Subject: s, Claims: c, ClientIP: "203.0.113.7", Now: time.Date(2026, 11, 23, 17, 31, 0, 0, time.UTC)}
		if segments[len(segments)-1] == "42" {
			r.Params = map[string]string{"id": "42"}
			r.Resource = map[string]any{"type": "item", "id": "42", "owner": id}
		}
		return r
	}
	items, item := []string{"items", ""}, []string{"items", "42"}
	return []struct {
		name string
		r    authz.Request
	}{
		{"public", request("GET", "/livez", "/livez", []string{"livez"}, nil, nil)},
		{"authenticated", request("GET", "/users/me", "/users/me", []string{"users", "me"}, account, ours)},
		{"roles", request("GET", "/client-only", "/client-only", []string{"client-only"}, account, ours)},
		{"scopes", request("GET", "/items/", "/items/", items, account, ours)},
		{"owner", request("DELETE", "/items/{id}", "/items/42", item, account, ours)},
		{"owner_exempt", request("DELETE", "/items/{id}", "/items/42", item, admin, ours)},
		{"HEAD", request("HEAD", "/items/", "/items/", items, account, ours)},
		{"external", request("GET", "/items/", "/items/", items, external, theirs)},
	}
}

// uncached is the shipped policy, which answers every request anew.
func uncached(t testing.TB) *Snapshot {
	t.Helper()
	s, err := Load(t.Context(), Dir("../../policies", "../../data"), Options{Deadline: patient, CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// BenchmarkDecide is one evaluation of the shipped policy, with nothing cached
// but what is kept of token and subject.
func BenchmarkDecide(b *testing.B) {
	s := uncached(b)
	for _, tc := range ordinary() {
		b.Run(tc.name, func(b *testing.B) { benchmarkDecide(b, s, tc.r, true) })
	}
	denied := ordinary()[3].r
	denied.Subject = &authz.Subject{Kind: authz.KindAccount, ID: "01A", Roles: []string{"nobody"}}
	b.Run("denied", func(b *testing.B) { benchmarkDecide(b, s, denied, false) })
}

func benchmarkDecide(b *testing.B, s *Snapshot, r authz.Request, allow bool) {
	b.ReportAllocs()
	for b.Loop() {
		d, err := s.Decide(b.Context(), &r)
		if err != nil || d.Allow != allow {
			b.Fatalf("Decide = %+v, %v; want allow %v", d, err, allow)
		}
	}
}

// BenchmarkDecideCached is the same for a request that the policy can't tell from
// one before.
func BenchmarkDecideCached(b *testing.B) {
	s, err := Load(b.Context(), Dir("../../policies", "../../data"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, tc := range ordinary() {
		b.Run(tc.name, func(b *testing.B) { benchmarkDecide(b, s, tc.r, true) })
	}
}
