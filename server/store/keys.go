package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/server/token"
)

const selectKey = `SELECT id, algorithm, secret, created_at FROM signing_keys`

// Keys implements [token.KeyStore]; the oldest key comes first.
func (s *Store) Keys(ctx context.Context) (_ []token.Key, err error) {
	rows, err := s.readers.QueryContext(ctx, selectKey+` ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", s.explain(err))
	}
	defer func() { err = errors.Join(err, s.explain(rows.Close())) }()
	var keys []token.Key
	for rows.Next() {
		key, err := scanKey(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the signing keys: %w", s.explain(err))
		}
		keys = append(keys, key)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", s.explain(err))
	}
	return keys, nil
}

// EnsureKey implements [token.KeyStore]; of several keys of the algorithm it
// returns the youngest.
func (s *Store) EnsureKey(ctx context.Context, key token.Key) (token.Key, error) {
	ensured := key
	err := s.write(ctx, func(tx *sql.Tx) error {
		existing, err := scanKey(tx.QueryRowContext(ctx, selectKey+` WHERE algorithm = $1 ORDER BY created_at DESC, id DESC LIMIT 1`, key.Algorithm))
		if err == nil {
			ensured = existing
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return s.explain(err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO signing_keys (id, algorithm, secret, created_at) VALUES ($1, $2, $3, $4)`,
			key.ID, key.Algorithm, key.Secret, key.CreatedAt.UnixMicro())
		ensured.CreatedAt = time.UnixMicro(key.CreatedAt.UnixMicro()).UTC()
		return s.explain(err)
	})
	if err != nil {
		return token.Key{}, fmt.Errorf("keeping a signing key: %w", err)
	}
	return ensured, nil
}

func scanKey(row interface{ Scan(...any) error }) (token.Key, error) {
	var key token.Key
	var created int64
	if err := row.Scan(&key.ID, &key.Algorithm, &key.Secret, &created); err != nil {
		return token.Key{}, err
	}
	key.CreatedAt = time.UnixMicro(created).UTC()
	return key, nil
}
