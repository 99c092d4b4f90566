package account

import (
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	defaultMaxBcryptCost = 12
	// maxBcryptPassword is where bcrypt stops looking.
	maxBcryptPassword = 72
)

var bcryptFormat = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

type bcryptHash string

func parseBcrypt(hash string, maxCost int) (bcryptHash, error) {
	parts := bcryptFormat.FindStringSubmatch(hash)
	if parts == nil {
		return "", hashError("bcrypt hashes look like $2b$12$ and 53 characters of ./A-Za-z0-9 ($2a$ and $2y$ too)")
	}
	cost, err := strconv.Atoi(parts[1])
	if err != nil || cost < bcrypt.MinCost || cost > maxCost {
		return "", hashError("bcrypt of cost %s; %d to %d are accepted (the option max-bcrypt-cost raises it)", parts[1], bcrypt.MinCost, maxCost)
	}
	return bcryptHash(hash), nil
}

func (b bcryptHash) matches(password string) bool {
	// bcrypt repeats the password and a NUL to fill its key: after 72 bytes it
	// sees nothing, and "a\x00a" is "a" to it.
	if len(password) > maxBcryptPassword || strings.IndexByte(password, 0) >= 0 {
		return false
	}
	return bcrypt.CompareHashAndPassword([]byte(b), []byte(password)) == nil
}

// timeBcrypt does the work of one comparison.
func timeBcrypt(cost int) {
	// The result is of no interest, and a constant valid cost can't fail.
	_, _ = bcrypt.GenerateFromPassword([]byte("probe"), cost)
}
