package token

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/MicahParks/keyfunc/v3"
)

const (
	// maxKeySet is the longest JWK set that is read, in bytes.
	maxKeySet = 512 << 10
	// maxKeys is how many keys of a set are looked at.
	maxKeys = 200
)

// keySet is the public keys of somebody else: a trusted issuer, or a client. Each
// is for one algorithm. It is never changed.
type keySet []*verificationKey

// find finds the key of a header's kid and alg. Without a kid it is the only key
// for that alg; where there are several, it is none.
func (s keySet) find(h header) (*verificationKey, bool) {
	var found *verificationKey
	for _, key := range s {
		if key.algorithm != h.algorithm || h.hasKeyID && key.id != h.keyID {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = key
	}
	return found, found != nil
}

// readKeySet reads a JWK set (RFC 7517 section 5). Keys that can't be used are
// passed over, with the reasons: those of another type, use or algorithm, and every
// one that holds anything private or symmetric. A set that two readers might
// understand differently is refused as a whole.
//
// algorithms are those that keys may be for. A key that names none is for the
// first of them that fits it, and for no other.
func readKeySet(text []byte, algorithms []string) (set keySet, skipped []string, err error) {
	if len(text) > maxKeySet {
		return nil, nil, fmt.Errorf("the JWK set is longer than %d KiB", maxKeySet>>10)
	}
	var raw []byte
	if err := scanObject(text, func(name, value []byte) {
		if string(name) == "keys" {
			raw = slices.Clone(value)
		}
	}); err != nil {
		// Not wrapped: it says nothing of any token.
		return nil, nil, fmt.Errorf("it is no JWK set: %v", err) //nolint:errorlint // see above
	}
	var members []map[string]json.RawMessage
	if raw == nil {
		return nil, nil, fmt.Errorf("it is no JWK set: it has no keys (RFC 7517 section 5.1)")
	}
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, nil, fmt.Errorf("it is no JWK set: keys is no list of objects (RFC 7517 section 5.1)")
	}
	if len(members) > maxKeys {
		return nil, nil, fmt.Errorf("the JWK set has %d keys, more than %d", len(members), maxKeys)
	}
	for i, member := range members {
		key, err := readKey(member, algorithms)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		twin := slices.IndexFunc(set, func(other *verificationKey) bool {
			return other.id == key.id && other.algorithm == key.algorithm
		})
		if twin >= 0 && key.verifiesAs(set[twin]) {
			continue // the same once more
		}
		set = append(set, key)
	}
	return set, skipped, nil
}

// readKey reads one public key. What is handed on to be decoded are the members
// that make a public key, and nothing else: no certificate, no URL.
func readKey(member map[string]json.RawMessage, algorithms []string) (*verificationKey, error) {
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, present := member[private]; present {
			return nil, fmt.Errorf("it has %q, which is private: whoever published it should replace it", private)
		}
	}
	text := func(name string) (string, error) {
		value, present := member[name]
		if !present {
			return "", nil
		}
		decoded, ok := decodeText(value)
		if !ok {
			return "", fmt.Errorf("%s is not a string", name)
		}
		return decoded, nil
	}
	var id, use, algorithm string
	for _, wanted := range []struct {
		name string
		into *string
	}{{"kid", &id}, {"use", &use}, {"alg", &algorithm}} {
		var err error
		if *wanted.into, err = text(wanted.name); err != nil {
			return nil, err
		}
	}
	if use != "" && use != "sig" {
		return nil, fmt.Errorf("its use is %q, not sig", use)
	}
	if operations, present := member["key_ops"]; present {
		var list []string
		if json.Unmarshal(operations, &list) != nil || !slices.Contains(list, "verify") {
			return nil, fmt.Errorf("its key_ops do not have verify")
		}
	}
	public, err := decodePublic(member)
	if err != nil {
		return nil, err
	}
	algorithm = canonicalAlgorithm(algorithm)
	for _, candidate := range algorithms {
		if fits(candidate, public) && (algorithm == "" || algorithm == candidate) {
			return newVerificationKey(id, candidate, public), nil
		}
	}
	return nil, fmt.Errorf("it is for none of %v, or too small, or too large", algorithms)
}

func decodePublic(member map[string]json.RawMessage) (any, error) {
	bare := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if value, present := member[name]; present {
			bare[name] = value
		}
	}
	text, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	parsed, err := keyfunc.NewJWKJSON(text)
	if err != nil {
		return nil, fmt.Errorf("it can't be decoded: %w", err)
	}
	keys, err := parsed.Storage().KeyReadAll(context.Background())
	if err != nil || len(keys) != 1 {
		return nil, fmt.Errorf("it can't be decoded: %d keys, %w", len(keys), err)
	}
	return keys[0].Key(), nil
}

// CheckJWKS reports what makes a JWK set useless for verifying a client's
// assertions: no key that can be used, or one that should never have been handed
// out because it holds something private or symmetric.
func CheckJWKS(text []byte) error {
	set, skipped, err := readKeySet(text, assertionAlgorithms())
	switch {
	case err != nil:
		return err
	case len(skipped) > 0:
		return fmt.Errorf("the JWK set has a key that can't be used: %s", skipped[0])
	case len(set) == 0:
		return fmt.Errorf("the JWK set has no key")
	}
	return nil
}
