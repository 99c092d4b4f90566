package account

import (
	"log/slog"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// Account is somebody who may log in, if the policy lets them.
type Account struct {
	// ID is a ULID. It never changes and is never used again, so it is what a
	// token names as sub.
	ID string `json:"id"`
	// Username is what the account is called, as it was written; it is found in
	// any case and Unicode form.
	Username string `json:"username"`
	// Email is another name to log in with; it may be empty.
	Email string `json:"email,omitempty"`
	// FullName is for people to read; it may be empty.
	FullName string `json:"full_name,omitempty"`
	// Roles are sorted, without repetition. What a role may do is the policy's.
	Roles []string `json:"roles"`
	// Disabled is shown to the policy, which refuses a disabled account.
	Disabled bool `json:"disabled"`
	// Attributes are free JSON for the policy, numbers as json.Number.
	Attributes map[string]any `json:"attributes,omitempty"`
	// PasswordHash is argon2id, argon2i or bcrypt; see [Hasher]. It is never
	// shown.
	PasswordHash string `json:"-"`
	// CreatedAt and UpdatedAt are in UTC, to the microsecond. A rehash of an
	// unchanged password does not count as an update.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Subject is the account as the policy sees it.
func (a *Account) Subject() *authz.Subject {
	return &authz.Subject{
		Kind:       authz.KindAccount,
		ID:         a.ID,
		Username:   a.Username,
		Roles:      slices.Clone(a.Roles),
		Disabled:   a.Disabled,
		Attributes: a.Attributes,
	}
}

// Identities are the canonical names by which the account is found, the
// username's first. No other account may have one of them.
func (a *Account) Identities() []string {
	var identities []string
	for _, name := range []string{a.Username, a.Email} {
		canonical, err := Canonical(name)
		if err == nil && !slices.Contains(identities, canonical) {
			identities = append(identities, canonical)
		}
	}
	return identities
}

// String leaves out everything that is nobody's business, the hash first of all.
func (a Account) String() string { return a.Username + " (" + a.ID + ")" }

// LogValue is String for slog.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID), slog.String("username", a.Username))
}
