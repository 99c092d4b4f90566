package account

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"sync"

	"golang.org/x/crypto/argon2"
)

const (
	argon2id = "argon2id"
	argon2i  = "argon2i"

	argon2SaltLength = 16
	argon2SumLength  = 32

	// What an imported hash may cost: on one core about as much as bcrypt 12.
	maxArgon2Memory      = 128 << 10 // KiB
	maxArgon2Work        = 256 << 10 // KiB times passes
	maxArgon2Passes      = 64
	maxArgon2Parallelism = 16
)

// argon2Params is a hash in PHC notation, taken apart.
type argon2Params struct {
	variant        string
	memory, passes uint32
	parallelism    uint8
	salt, sum      []byte
}

// phc is the one spelling that is accepted: version 1.3, parameters in order,
// numbers without leading zeros, no key id and no associated data.
//
// Compiled when it is first needed: it takes more than a millisecond, and most
// runs of the program see no hash.
var phc = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\$(argon2id|argon2i)\$v=19\$m=([1-9][0-9]{0,8}),t=([1-9][0-9]{0,8}),p=([1-9][0-9]{0,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$`)
})

var phcBase64 = base64.RawStdEncoding.Strict()

func parseArgon2(hash string) (*argon2Params, error) {
	parts := phc().FindStringSubmatch(hash)
	if parts == nil {
		return nil, hashError("argon2 hashes look like $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH, in base64 without padding, with a salt of 8 to 64 and a hash of 16 to 64 bytes")
	}
	var numbers [3]uint64
	for i, text := range parts[2:5] {
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, hashError("argon2 parameter %s is no number", text)
		}
		numbers[i] = number
	}
	memory, passes, parallelism := numbers[0], numbers[1], numbers[2]
	switch {
	case parallelism > maxArgon2Parallelism:
		return nil, hashError("argon2 with p=%d; at most %d is accepted", parallelism, maxArgon2Parallelism)
	case memory < 8*parallelism:
		return nil, hashError("argon2 needs m of at least 8 times p")
	case memory > maxArgon2Memory, passes > maxArgon2Passes, memory*passes > maxArgon2Work:
		return nil, hashError("argon2 with m=%d,t=%d costs too much; m up to %d, t up to %d, and m times t up to %d are accepted",
			memory, passes, maxArgon2Memory, maxArgon2Passes, maxArgon2Work)
	}
	params := &argon2Params{variant: parts[1], memory: uint32(memory), passes: uint32(passes), parallelism: uint8(parallelism)}
	var err error
	if params.salt, err = phcBase64.DecodeString(parts[5]); err != nil {
		return nil, hashError("the argon2 salt is not base64 without padding")
	}
	if params.sum, err = phcBase64.DecodeString(parts[6]); err != nil {
		return nil, hashError("the argon2 hash is not base64 without padding")
	}
	return params, nil
}

// compute runs argon2 over a password.
func (p *argon2Params) compute(password string, length int) []byte {
	if p.variant == argon2i {
		return argon2.Key([]byte(password), p.salt, p.passes, p.memory, p.parallelism, uint32(length))
	}
	return argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.parallelism, uint32(length))
}

func (p *argon2Params) matches(password string) bool {
	return subtle.ConstantTimeCompare(p.compute(password, len(p.sum)), p.sum) == 1
}

// String is the hash in PHC notation.
func (p *argon2Params) String() string {
	return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", p.variant, p.memory, p.passes, p.parallelism,
		phcBase64.EncodeToString(p.salt), phcBase64.EncodeToString(p.sum))
}
