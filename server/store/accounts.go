package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

// selectSubject are the columns of an account that a policy sees.
const selectSubject = `SELECT id, username, roles, disabled, attributes FROM accounts`

const selectAccount = `SELECT id, username, email, full_name, roles, disabled, attributes, password_hash, created_at, updated_at FROM accounts`

// InsertAccounts implements [account.Store].
func (s *Store) InsertAccounts(ctx context.Context, accounts []account.Account, events ...account.Event) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		var conflicts []account.Conflict
		for i := range accounts {
			// Identities are inserted as they are found free, so that two of these
			// accounts with one name conflict too. The rollback takes them back.
			taken, err := s.insertAccount(ctx, tx, &accounts[i])
			if err != nil {
				return err
			}
			for _, conflict := range taken {
				conflict.Index = i
				conflicts = append(conflicts, conflict)
			}
		}
		if len(conflicts) > 0 {
			return &account.ConflictError{Conflicts: conflicts}
		}
		return s.insertEvents(ctx, tx, events)
	})
}

func (s *Store) insertAccount(ctx context.Context, tx *sql.Tx, a *account.Account) ([]account.Conflict, error) {
	row, err := encodeAccount(a)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO accounts (id, username, email, full_name, roles, disabled, attributes, password_hash, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, row...)
	if err != nil {
		return nil, fmt.Errorf("inserting an account: %w", s.explain(err))
	}
	return s.insertIdentities(ctx, tx, a)
}

// insertIdentities inserts the names that are free and returns those that are
// taken.
func (s *Store) insertIdentities(ctx context.Context, tx *sql.Tx, a *account.Account) ([]account.Conflict, error) {
	identities := a.Identities()
	if len(identities) == 0 {
		return nil, errors.New("an account needs a username that has a canonical form")
	}
	var conflicts []account.Conflict
	for _, identity := range identities {
		var holder string
		err := tx.QueryRowContext(ctx, `SELECT username FROM accounts JOIN identities ON account_id = id WHERE identity = $1`, identity).Scan(&holder)
		switch {
		case err == nil:
			conflicts = append(conflicts, account.Conflict{Identity: identity, Holder: holder})
			continue
		case !errors.Is(err, sql.ErrNoRows):
			return nil, fmt.Errorf("looking for a name: %w", s.explain(err))
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO identities (identity, account_id) VALUES ($1, $2)`, identity, a.ID); err != nil {
			return nil, fmt.Errorf("inserting a name: %w", s.explain(err))
		}
	}
	return conflicts, nil
}

// UpdateAccount implements [account.Store].
func (s *Store) UpdateAccount(ctx context.Context, id string, change func(*account.Account, *account.Effects) error) (account.Account, error) {
	var updated account.Account
	err := s.write(ctx, func(tx *sql.Tx) error {
		stored, err := s.scanAccount(tx.QueryRowContext(ctx, selectAccount+` WHERE id = $1`, id))
		if err != nil {
			return err
		}
		before := stored.Identities()
		var effects account.Effects
		if err := change(&stored, &effects); err != nil {
			return err
		}
		if stored.ID != id {
			return errors.New("an account's id can't be changed")
		}
		row, err := encodeAccount(&stored)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE accounts SET username = $2, email = $3, full_name = $4, roles = $5, disabled = $6,
			attributes = $7, password_hash = $8, created_at = $9, updated_at = $10 WHERE id = $1`, row...)
		if err != nil {
			return fmt.Errorf("updating an account: %w", s.explain(err))
		}
		updated = stored
		if err := s.have(ctx, tx, effects); err != nil {
			return err
		}
		if slices.Equal(before, stored.Identities()) {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM identities WHERE account_id = $1`, id); err != nil {
			return fmt.Errorf("replacing an account's names: %w", s.explain(err))
		}
		conflicts, err := s.insertIdentities(ctx, tx, &stored)
		if err != nil {
			return err
		}
		if len(conflicts) > 0 {
			return &account.ConflictError{Conflicts: conflicts}
		}
		return nil
	})
	if err != nil {
		return account.Account{}, err
	}
	return updated, nil
}

// RemoveAccount implements [account.Store].
func (s *Store) RemoveAccount(ctx context.Context, id string, effects account.Effects, checks ...func(*account.Account) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, check := range checks {
			stored, err := s.scanAccount(tx.QueryRowContext(ctx, selectAccount+` WHERE id = $1`, id))
			if err == nil {
				err = check(&stored)
			}
			if err != nil {
				return err
			}
		}
		// The identities go with it.
		result, err := tx.ExecContext(ctx, `DELETE FROM accounts WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("deleting an account: %w", s.explain(err))
		}
		deleted, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("deleting an account: %w", s.explain(err))
		}
		if deleted == 0 {
			return account.ErrNotFound
		}
		return s.have(ctx, tx, effects)
	})
}

