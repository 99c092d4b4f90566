package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestEachAlgorithmSignsAndVerifies(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			store := &memoryStore{}
			first := openKeyring(t, store, algorithm)
			raw, jti, exp, err := first.Mint(testRegistered(), map[string]any{"tenant": "acme"})
			if err != nil {
				t.Fatal(err)
			}
			// Another process, after a restart.
			second := openKeyring(t, store, algorithm)
			verified, err := newTestVerifier(second).Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			kid, alg := second.Signing()
			if alg != algorithm || verified.KeyID != kid {
				t.Errorf("got key %q for %q, token signed by %q", kid, alg, verified.KeyID)
			}
			if verified.Issuer != testIssuer || verified.Subject != "01JDCAROL" || verified.ID != jti || !verified.Expiry.Equal(exp) {
				t.Errorf("got %+v", verified)
			}
			if verified.Claims.Values["tenant"] != "acme" || verified.Claims.Prepared != nil {
				t.Errorf("got claims %+v", verified.Claims)
			}
			if len(store.keys) != 1 {
				t.Errorf("the store has %d keys, want 1", len(store.keys))
			}
		})
	}
}

func TestDefaultAlgorithmIsEdDSA(t *testing.T) {
	keys := openKeyring(t, &memoryStore{}, "")
	if _, algorithm := keys.Signing(); algorithm != EdDSA {
		t.Errorf("got %q", algorithm)
	}
}

