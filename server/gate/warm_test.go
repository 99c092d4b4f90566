package gate_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// By the shipped policy, a resource matters only where an owner does.
func TestTheShippedPolicySparesLoaders(t *testing.T) {
	calls := 0
	door, raw := warmGate(t, func(o *gate.Options) {
		o.Loaders = map[string]gate.Loader{"/items/{id}": func(context.Context, *authz.Request) (map[string]any, error) {
			calls++
			return map[string]any{"owner": carol}, nil
		}}
	})
	handler := door.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		method string
		calls  int
	}{{"GET", 0}, {"HEAD", 0}, {"DELETE", 2}} {
		calls = 0
		for range 2 { // the second time, the decision is known
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, newRequest(t, c.method, "/items/42", raw))
			if answer.Code != http.StatusOK {
				t.Errorf("%s: status %d: %s", c.method, answer.Code, answer.Body)
			}
		}
		if calls != c.calls {
			t.Errorf("%s: the loader was called %d times, want %d", c.method, calls, c.calls)
		}
	}
}

// Whoever writes refusals may change what they get; other requests share the
// decision that it was made of.
func TestARefusalIsNoPartOfTheSharedDecision(t *testing.T) {
	d := openDoor(t, func(o *gate.Options) {
		o.Refusals = map[string]gate.RefusalWriter{"/items/": func(w http.ResponseWriter, _ *http.Request, refusal *gate.Refusal) {
			w.Header().Set("WWW-Authenticate", refusal.Challenge.String())
			w.WriteHeader(refusal.Problem.Status)
			for _, reason := range refusal.Problem.Reasons {
				_, _ = io.WriteString(w, reason.Code+": "+reason.Message)
			}
			clear(refusal.Problem.Reasons)
			clear(refusal.Challenge.Scope)
		}}
	})
	const challenge = `Bearer realm="stage", error="insufficient_scope", scope="items:write"`
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				got := d.do(t, "POST", "/items/", bearer("carol"))
				if got.StatusCode != 403 || got.Header.Get("WWW-Authenticate") != challenge || got.body != "missing_scope: needs scope items:write" {
					t.Errorf("%d, %q, %q", got.StatusCode, got.Header.Get("WWW-Authenticate"), got.body)
				}
			}
		})
	}
	group.Wait()
}

// Without Options.NewID, the ids are ULIDs of the request's moment, none of them
// twice.
func TestIDs(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 31, 0, 0, time.UTC)
	door, _ := warmGate(t, func(o *gate.Options) { o.Now = func() time.Time { return now } })
	handler := door.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var seen sync.Map
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, newRequest(t, http.MethodGet, "/livez", ""))
				for _, name := range []string{"X-Request-ID", "X-Decision-ID"} {
					text := answer.Header().Get(name)
					id, err := ulid.ParseStrict(text)
					if err != nil || !ulid.Time(id.Time()).Equal(now) {
						t.Errorf("%s is %q: %v", name, text, err)
					}
					if _, twice := seen.LoadOrStore(text, nil); twice {
						t.Errorf("%s %s was there before", name, text)
					}
				}
			}
		})
	}
	group.Wait()
}

// The policy sees an address as netip writes it, however the connection does.
func TestClientIPText(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:4711": "192.0.2.1", "[2001:db8::1]:4711": "2001:db8::1", "[::ffff:192.0.2.1]:4711": "192.0.2.1",
		"[2001:DB8:0:0::1]:4711": "2001:db8::1", "[fe80::1%" + strings.Repeat("eth", 40) + "]:4711": "fe80::1%" + strings.Repeat("eth", 40),
		"@": "", "": "",
	} {
		door, raw := warmGate(t, nil)
		r := newRequest(t, http.MethodGet, "/items/", raw)
		r.RemoteAddr = remote
		got, err := door.Question(r)
		if err != nil || got.ClientIP != want {
			t.Errorf("%s: %v, %v", remote, got, err)
		}
	}
}

// newRequest is a request as net/http's server makes it.
func newRequest(tb testing.TB, method, target, raw string) *http.Request {
	tb.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequestWithContext(tb.Context(), method, target, http.NoBody)
	r.URL, r.RequestURI, r.Host, r.RemoteAddr = u, target, "127.0.0.1:8080", "127.0.0.1:4711"
	r.Header.Set("User-Agent", "bench")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Authorization", "Bearer "+raw)
	return r
}

var loadShipped = sync.OnceValues(func() (*policy.Snapshot, error) {
	return policy.Load(context.Background(), policy.FS(policies.FS, data.FS), policy.Options{})
})

// warmGate is a gate with the shipped policy, the real verifier and its caches,
// and a token that it admits. change may be nil.
func warmGate(tb testing.TB, change func(*gate.Options)) (*gate.Gate, string) {
	tb.Helper()
	snapshot, err := loadShipped()
	if err != nil {
		tb.Fatal(err)
	}
	keyring, err := token.OpenKeyring(tb.Context(), &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	raw, _, _, err := keyring.Mint(token.Registered{
		Issuer: issuer, Subject: carol, Audience: []string{issuer}, ClientID: "bench",
		Scope: []string{"items:read", "items:write"}, Lifetime: time.Hour,
	}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	verifier := token.NewVerifier(keyring, token.VerifierOptions{Issuer: issuer, Audience: issuer, Prepare: policy.PrepareClaims})
	subject := &authz.Subject{Kind: authz.KindAccount, ID: carol, Username: "carol", Roles: []string{"client"}}
	subject.Prepared = policy.PrepareSubject(subject)
	options := gate.Options{
		Policy: fixed{snapshot}, Tokens: verifier, Subjects: oneSubject{subject}, Issuer: issuer,
		Observe: func(context.Context, *authz.Request, *authz.Decision) {},
	}
	if change != nil {
		change(&options)
	}
	door, err := gate.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	return door, raw
}

// oneSubject is who everybody is.
type oneSubject struct{ subject *authz.Subject }

func (o oneSubject) Subject(context.Context, string) (*authz.Subject, error) { return o.subject, nil }
