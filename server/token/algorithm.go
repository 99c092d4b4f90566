package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"

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

// Algorithms lists the algorithms that our own tokens can be signed with, the
// default first.
func Algorithms() []string { return []string{EdDSA, ES256, RS256, HS256} }

// PublicKeyAlgorithms lists the algorithms that others may sign with: trusted
// issuers and clients. None of them is symmetric.
func PublicKeyAlgorithms() []string {
	return []string{EdDSA, ES256, RS256, "PS256", "ES384", "RS384", "PS384", "ES512", "RS512", "PS512"}
}

// Symmetric reports whether an algorithm signs with a secret, which no JWKS can
// publish.
func Symmetric(algorithm string) bool { return algorithm == HS256 }

// ed25519Name is what RFC 9864 calls [EdDSA] with Ed25519. oauth4webapi and others
// write it by now.
const ed25519Name = "Ed25519"

// canonicalAlgorithm is the name that we use for what others may call otherwise.
func canonicalAlgorithm(name string) string {
	if name == ed25519Name {
		return EdDSA
	}
	return name
}

// method returns nil for an algorithm that is never used.
func method(algorithm string) jwt.SigningMethod {
	switch algorithm {
	case EdDSA:
		return jwt.SigningMethodEdDSA
	case ES256:
		return jwt.SigningMethodES256
	case "ES384":
		return jwt.SigningMethodES384
	case "ES512":
		return jwt.SigningMethodES512
	case RS256:
		return jwt.SigningMethodRS256
	case "RS384":
		return jwt.SigningMethodRS384
	case "RS512":
		return jwt.SigningMethodRS512
	case "PS256":
		return jwt.SigningMethodPS256
	case "PS384":
		return jwt.SigningMethodPS384
	case "PS512":
		return jwt.SigningMethodPS512
	case HS256:
		return jwt.SigningMethodHS256
	}
	return nil
}

// fits reports whether a public key can be one for the algorithm: of its type, on
// its curve, and large enough.
func fits(algorithm string, public any) bool {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return algorithm == EdDSA
	case *ecdsa.PublicKey:
		curves := map[string]string{ES256: "P-256", "ES384": "P-384", "ES512": "P-521"}
		return curves[algorithm] == key.Params().Name
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && bits >= rsaBits && bits <= maxRSABits
	}
	return false
}

func unknownAlgorithm(algorithm string) error {
	return fmt.Errorf("unknown signing algorithm %q: use one of %s", algorithm, strings.Join(Algorithms(), ", "))
}