func TestProcessesThatStartAtOnceShareOneKey(t *testing.T) {
	for _, algorithm := range []string{EdDSA, HS256} {
		t.Run(algorithm, func(t *testing.T) {
			store := &memoryStore{}
			rings := make([]*Keyring, 16)
			var wg sync.WaitGroup
			for i := range rings {
				wg.Go(func() {
					var err error
					if rings[i], err = OpenKeyring(t.Context(), store, KeyringOptions{Algorithm: algorithm, Now: newClock().Now}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			raw := mint(t, rings[0], nil)
			for i, keys := range rings {
				if _, err := newTestVerifier(keys).Verify(t.Context(), raw); err != nil {
					t.Errorf("ring %d: %v", i, err)
				}
			}
		})
	}
}

func TestConfiguredHMACSecret(t *testing.T) {
	secret := bytes.Repeat([]byte("0123456789abcdef"), 2)
	open := func(store KeyStore, secret []byte) *Keyring {
		t.Helper()
		keys, err := OpenKeyring(t.Context(), store, KeyringOptions{Algorithm: HS256, HMACSecret: secret, Now: newClock().Now})
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	store := &memoryStore{}
	given := bytes.Clone(secret)
	keys := open(store, given)
	clear(given) // the ring has its own copy
	raw := mint(t, keys, nil)
	if len(store.keys) != 0 {
		t.Error("a given secret was put in the store")
	}
	if _, err := newTestVerifier(open(&memoryStore{}, secret)).Verify(t.Context(), raw); err != nil {
		t.Errorf("another process with the same secret: %v", err)
	}
	_, err := newTestVerifier(open(store, bytes.Repeat([]byte("another secret! "), 2))).Verify(t.Context(), raw)
	wantRefusal(t, err, authz.TokenBadSignature)
	_, err = newTestVerifier(openKeyring(t, store, HS256)).Verify(t.Context(), raw)
	wantRefusal(t, err, authz.TokenUnknownKey)

	// A secret of our own in the store goes on verifying, but no longer signs.
	own := mint(t, openKeyring(t, store, HS256), nil)
	both := open(store, secret)
	if kid, _ := both.Signing(); kid != configuredKeyID {
		t.Errorf("got signing key %q, want the given one", kid)
	}
	for _, raw := range []string{raw, own} {
		if _, err := newTestVerifier(both).Verify(t.Context(), raw); err != nil {
			t.Error(err)
		}
	}
}

func TestHMACKeyIDSaysNothingAboutTheSecret(t *testing.T) {
	random := rand.Reader
	one, err := generate(HS256, testNow, io.MultiReader(bytes.NewReader(make([]byte, minSecret)), random))
	if err != nil {
		t.Fatal(err)
	}
	two, err := generate(HS256, testNow, io.MultiReader(bytes.NewReader(make([]byte, minSecret)), random))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Secret, two.Secret) || one.ID == two.ID {
		t.Errorf("ids %q and %q of one secret, want different ones", one.ID, two.ID)
	}
}

func TestOpenKeyringRefuses(t *testing.T) {
	broken := errors.New("disk full")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := generate(EdDSA, testNow, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(keys ...Key) *memoryStore {
		s := &memoryStore{}
		for _, key := range keys {
			s.put(key)
		}
		return s
	}
	for name, test := range map[string]struct {
		store   KeyStore
		options KeyringOptions
		want    string // in the error
	}{
		"no store":                         {nil, KeyringOptions{}, "no key store"},
		"unknown algorithm":                {stored(), KeyringOptions{Algorithm: "PS256"}, "use one of EdDSA, ES256, RS256, HS256"},
		"algorithm none":                   {stored(), KeyringOptions{Algorithm: "none"}, "unknown signing algorithm"},
		"secret of 31 bytes":               {stored(), KeyringOptions{Algorithm: HS256, HMACSecret: make([]byte, 31)}, "at least 32"},
		"empty secret":                     {stored(), KeyringOptions{Algorithm: HS256, HMACSecret: []byte{}}, "at least 32"},
		"secret for another algorithm":     {stored(), KeyringOptions{HMACSecret: make([]byte, 32)}, "remove one of the two"},
		"a PEM as secret":                  {stored(), KeyringOptions{Algorithm: HS256, HMACSecret: []byte("-----BEGIN PUBLIC KEY-----\nMCow\n")}, "PEM"},
		"store that fails":                 {&memoryStore{err: broken}, KeyringOptions{}, "read the signing keys"},
		"stored key without id":            {stored(Key{Algorithm: EdDSA, Secret: ed.Secret}), KeyringOptions{}, "no id"},
		"stored key of unknown algorithm":  {stored(ed, Key{ID: "x", Algorithm: "PS256"}), KeyringOptions{}, "unknown signing algorithm"},
		"stored key that is garbage":       {stored(Key{ID: "x", Algorithm: EdDSA, Secret: []byte("garbage")}), KeyringOptions{}, "PKCS #8"},
		"stored HMAC secret that is short": {stored(ed, Key{ID: "x", Algorithm: HS256, Secret: make([]byte, 16)}), KeyringOptions{}, "at least 32"},
		"stored RSA key of 1024 bits":      {stored(ed, Key{ID: "x", Algorithm: RS256, Secret: pkcs8(t, small)}), KeyringOptions{}, "2048"},
		"stored P-384 key as ES256":        {stored(ed, Key{ID: "x", Algorithm: ES256, Secret: pkcs8(t, p384)}), KeyringOptions{}, "not one for ES256"},
		"stored Ed25519 key as RS256":      {stored(Key{ID: "x", Algorithm: RS256, Secret: ed.Secret}), KeyringOptions{}, "not one for RS256"},
		"two stored keys of one id":        {twice{ed}, KeyringOptions{}, "two keys"},
		"no randomness":                    {stored(), KeyringOptions{Algorithm: HS256, Rand: bytes.NewReader(nil)}, "make an HS256 secret"},
		"a store that keeps nothing":       {forgetful{stored()}, KeyringOptions{}, "no key for EdDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenKeyring(t.Context(), test.store, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	if _, err := OpenKeyring(t.Context(), &memoryStore{err: broken}, KeyringOptions{}); !errors.Is(err, broken) {
		t.Errorf("got %v, want the store's error in it", err)
	}
}

func pkcs8(t *testing.T, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestYoungestKeySigns(t *testing.T) {
	store := &memoryStore{}
	var keys []Key
	for i := range 3 {
		key, err := generate(EdDSA, testNow.Add(time.Duration(i-3)*time.Hour), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	for _, i := range []int{1, 2, 0} {
		store.put(keys[i])
	}
	ring := openKeyring(t, store, EdDSA)
	if kid, _ := ring.Signing(); kid != keys[2].ID {
		t.Errorf("got %q, want the youngest, %q", kid, keys[2].ID)
	}
}

func TestReloadFailureKeepsTheKeys(t *testing.T) {
	store := &memoryStore{}
	keys := openKeyring(t, store, EdDSA)
	raw := mint(t, keys, nil)
	before := keys.JWKS()
	store.err = errors.New("disk full")
	if err := keys.Reload(t.Context()); !errors.Is(err, store.err) {
		t.Errorf("got %v, want the store's error", err)
	}
	if _, err := newTestVerifier(keys).Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(before, keys.JWKS()) {
		t.Error("the published keys have changed")
	}
}

func TestReloadWhileKeysAreInUse(t *testing.T) {
	store := &memoryStore{}
	keys := openKeyring(t, store, EdDSA)
	verifier := newTestVerifier(keys)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				raw, _, _, err := keys.Mint(testRegistered(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := verifier.Verify(t.Context(), raw); err != nil {
					t.Error(err)
				}
				_ = keys.JWKS()
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			key, err := generate(EdDSA, testNow.Add(time.Duration(i)*time.Hour), rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			store.mu.Lock()
			store.put(key)
			store.mu.Unlock()
			if err := keys.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			store := &memoryStore{}
			if _, err := OpenKeyring(t.Context(), store, KeyringOptions{Algorithm: algorithm, Logger: logger}); err != nil {
				t.Fatal(err)
			}
			key := firstKey(store)
			logger.Info("printed", slog.Any("key", key), slog.Any("pointer", &key), slog.Any("keys", []Key{key}))
			encoded, err := json.Marshal(key)
			if err != nil {
				t.Fatal(err)
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&log, verb+"\n", key)
				fmt.Fprintf(&log, verb+"\n", []*Key{&key}[0])
			}
			log.Write(encoded)
			printed := log.String()
			if !strings.Contains(printed, "signing key made") || !strings.Contains(printed, key.ID) {
				t.Errorf("the log does not tell of the new key: %s", printed)
			}
			for _, form := range []string{"%s", "%x", "%v", "%d"} {
				secret := strings.Trim(fmt.Sprintf(form, key.Secret), "[]")
				if strings.Contains(printed, secret) {
					t.Errorf("the secret was printed (as %s)", form)
				}
			}
			if b64, _ := json.Marshal(key.Secret); strings.Contains(printed, strings.Trim(string(b64), `"`)) {
				t.Error("the secret was printed (in base64)")
			}
		})
	}
}

func firstKey(store *memoryStore) Key {
	for _, key := range store.keys {
		return key
	}
	return Key{}
}
