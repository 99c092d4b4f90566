package account

import (
	"errors"
	"strings"

	"github.com/oklog/ulid/v2"
	"golang.org/x/text/secure/precis"
)

// maxName bounds usernames and e-mail addresses, in bytes. It is the longest
// address that a mail server takes (RFC 5321, erratum 1690).
const maxName = 254

var errNotAName = errors.New("is not a name: letters, digits and punctuation without spaces, at most 254 bytes")

// Canonical is the one spelling of a username or e-mail address by which it is
// stored and compared: case, width and Unicode form do not count (RFC 8265
// section 3.3, UsernameCaseMapped). An error means that no account can have that
// name.
func Canonical(name string) (string, error) {
	if name == "" || len(name) > maxName {
		return "", errNotAName
	}
	// The profile's steps can feed each other: apply it until nothing changes.
	for range 4 {
		next, err := precis.UsernameCaseMapped.String(name)
		if err != nil || next == "" || len(next) > maxName {
			return "", errNotAName
		}
		if next == name {
			return name, nil
		}
		name = next
	}
	return "", errNotAName
}

// parseID reports whether ref has the shape of an id, and the id's one spelling.
// Usernames never have that shape.
func parseID(ref string) (string, bool) {
	if _, err := ulid.ParseStrict(ref); err != nil {
		return "", false
	}
	return strings.ToUpper(ref), true
}
