package token

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

// jwk is a public key as RFC 7517 writes it (RSA and EC: RFC 7518 section 6,
// Ed25519: RFC 8037 section 2). There is no member for anything private.
type jwk struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	ID        string `json:"kid,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

// newJWK describes a public key by its type's required members only.
func newJWK(public any) (jwk, error) {
	encode := base64.RawURLEncoding.EncodeToString
	switch p := public.(type) {
	case ed25519.PublicKey:
		return jwk{KeyType: "OKP", Curve: "Ed25519", X: encode(p)}, nil
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4, x, y: both of full length
		if err != nil {
			return jwk{}, fmt.Errorf("encode a public key: %w", err)
		}
		half := (len(point) - 1) / 2
		return jwk{KeyType: "EC", Curve: p.Params().Name, X: encode(point[1 : 1+half]), Y: encode(point[1+half:])}, nil
	case *rsa.PublicKey:
		return jwk{KeyType: "RSA", N: encode(p.N.Bytes()), E: encode(big.NewInt(int64(p.E)).Bytes())}, nil
	}
	return jwk{}, fmt.Errorf("encode a public key: a %T is never published", public)
}

// thumbprint is the SHA-256 thumbprint of RFC 7638: the required members, in
// lexicographic order, without white space. Their values are base64url and curve
// names, which need no escaping.
func thumbprint(public any) (string, error) {
	key, err := newJWK(public)
	if err != nil {
		return "", err
	}
	var text string
	switch key.KeyType {
	case "OKP":
		text = fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, key.Curve, key.X)
	case "EC":
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, key.Curve, key.X, key.Y)
	case "RSA":
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, key.E, key.N)
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func encodeJWKS(keys []*verificationKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: make([]jwk, 0, len(keys))}
	for _, key := range keys {
		described, err := newJWK(key.public)
		if err != nil {
			return nil, err
		}
		described.Use, described.Algorithm, described.ID = "sig", key.algorithm, key.id
		set.Keys = append(set.Keys, described)
	}
	slices.SortFunc(set.Keys, func(a, b jwk) int { return cmp.Compare(a.ID, b.ID) })
	encoded, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encode the JWK set: %w", err)
	}
	return encoded, nil
}
