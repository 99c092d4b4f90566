package token

import (
	"bytes"
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

const (
	// rsaBits is the size of the RSA keys that we make. Larger ones are accepted
	// from the store, smaller ones never (RFC 7518 section 3.3).
	rsaBits = 2048
	// maxRSABits bounds what verifying with somebody else's key costs.
	maxRSABits = 8192
	// minSecret is the shortest HMAC secret in bytes (RFC 7518 section 3.2).
	minSecret = 32
	// configuredKeyID is the kid of a secret that the configuration gave. It says
	// nothing about the secret, and is the same in every process that was given
	// it, so the secret itself need not be stored.
	configuredKeyID = "configured"
)

// Key is a signing key as a [KeyStore] keeps it. Printing, logging or encoding
// one as JSON leaves the secret out.
type Key struct {
	// ID is the kid: the RFC 7638 thumbprint of the public key, or a random id
	// for an HMAC secret.
	ID string `json:"id"`
	// Algorithm is the one algorithm that the key may be used with.
	Algorithm string `json:"algorithm"`
	// Secret is the private key as PKCS #8 DER, or the HMAC secret itself; sealed,
	// if Sealed says so. It is empty once the key has expired.
	Secret []byte `json:"-"`
	// Sealed says that Secret is encrypted, by a [Sealer].
	Sealed bool `json:"sealed"`
	// CreatedAt is when the key was made, and published.
	CreatedAt time.Time `json:"created_at"`
	// ActivateAt is when the key begins to sign. Of several keys of the signing
	// algorithm, the one that began last signs.
	ActivateAt time.Time `json:"activate_at"`
	// RetireAt is when it stops signing; zero where a successor is not known yet.
	RetireAt time.Time `json:"retire_at,omitzero"`
	// ExpiresAt is when it stops verifying, and is no longer published; zero where
	// that is not known yet.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// MaxLifetime is how long a token that it has signed may live.
	MaxLifetime time.Duration `json:"-"`
}

// Format keeps the secret out of everything that package fmt prints.
func (k Key) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "token.Key{ID: %q, Algorithm: %q, CreatedAt: %s}", k.ID, k.Algorithm, k.CreatedAt.UTC().Format(time.RFC3339))
}

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kid", k.ID), slog.String("alg", k.Algorithm), slog.Time("created_at", k.CreatedAt))
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
	private any
}

// generate makes a new key. The crypto packages may prefer their own source of
// randomness for private keys; random always serves HMAC secrets and ids.
func generate(algorithm string, now time.Time, random io.Reader) (Key, error) {
	key := Key{Algorithm: algorithm, CreatedAt: now.UTC().Truncate(time.Millisecond)}
	key.ActivateAt = key.CreatedAt
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
	if strings.HasPrefix(key.ID, "-") {
		return generate(algorithm, now, random) // a command line would take it for a flag
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
	case !slices.Contains(Algorithms(), key.Algorithm):
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
