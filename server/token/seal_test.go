package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func newSealer(t testing.TB, letter string) *Sealer {
	t.Helper()
	sealer, err := NewSealer([]byte(strings.Repeat(letter, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func sealedWith(sealer *Sealer) func(*KeyringOptions) {
	return func(o *KeyringOptions) { o.Sealer = sealer }
}

func TestKeysAreEncryptedAtRest(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			options := func(o *KeyringOptions) { o.Algorithm = algorithm }
			l := newLab(t, options)
			raw := mint(t, l.keys, nil)
			kid := l.signing()
			clear := bytes.Clone(l.store.keys[kid].Secret)

			// Those that are in clear are encrypted at the next start.
			l.keys = l.open(t, func(o *KeyringOptions) { o.Algorithm, o.Sealer = algorithm, newSealer(t, "a") })
			kept := l.store.keys[kid]
			if !kept.Sealed || bytes.Contains(kept.Secret, clear) || bytes.Contains(kept.Secret, clear[len(clear)-16:]) {
				t.Errorf("stored in clear: %v", kept)
			}
			l.wantGood(t, raw)
			l.wantGood(t, mint(t, l.keys, nil))
			next := l.rotate(t, true)
			if !l.store.keys[next].Sealed {
				t.Error("the successor is stored in clear")
			}
			// Each has a salt and a nonce of its own.
			again, err := newSealer(t, "a").seal(Key{ID: kid, Algorithm: algorithm, Secret: clear}, rand.Reader)
			if err != nil || bytes.Equal(again.Secret[:40], kept.Secret[:40]) {
				t.Errorf("sealed twice alike (%v)", err)
			}
		})
	}
}

func TestSealedKeysAreRefused(t *testing.T) {
	l := newLab(t, sealedWith(newSealer(t, "a")))
	kid := l.signing()
	good := l.store.keys[kid]
	open := func(sealer *Sealer) error {
		_, err := OpenKeyring(t.Context(), l.store, KeyringOptions{Now: l.clock.Now, Sealer: sealer})
		return err
	}
	for name, test := range map[string]struct {
		sealer *Sealer
		change func(*Key)
		want   error
	}{
		"no secret":            {nil, func(*Key) {}, ErrSealed},
		"another secret":       {newSealer(t, "b"), func(*Key) {}, ErrWrongSecret},
		"another kid":          {newSealer(t, "a"), func(k *Key) { k.ID = "other" }, ErrWrongSecret},
		"a bit of the text":    {newSealer(t, "a"), func(k *Key) { k.Secret[len(k.Secret)-1] ^= 1 }, ErrWrongSecret},
		"a bit of the salt":    {newSealer(t, "a"), func(k *Key) { k.Secret[3] ^= 1 }, ErrWrongSecret},
		"another version":      {newSealer(t, "a"), func(k *Key) { k.Secret[0]++ }, ErrWrongSecret},
		"cut short":            {newSealer(t, "a"), func(k *Key) { k.Secret = k.Secret[:10] }, ErrWrongSecret},
		"the right one":        {newSealer(t, "a"), func(*Key) {}, nil},
		"sealed text as clear": {newSealer(t, "a"), func(k *Key) { k.Sealed = false }, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			changed := good
			changed.Secret = bytes.Clone(good.Secret)
			test.change(&changed)
			l.store.keys = map[string]Key{changed.ID: changed}
			if err := open(test.sealer); !errors.Is(err, test.want) && (test.want != errAny || err == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	for _, secret := range []string{"", strings.Repeat("x", 31)} {
		if _, err := NewSealer([]byte(secret)); err == nil {
			t.Errorf("a secret of %d bytes passes", len(secret))
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", newSealer(t, "q"), newSealer(t, "q"), newSealer(t, "q"), newSealer(t, "q")); strings.Contains(printed, "qqq") || strings.Contains(printed, "113") {
		t.Errorf("printed: %s", printed)
	}
}

var errAny = errors.New("any error")

func TestRekey(t *testing.T) {
	l := newLab(t, sealedWith(newSealer(t, "a")))
	raw := mint(t, l.keys, nil)
	l.rotate(t, true)
	admin := KeyAdmin{Store: l.store, Algorithm: EdDSA, Sealer: newSealer(t, "a"), Now: l.clock.Now}
	if _, err := (&KeyAdmin{Store: l.store, Algorithm: EdDSA, Sealer: newSealer(t, "x")}).Rekey(t.Context(), newSealer(t, "b")); !errors.Is(err, ErrWrongSecret) {
		t.Errorf("with a wrong secret: %v", err)
	}
	if n, err := admin.Rekey(t.Context(), newSealer(t, "b")); err != nil || n != 2 {
		t.Fatalf("%d keys, %v", n, err)
	}
	// A server that was not restarted goes on with the keys that it knows,
	l.wantGood(t, raw)
	if err := l.keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.wantGood(t, raw)
	l.wantGood(t, mint(t, l.keys, nil))
	// can't add one that the others could not read,
	if _, err := l.keys.Rotate(t.Context(), true); !errors.Is(err, ErrWrongSecret) {
		t.Errorf("rotated with the former secret: %v", err)
	}
	// and still hears of a retirement.
	admin.Sealer = newSealer(t, "b")
	if _, err := admin.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	verified, err := l.verifier.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Retire(t.Context(), verified.KeyID); err != nil {
		t.Fatal(err)
	}
	if err := l.keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.wantRefused(t, raw)

	l.keys = l.open(t, sealedWith(newSealer(t, "b")))
	if n, err := admin.Rekey(t.Context(), nil); err != nil || n != 2 {
		t.Errorf("to clear: %d, %v", n, err)
	}
	for _, key := range l.store.keys {
		if key.Sealed {
			t.Errorf("%s is encrypted", key.ID)
		}
	}
	l.open(t, nil)
}
