package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxImport bounds an import file, in bytes.
const maxImport = 64 << 20

// ImportError lists everything that is wrong with an import file. Nothing of the
// file was imported.
type ImportError struct {
	Entries []EntryError
}

// EntryError is one fault of one entry.
type EntryError struct {
	// Index counts entries from 0; -1 when the fault is the file's.
	Index int
	// Key is the entry's name in a dictionary; "" in a list.
	Key string
	// Line counts from 1; 0 when the fault is nowhere in particular.
	Line int
	Err  error
}

// Position says where, for people.
func (e EntryError) Position() string {
	switch {
	case e.Index < 0 && e.Line == 0:
		return "file"
	case e.Index < 0:
		return fmt.Sprintf("line %d", e.Line)
	case e.Key != "":
		return fmt.Sprintf("entry %q (line %d)", shorten(e.Key), e.Line)
	}
	return fmt.Sprintf("entry %d (index %d, line %d)", e.Index+1, e.Index, e.Line)
}

func (e EntryError) Error() string { return e.Position() + ": " + e.Err.Error() }
func (e EntryError) Unwrap() error { return e.Err }

func (e *ImportError) Error() string {
	var text strings.Builder
	text.WriteString("nothing was imported; mend these entries and try again:")
	for _, entry := range e.Entries {
		text.WriteString("\n  " + entry.Error())
	}
	return text.String()
}

// Unwrap gives every entry's error to errors.Is and errors.As.
func (e *ImportError) Unwrap() []error {
	errs := make([]error, len(e.Entries))
	for i, entry := range e.Entries {
		errs[i] = entry
	}
	return errs
}

// Import adds the accounts of a JSON file, all or none, and returns their
// usernames in the file's order. The file is a list of objects, or a dictionary
// from username to object:
//
//	{"johndoe": {"username": "johndoe", "full_name": "John Doe", "email": "john@example.com",
//	             "hashed_password": "$2b$12$…", "disabled": false, "role": "admin"}}
//
// An object has username (in a dictionary the key will do), hashed_password or
// password_hash, and perhaps full_name, email, disabled, role (a string) or roles
// (a list), attributes (an object). null is the same as leaving a member out.
// What can't be imported is an [*ImportError] with every bad entry in it; any
// other error is the reader's or the store's.
func (d *Directory) Import(ctx context.Context, file io.Reader) ([]string, error) {
	content, err := io.ReadAll(io.LimitReader(file, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("reading the import file: %w", err)
	}
	batch := &importBatch{check: d.checkHash, holders: map[string]int{}}
	batch.read(content)
	if err := batch.findTaken(ctx, d.store); err != nil {
		return nil, err
	}
	if len(batch.errs) > 0 {
		return nil, batch.refusal()
	}
	accounts := make([]Account, len(batch.entries))
	names := make([]string, len(batch.entries))
	for i, entry := range batch.entries {
		if err := d.stamp(&entry.account); err != nil {
			return nil, err
		}
		accounts[i], names[i] = entry.account, entry.account.Username
	}
	if len(accounts) == 0 {
		return nil, nil
	}
	events, err := d.stamps.events(ctx, createdEvents(accounts))
	if err != nil {
		return nil, err
	}
	err = d.store.InsertAccounts(ctx, accounts, events...)
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		// Somebody else added them since findTaken.
		for _, taken := range conflict.Conflicts {
			batch.fault(batch.entries[taken.Index], errors.New(taken.String()))
		}
		return nil, batch.refusal()
	}
	if err != nil {
		return nil, fmt.Errorf("importing accounts: %w", err)
	}
	d.logger.Info("accounts imported", "count", len(accounts))
	return names, nil
}

// nullable are the members that may be null.
func nullable(name string) bool {
	switch name {
	case "username", "email", "full_name", "hashed_password", "password_hash", "disabled", "role", "roles", "attributes":
		return true
	}
	return false
}

// importBatch collects what a file holds, and what is wrong with it.
type importBatch struct {
	check   func(hash string) error
	entries []importEntry
	errs    []EntryError
	holders map[string]int // canonical name to the place in entries that has it
}

type importEntry struct {
	at      EntryError // the position; no error
	account Account
}

func (b *importBatch) fault(entry importEntry, err error) {
	at := entry.at
	at.Err = err
	b.errs = append(b.errs, at)
}

// faults reports joined errors one by one.
func (b *importBatch) faults(entry importEntry, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			b.faults(entry, err)
		}
	} else if err != nil {
		b.fault(entry, err)
	}
}

// refusal lists the faults in the file's order.
func (b *importBatch) refusal() *ImportError {
	slices.SortStableFunc(b.errs, func(a, b EntryError) int { return a.Index - b.Index })
	return &ImportError{b.errs}
}

func (b *importBatch) fileFault(line int, err error) {
	b.errs = append(b.errs, EntryError{Index: -1, Line: line, Err: err})
}

