package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of keys that are encrypted at rest.
var (
	// ErrSealed: the stored keys are encrypted, and no secret was given.
	ErrSealed = errors.New("the signing keys are encrypted: set STAGEDOOR_SECRET_KEY, or --secret-key-file, to the secret that they were encrypted with")
	// ErrWrongSecret: the secret given is not the one that the keys were encrypted
	// with, or they were tampered with.
	ErrWrongSecret = errors.New("a signing key can't be decrypted: STAGEDOOR_SECRET_KEY (or --secret-key-file) is not the secret that it was encrypted with")
)

const (
	// minSecretKey is the shortest secret, in bytes. It is not stretched: it must be
	// random, and no password.
	minSecretKey = 32
	// sealVersion is the first byte of what is sealed: how the rest was made.
	sealVersion = 1
	saltSize    = 16
)

// Sealer encrypts private keys at rest: XChaCha20-Poly1305 under a key that HKDF
// (RFC 5869, SHA-256) makes of the secret and a salt of each key's own. The kid and
// the algorithm are bound to it, so that no sealed key can be put in another one's
// place.
type Sealer struct{ secret []byte }

// NewSealer takes the secret, at least 32 bytes, such as from
// `openssl rand -base64 48`.
func NewSealer(secret []byte) (*Sealer, error) {
	if len(secret) < minSecretKey {
		return nil, fmt.Errorf("the secret key has %d bytes and needs at least %d: make one with `openssl rand -base64 48`", len(secret), minSecretKey)
	}
	return &Sealer{secret: slices.Clone(secret)}, nil
}

// Format keeps the secret out of everything that package fmt prints.
func (s *Sealer) Format(f fmt.State, _ rune) { io.WriteString(f, "token.Sealer{}") }

// associated is what the sealed text is bound to.
func associated(key *Key) []byte {
	return []byte("stagedoor signing key\x00" + key.ID + "\x00" + key.Algorithm)
}

func (s *Sealer) cipher(salt []byte) (interface {
	Seal(dst, nonce, plaintext, additional []byte) []byte
	Open(dst, nonce, sealed, additional []byte) ([]byte, error)
}, error) {
	secret, err := hkdf.Key(sha256.New, s.secret, salt, "stagedoor signing keys at rest", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(secret)
}

// seal encrypts the key's secret, unless it is encrypted already. A nil sealer
// leaves it in clear.
func (s *Sealer) seal(key Key, random io.Reader) (Key, error) {
	if s == nil || key.Sealed || len(key.Secret) == 0 {
		return key, nil
	}
	prefix := make([]byte, 1+saltSize+chacha20poly1305.NonceSizeX)
	prefix[0] = sealVersion
	if _, err := io.ReadFull(random, prefix[1:]); err != nil {
		return Key{}, fmt.Errorf("encrypt key %q: %w", key.ID, err)
	}
	cipher, err := s.cipher(prefix[1 : 1+saltSize])
	if err != nil {
		return Key{}, fmt.Errorf("encrypt key %q: %w", key.ID, err)
	}
	key.Secret = cipher.Seal(prefix, prefix[1+saltSize:], key.Secret, associated(&key))
	key.Sealed = true
	return key, nil
}

// open returns the key with its secret in clear. A nil sealer opens only keys
// that are.
func (s *Sealer) open(key Key) (Key, error) {
	if !key.Sealed {
		return key, nil
	}
	if s == nil {
		return Key{}, ErrSealed
	}
	const head = 1 + saltSize + chacha20poly1305.NonceSizeX
	if len(key.Secret) < head || key.Secret[0] != sealVersion {
		return Key{}, fmt.Errorf("key %q was encrypted by another version of Stagedoor, or is damaged: %w", key.ID, ErrWrongSecret)
	}
	cipher, err := s.cipher(key.Secret[1 : 1+saltSize])
	if err != nil {
		return Key{}, fmt.Errorf("decrypt key %q: %w", key.ID, err)
	}
	secret, err := cipher.Open(nil, key.Secret[1+saltSize:head], key.Secret[head:], associated(&key))
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", key.ID, ErrWrongSecret)
	}
	key.Secret, key.Sealed = secret, false
	return key, nil
}
