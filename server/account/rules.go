package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/stagedoor/stagedoor/server/authz"
)

const (
	maxFullName   = 256
	maxRole       = 128
	maxRoles      = 1000
	maxRoleBytes  = 3 << 10 // together: a token of 8 KiB has to hold them
	maxAttributes = 64 << 10
	maxPassword   = 1024
	weakPassword  = 8
)

// InvalidError says which field of an account breaks a rule, and which rule.
// An account with several faults gives several, joined.
type InvalidError struct {
	// Field is the name that import files use: username, email, full_name, roles,
	// attributes, password, hashed_password.
	Field string
	Err   error
}

func (e *InvalidError) Error() string { return e.Field + " " + e.Err.Error() }
func (e *InvalidError) Unwrap() error { return e.Err }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Err: fmt.Errorf(format, args...)}
}

// normalize brings the fields that people write into their stored form, and
// reports every one that can't be.
func (a *Account) normalize() error {
	return errors.Join(a.normalizeUsername(), a.normalizeEmail(), a.normalizeFullName(), a.normalizeRoles(), a.normalizeAttributes())
}

func (a *Account) normalizeUsername() error {
	if a.Username == "" {
		return invalid("username", "is missing")
	}
	if _, isID := parseID(a.Username); isID {
		return invalid("username", "%q has the shape of an account id; choose another", a.Username)
	}
	username, err := precis.UsernameCasePreserved.String(a.Username)
	if err == nil {
		_, err = Canonical(username)
	}
	if err != nil {
		return invalid("username", "%q %w", shorten(a.Username), errNotAName)
	}
	a.Username = username
	return nil
}

func (a *Account) normalizeEmail() error {
	if a.Email == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(a.Email)
	if err == nil && parsed.Address != a.Email {
		err = errors.New("more than an address")
	}
	var email string
	if err == nil {
		email, err = precis.UsernameCasePreserved.String(a.Email)
	}
	if err == nil {
		_, err = Canonical(email)
	}
	if err != nil {
		return invalid("email", "%q is not an address such as jo@example.com", shorten(a.Email))
	}
	a.Email = email
	return nil
}

func (a *Account) normalizeFullName() error {
	a.FullName = norm.NFC.String(a.FullName)
	switch {
	case len(a.FullName) > maxFullName:
		return invalid("full_name", "is longer than %d bytes", maxFullName)
	case !utf8.ValidString(a.FullName), strings.ContainsFunc(a.FullName, unicode.IsControl):
		return invalid("full_name", "%q has characters that can't be printed", a.FullName)
	}
	return nil
}

func (a *Account) normalizeRoles() error {
	if len(a.Roles) > maxRoles {
		return invalid("roles", "are more than %d", maxRoles)
	}
	if total := len(strings.Join(a.Roles, "")); total > maxRoleBytes {
		return invalid("roles", "have names of %d bytes together; at most %d are good, so that a token can hold them", total, maxRoleBytes)
	}
	roles := make([]string, 0, len(a.Roles))
	var errs []error
	for _, role := range a.Roles {
		role = norm.NFC.String(role)
		if err := CheckRole(role); err != nil {
			errs = append(errs, err)
			continue
		}
		roles = append(roles, role)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	slices.Sort(roles)
	a.Roles = slices.Compact(roles)
	return nil
}

// CheckRole reports as an [*InvalidError] that a role's name breaks the rules: 1
// to 128 bytes that can be printed, no space at either end, no comma, quote or
// backslash (role names are written in lists and in headers). Whether a role
// means anything is the policy's business.
func CheckRole(role string) error {
	switch {
	case role == "" || len(role) > maxRole:
		return invalid("roles", "has a name of %d bytes; 1 to %d are good", len(role), maxRole)
	case !utf8.ValidString(role), strings.ContainsFunc(role, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`,"\`, r) }),
		strings.TrimSpace(role) != role:
		return invalid("roles", "has %q: a name can be printed, has no space at either end, and no comma, quote or backslash", role)
	}
	return nil
}

// normalizeAttributes takes the attributes through JSON, so that what is stored,
// what the policy sees now and what it sees after a restart are the same.
func (a *Account) normalizeAttributes() error {
	if len(a.Attributes) == 0 {
		a.Attributes = map[string]any{}
		return nil
	}
	encoded, err := json.Marshal(a.Attributes)
	if err != nil {
		return invalid("attributes", "are not JSON: %w", err)
	}
	if len(encoded) > maxAttributes {
		return invalid("attributes", "are %d bytes of JSON; at most %d are good", len(encoded), maxAttributes)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var decoded map[string]any
	if err := decoder.Decode(&decoded); err != nil {
		return invalid("attributes", "are not JSON: %w", err)
	}
	// The policy engine refuses numbers that no float64 holds, and with them every
	// decision about the account.
	var asFloats map[string]any
	if err := json.Unmarshal(encoded, &asFloats); err != nil {
		return invalid("attributes", "hold a number that is too large: %w", err)
	}
	if n := longNumber(decoded); n != "" {
		return invalid("attributes", "hold the number %s, which is too long; %d bytes are good, and an exponent of three digits", shorten(n), authz.MaxNumber)
	}
	a.Attributes = decoded
	return nil
}

// longNumber finds a number that is too long, or has too long an exponent.
func longNumber(value any) string {
	switch v := value.(type) {
	case json.Number:
		text := v.String()
		if at := strings.IndexAny(text, "eE"); len(text) > authz.MaxNumber || at >= 0 && len(strings.TrimLeft(text[at+1:], "+-0")) > 3 {
			return text
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if n := longNumber(v[name]); n != "" {
				return n
			}
		}
	case []any:
		for _, member := range v {
			if n := longNumber(member); n != "" {
				return n
			}
		}
	}
	return ""
}

// CheckPassword reports as an [*InvalidError] that a password can't be used: it
// is empty, or longer than 1024 bytes. Weak ones pass; see [WeakPassword].
func CheckPassword(password string) error {
	switch {
	case password == "":
		return invalid("password", "is empty")
	case len(password) > maxPassword:
		return invalid("password", "is longer than %d bytes", maxPassword)
	}
	return nil
}

// WeakPassword says why a password is weak, for a warning; "" when it is not.
// NIST SP 800-63B asks for eight characters at least.
func WeakPassword(password string) string {
	if n := utf8.RuneCountInString(password); n < weakPassword {
		return fmt.Sprintf("the password has %d characters; use %d or more", n, weakPassword)
	}
	return ""
}

// shorten keeps a message readable whatever was typed.
func shorten(text string) string {
	if len(text) <= 64 {
		return text
	}
	return strings.ToValidUTF8(text[:64], "") + "…"
}
