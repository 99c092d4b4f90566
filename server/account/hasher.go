package account

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// HasherOptions set what new hashes cost, and what others' may cost.
type HasherOptions struct {
	// Memory (KiB), Time (passes) and Parallelism are argon2id's parameters for
	// new hashes. Defaults 19456, 2 and 1 (OWASP's recommendation). Values beyond
	// what Verify accepts are lowered to it.
	Memory, Time uint32
	Parallelism  uint8
	// MaxBcryptCost is the highest accepted cost of bcrypt hashes, 4 to 16 (a
	// value outside is moved to the nearer end). Default 12. Each step doubles
	// the time that every failed login takes.
	MaxBcryptCost int
	// Rand is where salts come from. Default crypto/rand.
	Rand io.Reader
}

// Hasher makes and verifies password hashes. It is safe for concurrent use, and
// does not bound how many run at once: [Authenticator] does that.
//
// It makes argon2id in PHC notation. It verifies argon2id and argon2i up to 128
// MiB, and up to 256 MiB times passes; and bcrypt ($2a$, $2b$, $2y$) up to a
// cost. bcrypt looks at the first 72 bytes and at nothing after a NUL, so a
// password beyond that never matches a bcrypt hash (Go's own comparison would
// accept any tail).
type Hasher struct {
	params        argon2Params
	maxBcryptCost int
	rand          io.Reader
}

// ErrHash is wrapped by every complaint about a hash. The message never contains
// the hash.
var ErrHash = errors.New("unusable password hash")

func hashError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrHash, fmt.Errorf(format, args...))
}

// NewHasher makes a Hasher.
func NewHasher(opts HasherOptions) *Hasher {
	h := &Hasher{
		params: argon2Params{
			variant: argon2id, memory: opts.Memory, passes: opts.Time, parallelism: opts.Parallelism,
		},
		maxBcryptCost: opts.MaxBcryptCost,
		rand:          opts.Rand,
	}
	if h.params.memory == 0 {
		h.params.memory = 19456
	}
	if h.params.passes == 0 {
		h.params.passes = 2
	}
	if h.params.parallelism == 0 {
		h.params.parallelism = 1
	}
	h.params.parallelism = min(h.params.parallelism, maxArgon2Parallelism)
	h.params.memory = min(max(h.params.memory, 8*uint32(h.params.parallelism)), maxArgon2Memory)
	h.params.passes = min(h.params.passes, maxArgon2Work/h.params.memory, maxArgon2Passes)
	if h.maxBcryptCost == 0 {
		h.maxBcryptCost = defaultMaxBcryptCost
	}
	h.maxBcryptCost = min(max(h.maxBcryptCost, 4), 16)
	if h.rand == nil {
		h.rand = rand.Reader
	}
	return h
}

// Hash makes a hash of a password that [CheckPassword] accepts.
func (h *Hasher) Hash(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, argon2SaltLength)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return "", fmt.Errorf("reading randomness for a salt: %w", err)
	}
	params := h.params
	params.salt = salt
	params.sum = params.compute(password, argon2SumLength)
	return params.String(), nil
}

// Check reports whether Verify would accept the hash's format and cost, with an
// error that wraps [ErrHash].
func (h *Hasher) Check(hash string) error {
	_, err := h.parse(hash)
	return err
}

// Verify reports whether the hash is the password's. An error wraps [ErrHash] and
// means that the hash is of no known format, or costs too much.
func (h *Hasher) Verify(hash, password string) (bool, error) {
	parsed, err := h.parse(hash)
	if err != nil {
		return false, err
	}
	if CheckPassword(password) != nil {
		return false, nil
	}
	return parsed.matches(password), nil
}

// NeedsRehash reports that a hash should be replaced, now that its password is
// known: it is not argon2id, or not with the parameters of new hashes.
func (h *Hasher) NeedsRehash(hash string) bool {
	params, err := parseArgon2(hash)
	return err != nil || params.variant != h.params.variant || params.memory != h.params.memory ||
		params.passes != h.params.passes || params.parallelism != h.params.parallelism ||
		len(params.salt) < argon2SaltLength || len(params.sum) != argon2SumLength
}

type passwordHash interface {
	matches(password string) bool
}

func (h *Hasher) parse(hash string) (passwordHash, error) {
	switch {
	case hash == "":
		return nil, hashError("it is empty")
	case strings.HasPrefix(hash, "$argon2"):
		return parseArgon2(hash)
	case strings.HasPrefix(hash, "$2"):
		return parseBcrypt(hash, h.maxBcryptCost)
	}
	return nil, hashError("only bcrypt ($2a$, $2b$, $2y$), $argon2id$ and $argon2i$ are known")
}

// slowest estimates how long the most expensive accepted hash takes on this
// machine, by timing cheap ones with stopwatch.
func (h *Hasher) slowest(stopwatch func(func()) time.Duration) time.Duration {
	best := func(work func()) time.Duration {
		// The least of three: other work on the machine only ever adds.
		return min(stopwatch(work), stopwatch(work), stopwatch(work))
	}
	const cost = 8
	bcryptTime := best(func() { timeBcrypt(cost) })
	if h.maxBcryptCost >= cost {
		bcryptTime <<= h.maxBcryptCost - cost
	} else {
		bcryptTime >>= cost - h.maxBcryptCost
	}
	probe := argon2Params{variant: argon2id, memory: maxArgon2Work / 32, passes: 1, parallelism: 1, salt: make([]byte, argon2SaltLength)}
	argon2Time := best(func() { probe.compute("probe", argon2SumLength) }) * 32
	return max(bcryptTime, argon2Time)
}
