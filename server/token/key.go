package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms that tokens can be signed with (RFC 7518 section 3.1, RFC 8037
// section 3.1).
const (
	EdDSA = "EdDSA" // Ed25519; the default
	ES256 = "ES256" // ECDSA on P-256
	RS256 = "RS256" // RSA of at least 2048 bits, PKCS #1 v1.5
	HS256 = "HS256" // HMAC with a secret of at least 256 bits
)

const (
	// rsaBits is the size of the RSA keys that we make. Larger ones are accepted
	// from the store, smaller ones never (RFC 7518 section 3.3).
	rsaBits = 2048
	// minSecret is the shortest HMAC secret in bytes (RFC 7518 section 3.2).
	minSecret = 32
	// configuredKeyID is the kid of a secret that the configuration gave. It says
	// nothing about the secret, and is the same in every process that was given
	// it, so the secret itself need not be stored.
	configuredKeyID = "configured"
)

// Algorithms lists the algorithms that tokens can be signed with, the default
// first.
func Algorithms() []string { return []string{EdDSA, ES256, RS256, HS256} }

// Key is a signing key as a [KeyStore] keeps it. Printing, logging or encoding
// one as JSON leaves the secret out.
type Key struct {
	// ID is the kid: the RFC 7638 thumbprint of the public key, or a random id
	// for an HMAC secret.
	ID string `json:"id"`
	// Algorithm is the one algorithm that the key may be used with.
	Algorithm string `json:"algorithm"`
	// Secret is the private key as PKCS #8 DER, or the HMAC secret itself.
	Secret []byte `json:"-"`
	// CreatedAt is when the key was made. Of several keys of the signing
	// algorithm, the youngest signs.
	CreatedAt time.Time `json:"created_at"`
}

// Format keeps the secret out of everything that package fmt prints.
func (k Key) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "token.Key{ID: %q, Algorithm: %q, CreatedAt: %s}", k.ID, k.Algorithm, k.CreatedAt.UTC().Format(time.RFC3339))
}

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kid", k.ID), slog.String("alg", k.Algorithm), slog.Time("created_at", k.CreatedAt))
}

// KeyStore keeps signing keys.
type KeyStore interface {
	// Keys returns every key, in any order.
	Keys(ctx context.Context) ([]Key, error)
	// EnsureKey stores the key unless one of its algorithm exists, and returns
	// the one that is there afterwards. It is atomic between processes.
	EnsureKey(ctx context.Context, key Key) (Key, error)
}

// verificationKey is what a signature is checked with: one key, bound to one
// algorithm.
type verificationKey struct {
	id, algorithm string
	// public is an ed25519.PublicKey, *ecdsa.PublicKey, *rsa.PublicKey or, for
	// HMAC, the secret as []byte.
	public any
	// method is the algorithm's. The parser that comes with it is not used: tokens
	// are read before, more strictly, and judged after, by our own rules and clock.
	method jwt.SigningMethod
}

func newVerificationKey(id, algorithm string, public any) *verificationKey {
	return &verificationKey{id: id, algorithm: algorithm, public: public, method: method(algorithm)}
}

// verifiesAs reports whether two keys verify the same signatures; other may be
// nil.
func (v *verificationKey) verifiesAs(other *verificationKey) bool {
	if other == nil || v.id != other.id || v.algorithm != other.algorithm {
		return false
	}
	if secret, ok := v.public.([]byte); ok {
		otherSecret, ok := other.public.([]byte)
		return ok && subtle.ConstantTimeCompare(secret, otherSecret) == 1
	}
	// Every public key of the standard library has it.
	public, ok := v.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.public)
}

// signingKey is a usable private key.
type signingKey struct {
	*verificationKey
	private   any
	createdAt time.Time
}

// method returns nil for an algorithm that is not one of [Algorithms].
func method(algorithm string) jwt.SigningMethod {
	switch algorithm {
	case EdDSA:
		return jwt.SigningMethodEdDSA
	case ES256:
		return jwt.SigningMethodES256
	case RS256:
		return jwt.SigningMethodRS256
	case HS256:
		return jwt.SigningMethodHS256
	}
	return nil
}