// Account implements [account.Store].
func (s *Store) Account(ctx context.Context, id string) (account.Account, error) {
	return s.scanAccount(s.prepared.accountByID.QueryRowContext(ctx, id))
}

// Subject implements [account.Store]. It is not cancelled: a look-up by key waits
// for nobody here, and to be ready for a cancellation costs the driver and
// database/sql a goroutine each, half as much as the look-up.
func (s *Store) Subject(ctx context.Context, id string) (*authz.Subject, error) {
	subject := &authz.Subject{Kind: authz.KindAccount}
	var roles, attributes string
	err := s.prepared.subjectByID.QueryRowContext(context.WithoutCancel(ctx), id).
		Scan(&subject.ID, &subject.Username, &roles, &subject.Disabled, &attributes)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, account.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading a subject: %w", s.explain(err))
	}
	if subject.Roles, subject.Attributes, err = decodeLists(id, roles, attributes); err != nil {
		return nil, err
	}
	return subject, nil
}

// AccountByIdentity implements [account.Store].
func (s *Store) AccountByIdentity(ctx context.Context, identity string) (account.Account, error) {
	return s.scanAccount(s.prepared.accountByIdentity.QueryRowContext(ctx, identity))
}

// Accounts implements [account.Store].
func (s *Store) Accounts(ctx context.Context) ([]account.Account, error) {
	return queryAll(ctx, s, "accounts", s.scanAccount, selectAccount+` ORDER BY username, id`)
}

// CountAccounts implements [account.Store].
func (s *Store) CountAccounts(ctx context.Context) (int, error) {
	var count int
	if err := s.readers.QueryRowContext(ctx, `SELECT count(*) FROM accounts`).Scan(&count); err != nil {
		return 0, fmt.Errorf("counting accounts: %w", s.explain(err))
	}
	return count, nil
}

// AccountChanges counts the changes of accounts that a policy could see, by
// anyone, since the store was made. A new password is none.
func (s *Store) AccountChanges(ctx context.Context) (int64, error) {
	var count int64
	if err := s.readers.QueryRowContext(ctx, `SELECT count FROM account_changes`).Scan(&count); err != nil {
		return 0, fmt.Errorf("reading the count of account changes: %w", s.explain(err))
	}
	return count, nil
}

// encodeAccount gives the columns in selectAccount's order.
func encodeAccount(a *account.Account) ([]any, error) {
	roles, err := json.Marshal(append([]string{}, a.Roles...))
	if err != nil {
		return nil, fmt.Errorf("encoding an account's roles: %w", err)
	}
	attributes := []byte(noAttributes)
	if len(a.Attributes) > 0 {
		if attributes, err = json.Marshal(a.Attributes); err != nil {
			return nil, fmt.Errorf("encoding an account's attributes: %w", err)
		}
	}
	return []any{a.ID, a.Username, a.Email, a.FullName, string(roles), a.Disabled, string(attributes), a.PasswordHash,
		a.CreatedAt.UnixMicro(), a.UpdatedAt.UnixMicro()}, nil
}

// scanAccount reads a row of selectAccount; account.ErrNotFound when there is
// none.
func (s *Store) scanAccount(row row) (account.Account, error) {
	var a account.Account
	var roles, attributes string
	var created, updated int64
	err := row.Scan(&a.ID, &a.Username, &a.Email, &a.FullName, &roles, &a.Disabled, &attributes, &a.PasswordHash, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return account.Account{}, account.ErrNotFound
	}
	if err != nil {
		return account.Account{}, fmt.Errorf("reading an account: %w", s.explain(err))
	}
	if a.Roles, a.Attributes, err = decodeLists(a.ID, roles, attributes); err != nil {
		return account.Account{}, err
	}
	a.CreatedAt, a.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return a, nil
}

// decodeLists decodes the columns of an account that are JSON.
func decodeLists(id, rolesText, attributesText string) (roles []string, attributes map[string]any, err error) {
	if err := json.Unmarshal([]byte(rolesText), &roles); err != nil {
		return nil, nil, fmt.Errorf("decoding the roles of account %s: %w", id, err)
	}
	if attributes, err = decodeAttributes(attributesText); err != nil {
		return nil, nil, fmt.Errorf("decoding the attributes of account %s: %w", id, err)
	}
	return roles, attributes, nil
}

// noAttributes is how no attributes are stored, which is how most accounts are.
const noAttributes = "{}"

func decodeAttributes(text string) (map[string]any, error) {
	attributes := map[string]any{}
	if text == noAttributes {
		return attributes, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return attributes, decoder.Decode(&attributes)
}
