package token

import (
	"encoding/base64"
	"strings"

	"github.com/stagedoor/stagedoor/server/authz"
)

// MaxSize is the length in bytes of the longest token that is looked at. What
// else reading a token allocates is bounded by it.
const MaxSize = 8 << 10

// compact is a token in compact serialization (RFC 7515 section 3.1), read
// strictly but not verified.
type compact struct {
	header header
	claims []byte // JSON text
	// signed is what the signature is of: the first two parts and the dot between
	// them (RFC 7515 section 5.2).
	signed    string
	signature []byte
	issuer    string // of the claims; unverified
	// hasIssuer is false when iss is missing or is not a string, mentionsIssuer only
	// when it is missing.
	hasIssuer, mentionsIssuer bool
}

// header is the part of a JOSE header that counts (RFC 7515 section 4.1). What
// else a header says is ignored; jku, x5u, jwk and x5c in particular.
type header struct {
	algorithm string
	keyID     string
	hasKeyID  bool
	typ       string // empty when missing or not a string
}

// read takes a token apart and checks everything about it that needs neither
// keys nor a clock.
func read(raw string) (*compact, error) {
	p, err := decode(raw)
	if err != nil {
		return nil, err
	}
	c := &compact{claims: p.claims, signed: p.signed, signature: p.signature}
	if c.header, err = readHeader(p.header); err != nil {
		return nil, err
	}
	err = scanObject(p.claims, func(name, value []byte) {
		if string(name) == "iss" {
			c.mentionsIssuer = true
			c.issuer, c.hasIssuer = decodeText(value)
		}
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// parts are those of a token, decoded, and what it is that was signed.
type parts struct {
	header, claims, signature []byte
	signed                    string
}

// decode splits a token in three and decodes them. The signature may be empty
// here: whether there has to be one is for the algorithm to say.
func decode(raw string) (p parts, err error) {
	if len(raw) > MaxSize {
		return parts{}, refuse(authz.TokenMalformed, "it is longer than 8 KiB")
	}
	first, rest, found := strings.Cut(raw, ".")
	second, signature, more := strings.Cut(rest, ".")
	if !found || !more || strings.Contains(signature, ".") {
		return parts{}, refuse(authz.TokenMalformed, "it does not have exactly three parts")
	}
	p.signed = raw[:len(first)+len(".")+len(second)]
	if p.header, err = decodeSegment(first); err != nil {
		return parts{}, err
	}
	if p.claims, err = decodeSegment(second); err != nil {
		return parts{}, err
	}
	if p.signature, err = decodeSegment(signature); err != nil {
		return parts{}, err
	}
	return p, nil
}

// decodeSegment decodes base64url without padding (RFC 7515 section 2) and
// accepts one spelling of it only. The alphabet is checked here because Go's
// decoder skips line breaks even when it is strict.
func decodeSegment(segment string) ([]byte, error) {
	for i := range len(segment) {
		switch c := segment[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return nil, refuse(authz.TokenMalformed, "a part is not base64url without padding")
		}
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, refuse(authz.TokenMalformed, "a part is not canonical base64url")
	}
	return decoded, nil
}

func readHeader(text []byte) (header, error) {
	var h header
	var algorithmIsText, hasCrit, hasB64, keyIDIsText bool
	err := scanObject(text, func(name, value []byte) {
		switch string(name) {
		case "alg":
			h.algorithm, algorithmIsText = decodeText(value)
		case "kid":
			h.hasKeyID = true
			h.keyID, keyIDIsText = decodeText(value)
		case "typ":
			h.typ, _ = decodeText(value)
		case "crit":
			hasCrit = true
		case "b64":
			hasB64 = true
		}
	})
	switch {
	case err != nil:
		return header{}, err
	case hasCrit:
		// We understand no extension, so there is none that we may accept as
		// critical (RFC 7515 section 4.1.11).
		return header{}, refuse(authz.TokenUnsupported, "its header has crit")
	case hasB64:
		// RFC 7797 section 7: a JWT never has it set to false, and true is no news.
		return header{}, refuse(authz.TokenUnsupported, "its header has b64")
	case !algorithmIsText:
		return header{}, refuse(authz.TokenMalformed, "its header has no alg, or one that is not a string")
	case h.hasKeyID && !keyIDIsText:
		return header{}, refuse(authz.TokenMalformed, "its header has a kid that is not a string")
	}
	return h, nil
}
