package account

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNotFound means that there is no account of that id or name, or no longer.
var ErrNotFound = errors.New("no such account")

// ErrBadCredentials is the one answer to every failed login: unknown, wrong,
// delayed. By the time a caller sees it, the failure is recorded and the floor
// has been waited for.
var ErrBadCredentials = errors.New("wrong login or password")

// BusyError means that too many logins wait already; nothing was checked.
type BusyError struct {
	// RetryAfter is when to come back.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("too many logins at once; try again in %s", e.RetryAfter)
}

// ConflictError lists names that other accounts have already. Nothing was
// changed.
type ConflictError struct {
	Conflicts []Conflict
}

// Conflict is one name that is taken.
type Conflict struct {
	// Index is the place of the refused account in what was to be inserted.
	Index int
	// Identity is the canonical name that is taken.
	Identity string
	// Holder is the username of the account that has it.
	Holder string
}

func (c Conflict) String() string {
	return fmt.Sprintf("%q is already a name of the account %s", c.Identity, c.Holder)
}

func (e *ConflictError) Error() string {
	texts := make([]string, len(e.Conflicts))
	for i, conflict := range e.Conflicts {
		texts[i] = conflict.String()
	}
	return strings.Join(texts, "; ")
}
