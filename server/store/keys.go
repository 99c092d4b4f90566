package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

const selectKeys = `SELECT id, algorithm, secret, sealed, created_at, activate_at, retire_at, expires_at, max_lifetime
	FROM signing_keys ORDER BY created_at, id`

// Keys implements [token.KeyStore]; the oldest key comes first.
func (s *Store) Keys(ctx context.Context) ([]token.Key, error) {
	keys, err := readKeys(ctx, s.readers)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", s.explain(err))
	}
	return keys, nil
}

// ChangeKeys implements [token.KeyStore].
func (s *Store) ChangeKeys(ctx context.Context, change func([]token.Key) (token.KeyChange, error)) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		keys, err := readKeys(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading the signing keys: %w", s.explain(err))
		}
		changed, err := change(keys)
		if err != nil {
			return err
		}
		for _, key := range changed.Put {
			if err := putKey(ctx, tx, key); err != nil {
				return fmt.Errorf("keeping a signing key: %w", s.explain(err))
			}
		}
		for _, id := range changed.Remove {
			if _, err := tx.ExecContext(ctx, `DELETE FROM signing_keys WHERE id = $1`, id); err != nil {
				return fmt.Errorf("removing a signing key: %w", s.explain(err))
			}
		}
		return s.insertEvents(ctx, tx, keyEvents(ctx, changed.Events))
	})
}

// keyEvents puts what happened to keys into the audit log's words, with the actor of
// the context.
func keyEvents(ctx context.Context, happened []token.KeyEvent) []account.Event {
	actor := account.ActorFrom(ctx)
	events := make([]account.Event, len(happened))
	for i, e := range happened {
		events[i] = account.Event{
			ID: e.ID, At: e.At, Action: e.Action, Outcome: account.Success,
			ActorKind: actor.Kind, ActorID: actor.ID, ClientID: actor.ClientID,
			TargetKind: "key", TargetID: e.KeyID, ClientIP: actor.ClientIP, RequestID: actor.RequestID,
			Details: e.Details,
		}
	}
	return events
}

func putKey(ctx context.Context, tx *sql.Tx, key token.Key) error {
	secret := key.Secret
	if secret == nil {
		secret = []byte{}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO signing_keys
		(id, algorithm, secret, sealed, created_at, activate_at, retire_at, expires_at, max_lifetime)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET algorithm = $2, secret = $3, sealed = $4, created_at = $5,
			activate_at = $6, retire_at = $7, expires_at = $8, max_lifetime = $9`,
		key.ID, key.Algorithm, secret, key.Sealed, micros(key.CreatedAt), micros(key.ActivateAt),
		micros(key.RetireAt), micros(key.ExpiresAt), key.MaxLifetime.Microseconds())
	return err
}

func readKeys(ctx context.Context, from interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (_ []token.Key, err error) {
	rows, err := from.QueryContext(ctx, selectKeys)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var keys []token.Key
	for rows.Next() {
		var key token.Key
		var created, activate, retire, expires, lifetime int64
		if err := rows.Scan(&key.ID, &key.Algorithm, &key.Secret, &key.Sealed, &created, &activate, &retire, &expires, &lifetime); err != nil {
			return nil, err
		}
		if len(key.Secret) == 0 {
			key.Secret = nil
		}
		key.CreatedAt = moment(created)
		key.ActivateAt, key.RetireAt, key.ExpiresAt = moment(activate), moment(retire), moment(expires)
		key.MaxLifetime = time.Duration(lifetime) * time.Microsecond
		keys = append(keys, key)
	}
	return keys, rows.Err()
}
