package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Setting returns a setting's value; "" when it was never set.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var value string
	err := s.readers.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("reading the setting %s: %w", name, s.explain(err))
	}
	return value, nil
}

// SetSetting replaces a setting's value.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = $2`, name, value)
		return s.explain(err)
	})
	if err != nil {
		return fmt.Errorf("writing the setting %s: %w", name, err)
	}
	return nil
}

// EnsureSetting sets a setting that was never set, and returns the value that it
// has afterwards. Of several callers at once, all get the same.
func (s *Store) EnsureSetting(ctx context.Context, name, value string) (string, error) {
	kept := value
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value)
		if err != nil {
			return s.explain(err)
		}
		return s.explain(tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&kept))
	})
	if err != nil {
		return "", fmt.Errorf("keeping the setting %s: %w", name, err)
	}
	return kept, nil
}
