package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

const (
	testIssuer   = "https://auth.example.com"
	testAudience = "https://api.example.com"
)

// testNow is not a whole second, as real clocks hardly ever are.
var testNow = time.Date(2026, 11, 23, 17, 31, 0, 250_000_000, time.UTC)

// memoryStore is a KeyStore for tests.
type memoryStore struct {
	mu     sync.Mutex
	keys   map[string]Key
	events []KeyEvent
	doomed sync.Map
	reads  atomic.Int64
	err    error
}

func (s *memoryStore) Keys(context.Context) ([]Key, error) {
	s.reads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.keys)), s.err
}

func (s *memoryStore) ChangeKeys(_ context.Context, change func([]Key) (KeyChange, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	changed, err := change(slices.Collect(maps.Values(s.keys)))
	if err != nil {
		return err
	}
	for _, key := range changed.Put {
		s.put(key)
	}
	for _, id := range changed.Remove {
		delete(s.keys, id)
	}
	s.events = append(s.events, changed.Events...)
	return nil
}

func (s *memoryStore) put(key Key) {
	if s.keys == nil {
		s.keys = map[string]Key{}
	}
	s.keys[key.ID] = key
}

// clock is a clock that stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: testNow} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func openKeyring(t testing.TB, store KeyStore, algorithm string) *Keyring {
	t.Helper()
	keys, err := OpenKeyring(t.Context(), store, KeyringOptions{Algorithm: algorithm, Now: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// newTestVerifier is a verifier that remembers a good token already, with the
// claims that most tests forge.
func newTestVerifier(keys *Keyring) *Verifier {
	v := NewVerifier(keys, VerifierOptions{Issuer: testIssuer, Audience: testAudience, Now: newClock().Now})
	key := keys.signing()
	unsigned := encode(goodHeader(key)) + "." + encode(goodClaims)
	signature, err := method(key.algorithm).Sign(unsigned, key.private)
	if err == nil {
		_, err = v.Verify(context.Background(), unsigned+"."+base64.RawURLEncoding.EncodeToString(signature))
	}
	if err != nil {
		panic(err)
	}
	return v
}

// verify verifies a token twice, with tokens remembered that differ from it by as
// little as possible: they, and what is remembered of the first time, must make
// no difference.
func verify(t testing.TB, v *Verifier, raw string) (*Verified, error) {
	t.Helper()
	planted := plantNeighbours(v, raw)
	defer func() {
		for _, neighbour := range neighbours(raw) { // some are other tests' tokens
			v.cache.Delete(neighbour)
		}
	}()
	first, firstErr := v.Verify(t.Context(), raw)
	second, secondErr := v.Verify(t.Context(), raw)
	if first != nil && first == planted || second != nil && second == planted {
		t.Errorf("passes for another token: %.200q", raw)
	}
	if fmt.Sprint(firstErr) != fmt.Sprint(secondErr) || !reflect.DeepEqual(first, second) {
		t.Errorf("verified twice: %+v, %v and then %+v, %v", first, firstErr, second, secondErr)
	}
	return second, secondErr
}

func testRegistered() Registered {
	return Registered{
		Issuer: testIssuer, Subject: "01JDCAROL", Audience: []string{testAudience}, ClientID: "first-party",
		Scope: []string{"items:read", "items:write"}, Roles: []string{"client"}, PreferredUsername: "carol",
		Lifetime: 30 * time.Minute,
	}
}

func mint(t testing.TB, keys *Keyring, extra map[string]any) string {
	t.Helper()
	raw, _, _, err := keys.Mint(testRegistered(), extra)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// signing is a ring's signing key.
func (k *Keyring) signing() *signingKey { return k.current.Load().signing(k.now()) }

// encode is base64url without padding.
func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge signs any header and claims, given as JSON texts, with any key.
func forge(t testing.TB, algorithm string, private any, header, claims string) string {
	t.Helper()
	unsigned := encode(header) + "." + encode(claims)
	signature, err := method(algorithm).Sign(unsigned, private)
	if err != nil {
		t.Fatal(err)
	}
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// goodHeader and goodClaims are JSON texts that make a good token.
func goodHeader(key *signingKey) string {
	return `{"alg":"` + key.algorithm + `","typ":"at+jwt","kid":"` + key.id + `"}`
}

const goodClaims = `{"iss":"https://auth.example.com","sub":"01JDCAROL","aud":"https://api.example.com",` +
	`"client_id":"first-party","jti":"01JDTOKEN","iat":1795455060,"nbf":1795455060,"exp":1795456860}`

// wantRefusal checks that an error carries the code, and only that.
func wantRefusal(t testing.TB, err error, want authz.TokenError) {
	t.Helper()
	var code authz.TokenError
	if !errors.As(err, &code) {
		t.Fatalf("got error %v, want one that unwraps to %q", err, want)
	}
	if code != want {
		t.Fatalf("got %v, want %q", err, want)
	}
}

// claimsWith is goodClaims with some members replaced, given as JSON texts; an
// empty text removes the member.
func claimsWith(changes map[string]string) string {
	members := map[string]string{
		"iss": `"` + testIssuer + `"`, "sub": `"01JDCAROL"`, "aud": `"` + testAudience + `"`, "client_id": `"first-party"`,
		"jti": `"01JDTOKEN"`, "iat": "1795455060", "nbf": "1795455060", "exp": "1795456860",
	}
	maps.Copy(members, changes)
	var text []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] != "" {
			text = append(text, `"`+name+`":`+members[name])
		}
	}
	return "{" + strings.Join(text, ",") + "}"
}

// manyMembers is an object with the members m0 to m(n-1), and then one more.
func manyMembers(n int, last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"m%d":0,`, i)
	}
	return b.String() + last + "}"
}

// twice is a store that has one key two times.
type twice struct{ key Key }

func (s twice) Keys(context.Context) ([]Key, error) { return []Key{s.key, s.key}, nil }
func (s twice) ChangeKeys(_ context.Context, change func([]Key) (KeyChange, error)) error {
	_, err := change([]Key{s.key, s.key})
	return err
}

// forgetful is a store that keeps nothing.
type forgetful struct{ *memoryStore }

func (s forgetful) ChangeKeys(_ context.Context, change func([]Key) (KeyChange, error)) error {
	_, err := change(nil)
	return err
}

// asTokenError reports whether an error would be taken for a token's refusal.
func asTokenError(err error, code *authz.TokenError) bool { return errors.As(err, code) }