func (b *importBatch) read(content []byte) {
	if len(content) > maxImport {
		b.fileFault(0, fmt.Errorf("is larger than %d MiB; split it", maxImport>>20))
		return
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	if !utf8.Valid(content) {
		b.fileFault(0, errors.New("is not UTF-8"))
		return
	}
	root, err := parseJSON(content)
	var fault *jsonFileError
	if errors.As(err, &fault) {
		b.fileFault(fault.line, fault.err)
		return
	}
	switch root.kind {
	case '[':
		for i, item := range root.items {
			b.add(EntryError{Index: i, Line: item.line}, item)
		}
	case '{':
		seen := map[string]bool{}
		for i, member := range root.members {
			at := EntryError{Index: i, Key: member.name, Line: member.line}
			if seen[member.name] {
				b.fault(importEntry{at: at}, errors.New("the same key came before"))
			}
			seen[member.name] = true
			b.add(at, member.value)
		}
	default:
		b.fileFault(root.line, errors.New("is neither a list of users nor a dictionary from username to user"))
	}
}

// add checks one entry against the rules and against the entries before it.
func (b *importBatch) add(at EntryError, node *jsonNode) {
	entry := importEntry{at: at}
	before := len(b.errs)
	if node.kind != '{' {
		b.fault(entry, errors.New("is not an object"))
		return
	}
	for _, repeat := range node.repeated() {
		b.fault(entry, fmt.Errorf("has %q twice in one object (line %d)", shorten(repeat.name), repeat.line))
	}
	b.faults(entry, entry.account.fill(at.Key, node))
	if len(b.errs) == before {
		b.faults(entry, errors.Join(entry.account.normalize(), b.check(entry.account.PasswordHash)))
	}
	for _, identity := range entry.account.Identities() {
		if first, taken := b.holders[identity]; taken {
			b.fault(entry, fmt.Errorf("%q is already a name of %s", identity, b.entries[first].at.Position()))
			continue
		}
		b.holders[identity] = len(b.entries)
	}
	b.entries = append(b.entries, entry)
}

// findTaken reports the names that the store has already.
func (b *importBatch) findTaken(ctx context.Context, store Store) error {
	for i, entry := range b.entries {
		for _, identity := range entry.account.Identities() {
			if b.holders[identity] != i {
				continue
			}
			holder, err := store.AccountByIdentity(ctx, identity)
			if err == nil {
				taken := Conflict{Index: i, Identity: identity, Holder: holder.Username}
				b.fault(entry, errors.New(taken.String()))
			} else if !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("looking for accounts that exist: %w", err)
			}
		}
	}
	return nil
}

// fill takes an account's fields from an object. key is the entry's key in a
// dictionary.
func (a *Account) fill(key string, node *jsonNode) error {
	a.Username = key
	given := map[string]bool{}
	var errs []error
	wrong := func(member jsonMember, want string) {
		errs = append(errs, fmt.Errorf("%s is not %s", member.name, want))
	}
	text := func(member jsonMember, field *string) {
		value, isString := member.value.scalar.(string)
		if !isString {
			wrong(member, "a string")
		}
		*field = value
	}
	for _, member := range node.members {
		if member.value.isNull() && nullable(member.name) {
			continue
		}
		given[member.name] = true
		switch member.name {
		case "username":
			var username string
			if text(member, &username); key != "" && username != key {
				errs = append(errs, fmt.Errorf("username %q differs from the key", shorten(username)))
			}
			a.Username = username
		case "email":
			text(member, &a.Email)
		case "full_name":
			text(member, &a.FullName)
		case "hashed_password", "password_hash":
			text(member, &a.PasswordHash)
		case "disabled":
			disabled, isBool := member.value.scalar.(bool)
			if !isBool {
				wrong(member, "true or false")
			}
			a.Disabled = disabled
		case "role":
			var role string
			text(member, &role)
			a.Roles = []string{role}
		case "roles":
			roles, ok := member.value.strings()
			if !ok {
				wrong(member, "a list of strings")
			}
			a.Roles = roles
		case "attributes":
			attributes, isObject := member.value.plain().(map[string]any)
			if !isObject {
				wrong(member, "an object")
			}
			a.Attributes = attributes
		case "password":
			errs = append(errs, errors.New("password: plain passwords are not imported; give hashed_password"))
		default:
			errs = append(errs, fmt.Errorf("unknown member %q; known are username, email, full_name, hashed_password, disabled, role, roles and attributes", shorten(member.name)))
		}
	}
	if given["role"] && given["roles"] {
		errs = append(errs, errors.New("has both role and roles; give one"))
	}
	if given["hashed_password"] && given["password_hash"] {
		errs = append(errs, errors.New("has both hashed_password and password_hash; give one"))
	}
	if !given["hashed_password"] && !given["password_hash"] && !given["password"] {
		errs = append(errs, errors.New("hashed_password is missing"))
	}
	return errors.Join(errs...)
}
