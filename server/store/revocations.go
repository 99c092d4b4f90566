package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// Revoke implements [account.RevocationStore].
func (s *Store) Revoke(ctx context.Context, revocation account.Revocation, events []account.Event) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO revocations (kind, id, expires_at) VALUES ($1, $2, $3) ON CONFLICT (kind, id) DO NOTHING`,
			revocation.Kind, revocation.ID, micros(revocation.ExpiresAt))
		if err != nil {
			return fmt.Errorf("inserting a revocation: %w", s.explain(err))
		}
		return s.insertEvents(ctx, tx, events)
	})
}

// Revocations implements [account.RevocationStore].
func (s *Store) Revocations(ctx context.Context, after int64, expireAfter time.Time) ([]account.Revocation, error) {
	return queryAll(ctx, s, "revocations", s.scanRevocation,
		`SELECT seq, kind, id, expires_at FROM revocations WHERE seq > $1 AND expires_at > $2 ORDER BY seq`, after, micros(expireAfter))
}

func (s *Store) scanRevocation(row row) (account.Revocation, error) {
	var r account.Revocation
	var expires int64
	if err := row.Scan(&r.Seq, &r.Kind, &r.ID, &expires); err != nil {
		return account.Revocation{}, fmt.Errorf("reading revocations: %w", s.explain(err))
	}
	r.ExpiresAt = moment(expires)
	return r, nil
}

// Revoked implements [account.RevocationStore].
func (s *Store) Revoked(ctx context.Context, tokenID, sessionID string) (bool, error) {
	var one int
	err := s.readers.QueryRowContext(ctx, `SELECT 1 FROM revocations WHERE kind = $1 AND id = $2 OR kind = $3 AND id = $4 LIMIT 1`,
		account.RevokedToken, tokenID, account.RevokedSession, sessionID).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a revocation: %w", s.explain(err))
	}
	return true, nil
}

// PurgeRevocations implements [account.RevocationStore].
func (s *Store) PurgeRevocations(ctx context.Context, expiredBefore time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM revocations WHERE expires_at < $1`, micros(expiredBefore)); err != nil {
			return fmt.Errorf("purging revocations: %w", s.explain(err))
		}
		return nil
	})
}