// generate makes a new key. The crypto packages may prefer their own source of
// randomness for private keys; random always serves HMAC secrets and ids.
func generate(algorithm string, now time.Time, random io.Reader) (Key, error) {
	key := Key{Algorithm: algorithm, CreatedAt: now.UTC().Truncate(time.Millisecond)}
	var private any
	var err error
	switch algorithm {
	case EdDSA:
		_, private, err = ed25519.GenerateKey(random)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), random)
	case RS256:
		private, err = rsa.GenerateKey(random, rsaBits)
	case HS256:
		buffer := make([]byte, minSecret+16)
		if _, err := io.ReadFull(random, buffer); err != nil {
			return Key{}, fmt.Errorf("make an HS256 secret: %w", err)
		}
		key.Secret = slices.Clone(buffer[:minSecret])
		key.ID = base64.RawURLEncoding.EncodeToString(buffer[minSecret:])
		return key, nil
	default:
		return Key{}, unknownAlgorithm(algorithm)
	}
	if err != nil {
		return Key{}, fmt.Errorf("make a key for %s: %w", algorithm, err)
	}
	if key.Secret, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		return Key{}, fmt.Errorf("encode a key for %s: %w", algorithm, err)
	}
	public, err := publicHalf(algorithm, private)
	if err != nil {
		return Key{}, err
	}
	if key.ID, err = thumbprint(public); err != nil {
		return Key{}, err
	}
	return key, nil
}

// parseKey makes a stored key usable, or says what is wrong with it.
func parseKey(key Key) (*signingKey, error) {
	if key.ID == "" {
		return nil, fmt.Errorf("a stored key for %q has no id: remove it from the store", key.Algorithm)
	}
	var private any
	switch {
	case key.Algorithm == HS256:
		if len(key.Secret) < minSecret {
			return nil, fmt.Errorf("key %q: an HS256 secret needs at least %d bytes: remove it from the store", key.ID, minSecret)
		}
		private = slices.Clone(key.Secret)
	case method(key.Algorithm) == nil:
		return nil, fmt.Errorf("key %q: %w", key.ID, unknownAlgorithm(key.Algorithm))
	default:
		var err error
		if private, err = x509.ParsePKCS8PrivateKey(key.Secret); err != nil {
			return nil, fmt.Errorf("key %q is not PKCS #8: restore the store from a backup, or remove the key: %w", key.ID, err)
		}
	}
	public, err := publicHalf(key.Algorithm, private)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", key.ID, err)
	}
	return &signingKey{
		verificationKey: newVerificationKey(key.ID, key.Algorithm, public),
		private:         private,
		createdAt:       key.CreatedAt,
	}, nil
}

// publicHalf returns what verifies a private key's signatures, provided that the
// key is one for the algorithm.
func publicHalf(algorithm string, private any) (any, error) {
	switch p := private.(type) {
	case ed25519.PrivateKey:
		if algorithm == EdDSA {
			return p.Public().(ed25519.PublicKey), nil
		}
	case *ecdsa.PrivateKey:
		if algorithm == ES256 && p.Curve == elliptic.P256() {
			return &p.PublicKey, nil
		}
	case *rsa.PrivateKey:
		if algorithm == RS256 {
			if p.N.BitLen() < rsaBits {
				return nil, fmt.Errorf("an RSA key needs at least %d bits, this one has %d", rsaBits, p.N.BitLen())
			}
			return &p.PublicKey, nil
		}
	case []byte:
		if algorithm == HS256 {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the key is not one for %s", algorithm)
}

// configuredKey makes a key of a secret that the configuration gave.
func configuredKey(secret []byte) (*signingKey, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the HS256 secret has %d bytes and needs at least %d: make one with `openssl rand -base64 48`", len(secret), minSecret)
	}
	if bytes.Contains(secret, []byte("-----BEGIN")) {
		return nil, errors.New("the HS256 secret is a PEM file, which others may have: make one with `openssl rand -base64 48`")
	}
	secret = slices.Clone(secret)
	return &signingKey{verificationKey: newVerificationKey(configuredKeyID, HS256, secret), private: secret}, nil
}

func unknownAlgorithm(algorithm string) error {
	return fmt.Errorf("unknown signing algorithm %q: use one of %s", algorithm, strings.Join(Algorithms(), ", "))
}
