package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// clientDocument is a client as it is stored: with the hashes of its secrets, which
// its own JSON leaves out.
type clientDocument struct {
	account.Client
	Secrets    []account.ClientSecret `json:"secrets,omitempty"`
	TokensFrom time.Time              `json:"tokens_from,omitzero"`
}

func encodeClient(client *account.Client) (string, error) {
	text, err := json.Marshal(clientDocument{*client, client.Secrets, client.TokensFrom})
	if err != nil {
		return "", fmt.Errorf("encoding a client: %w", err)
	}
	return string(text), nil
}

// scanClient reads a document; account.ErrClientNotFound when there is none.
func (s *Store) scanClient(row row) (account.Client, error) {
	var text string
	if err := row.Scan(&text); errors.Is(err, sql.ErrNoRows) {
		return account.Client{}, account.ErrClientNotFound
	} else if err != nil {
		return account.Client{}, fmt.Errorf("reading a client: %w", s.explain(err))
	}
	var document clientDocument
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return account.Client{}, fmt.Errorf("decoding a client: %w", err)
	}
	document.Client.Secrets, document.Client.TokensFrom = document.Secrets, document.TokensFrom
	return document.Client, nil
}

// InsertClient implements [account.ClientStore].
func (s *Store) InsertClient(ctx context.Context, client account.Client, effects account.Effects) error {
	document, err := encodeClient(&client)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO clients (id, document) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, client.ID, document)
		if err != nil {
			return fmt.Errorf("inserting a client: %w", s.explain(err))
		}
		inserted, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("inserting a client: %w", s.explain(err))
		}
		if inserted == 0 {
			return account.ErrClientExists
		}
		return s.have(ctx, tx, effects)
	})
}

// UpdateClient implements [account.ClientStore].
func (s *Store) UpdateClient(ctx context.Context, id string, change func(*account.Client, *account.Effects) error) (account.Client, error) {
	var updated account.Client
	err := s.write(ctx, func(tx *sql.Tx) error {
		client, err := s.scanClient(tx.QueryRowContext(ctx, `SELECT document FROM clients WHERE id = $1`, id))
		if err != nil {
			return err
		}
		var effects account.Effects
		if err := change(&client, &effects); err != nil {
			return err
		}
		if client.ID != id {
			return errors.New("a client's id can't be changed")
		}
		document, err := encodeClient(&client)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE clients SET document = $2 WHERE id = $1`, id, document); err != nil {
			return fmt.Errorf("updating a client: %w", s.explain(err))
		}
		updated = client
		return s.have(ctx, tx, effects)
	})
	if err != nil {
		return account.Client{}, err
	}
	return updated, nil
}

// RemoveClient implements [account.ClientStore].
func (s *Store) RemoveClient(ctx context.Context, id string, effects account.Effects, checks ...func(*account.Client) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, check := range checks {
			stored, err := s.scanClient(tx.QueryRowContext(ctx, `SELECT document FROM clients WHERE id = $1`, id))
			if err == nil {
				err = check(&stored)
			}
			if err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM clients WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("deleting a client: %w", s.explain(err))
		}
		deleted, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("deleting a client: %w", s.explain(err))
		}
		if deleted == 0 {
			return account.ErrClientNotFound
		}
		return s.have(ctx, tx, effects)
	})
}

// Client implements [account.ClientStore].
func (s *Store) Client(ctx context.Context, id string) (account.Client, error) {
	return s.scanClient(s.readers.QueryRowContext(ctx, `SELECT document FROM clients WHERE id = $1`, id))
}

// Clients implements [account.ClientStore].
func (s *Store) Clients(ctx context.Context) ([]account.Client, error) {
	return queryAll(ctx, s, "clients", s.scanClient, `SELECT document FROM clients ORDER BY id`)
}

// ClientChanges counts the changes of clients, by anyone, since the store was made.
func (s *Store) ClientChanges(ctx context.Context) (int64, error) {
	var count int64
	if err := s.readers.QueryRowContext(ctx, `SELECT count FROM client_changes`).Scan(&count); err != nil {
		return 0, fmt.Errorf("reading the count of client changes: %w", s.explain(err))
	}
	return count, nil
}

// UseAssertion implements [account.ClientStore].
func (s *Store) UseAssertion(ctx context.Context, clientID, jti string, expiry, now time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM used_assertions WHERE expires_at < $1`, micros(now)); err != nil {
			return fmt.Errorf("forgetting assertions: %w", s.explain(err))
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO used_assertions (client_id, jti, expires_at) VALUES ($1, $2, $3)
			ON CONFLICT (client_id, jti) DO NOTHING`, clientID, jti, micros(expiry))
		if err != nil {
			return fmt.Errorf("noting an assertion: %w", s.explain(err))
		}
		inserted, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("noting an assertion: %w", s.explain(err))
		}
		if inserted == 0 {
			return account.ErrAssertionUsed
		}
		return nil
	})
}
