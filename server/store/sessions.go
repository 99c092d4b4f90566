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

const (
	sessionColumns = `id, account_id, client_id, scope, audience, amr, created_at, last_used_at, expires_at, idle_expires_at, access_expires_at, revoked_at, revoked_reason, client_ip, user_agent`
	selectSession  = `SELECT ` + sessionColumns + ` FROM sessions`
)

// BeginSession implements [account.SessionStore].
func (s *Store) BeginSession(ctx context.Context, session account.Session, token *account.RefreshToken, check func(*account.Account, *account.Client) error, effects account.Effects) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		// An account or a client that was removed meanwhile has had its sessions
		// revoked: this one would be left over.
		who, err := s.scanAccount(tx.QueryRowContext(ctx, selectAccount+` WHERE id = $1`, session.AccountID))
		if err != nil {
			return err
		}
		by, err := s.clientIfAny(ctx, tx, session.ClientID)
		if err != nil {
			return err
		}
		if err := check(&who, by); err != nil {
			return err
		}
		row, err := encodeSession(&session)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO sessions (`+sessionColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, row...)
		if err != nil {
			return fmt.Errorf("inserting a session: %w", s.explain(err))
		}
		if token != nil {
			if err := s.insertRefreshToken(ctx, tx, token); err != nil {
				return err
			}
		}
		return s.have(ctx, tx, effects)
	})
}

// clientIfAny finds a client; nil when there is none.
func (s *Store) clientIfAny(ctx context.Context, tx *sql.Tx, id string) (*account.Client, error) {
	client, err := s.scanClient(tx.QueryRowContext(ctx, `SELECT document FROM clients WHERE id = $1`, id))
	if errors.Is(err, account.ErrClientNotFound) {
		return nil, nil
	}
	return &client, err
}

func (s *Store) insertRefreshToken(ctx context.Context, tx *sql.Tx, token *account.RefreshToken) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO refresh_tokens (hash, session_id, created_at, used_at, successor) VALUES ($1, $2, $3, $4, $5)`,
		token.Hash, token.SessionID, micros(token.CreatedAt), micros(token.UsedAt), token.Successor)
	if err != nil {
		return fmt.Errorf("inserting a refresh token: %w", s.explain(err))
	}
	return nil
}

// RefreshToken implements [account.SessionStore].
func (s *Store) RefreshToken(ctx context.Context, hash []byte) (account.RefreshToken, account.Session, error) {
	return s.refreshToken(ctx, s.readers, hash)
}

// queryer is a database or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) refreshToken(ctx context.Context, from queryer, hash []byte) (account.RefreshToken, account.Session, error) {
	token := account.RefreshToken{Hash: hash}
	var created, used int64
	err := from.QueryRowContext(ctx, `SELECT session_id, created_at, used_at, successor FROM refresh_tokens WHERE hash = $1`, hash).
		Scan(&token.SessionID, &created, &used, &token.Successor)
	if errors.Is(err, sql.ErrNoRows) {
		return account.RefreshToken{}, account.Session{}, account.ErrSessionNotFound
	}
	if err != nil {
		return account.RefreshToken{}, account.Session{}, fmt.Errorf("reading a refresh token: %w", s.explain(err))
	}
	token.CreatedAt, token.UsedAt = moment(created), moment(used)
	session, err := s.scanSession(from.QueryRowContext(ctx, selectSession+` WHERE id = $1`, token.SessionID))
	return token, session, err
}

// RotateRefreshToken implements [account.SessionStore].
func (s *Store) RotateRefreshToken(ctx context.Context, hash []byte, change func(*account.RefreshToken, *account.Session, *account.Effects) (*account.RefreshToken, error)) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		token, session, err := s.refreshToken(ctx, tx, hash)
		if err != nil {
			return err
		}
		var effects account.Effects
		next, err := change(&token, &session, &effects)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE refresh_tokens SET used_at = $2, successor = $3 WHERE hash = $1`, hash, micros(token.UsedAt), token.Successor); err != nil {
			return fmt.Errorf("using a refresh token: %w", s.explain(err))
		}
		_, err = tx.ExecContext(ctx, `UPDATE sessions SET last_used_at = $2, expires_at = $3, idle_expires_at = $4, access_expires_at = $5 WHERE id = $1`,
			session.ID, micros(session.LastUsedAt), micros(session.ExpiresAt), micros(session.IdleExpiresAt), micros(session.AccessExpiresAt))
		if err != nil {
			return fmt.Errorf("extending a session: %w", s.explain(err))
		}
		if next != nil {
			if err := s.insertRefreshToken(ctx, tx, next); err != nil {
				return err
			}
		}
		return s.have(ctx, tx, effects)
	})
}

// RevokeSessions implements [account.SessionStore].
func (s *Store) RevokeSessions(ctx context.Context, revocation account.SessionRevocation, events []account.Event) (int, error) {
	var revoked int64
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		if revoked, err = s.revokeSessions(ctx, tx, revocation); err != nil || revoked == 0 {
			return err
		}
		return s.insertEvents(ctx, tx, events)
	})
	if err != nil {
		return 0, err
	}
	return int(revoked), nil
}

// Session implements [account.SessionStore].
func (s *Store) Session(ctx context.Context, id string) (account.Session, error) {
	return s.scanSession(s.readers.QueryRowContext(ctx, selectSession+` WHERE id = $1`, id))
}

// Sessions implements [account.SessionStore].
func (s *Store) Sessions(ctx context.Context, query account.SessionQuery) ([]account.Session, error) {
	var f filter
	f.is("account_id", query.AccountID)
	f.is("client_id", query.ClientID)
	if !query.LiveAt.IsZero() {
		f.where("revoked_at = 0 AND expires_at > ? AND idle_expires_at > ?", micros(query.LiveAt))
	}
	return queryAll(ctx, s, "sessions", s.scanSession, selectSession+f.clause()+` ORDER BY created_at DESC, id DESC`, f.args...)
}

// EraseSuccessors implements [account.SessionStore]. It writes only where there is
// something to erase: it is called every few seconds.
func (s *Store) EraseSuccessors(ctx context.Context, usedBefore time.Time) error {
	var one int
	err := s.readers.QueryRowContext(ctx, `SELECT 1 FROM refresh_tokens WHERE successor IS NOT NULL AND used_at < $1 LIMIT 1`, micros(usedBefore)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for successors to erase: %w", s.explain(err))
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE refresh_tokens SET successor = NULL WHERE successor IS NOT NULL AND used_at < $1`, micros(usedBefore))
		if err != nil {
			return fmt.Errorf("erasing successors: %w", s.explain(err))
		}
		return nil
	})
}

// PurgeSessions implements [account.SessionStore]. Their tokens go with them.
func (s *Store) PurgeSessions(ctx context.Context, endedBefore time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE access_expires_at < $1
			AND (expires_at < $1 OR idle_expires_at < $1 OR revoked_at <> 0 AND revoked_at < $1)`, micros(endedBefore))
		if err != nil {
			return fmt.Errorf("purging sessions: %w", s.explain(err))
		}
		return nil
	})
}

// encodeSession gives the columns in their order.
func encodeSession(session *account.Session) ([]any, error) {
	lists := make([]string, 0, 3)
	for _, list := range [][]string{session.Scope, session.Audience, session.AMR} {
		text, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("encoding a session: %w", err)
		}
		lists = append(lists, string(text))
	}
	return []any{
		session.ID, session.AccountID, session.ClientID, lists[0], lists[1], lists[2],
		micros(session.CreatedAt), micros(session.LastUsedAt), micros(session.ExpiresAt), micros(session.IdleExpiresAt), micros(session.AccessExpiresAt),
		micros(session.RevokedAt), session.RevokedReason, session.ClientIP, session.UserAgent,
	}, nil
}

// scanSession reads a row of selectSession; account.ErrSessionNotFound when there is
// none.
func (s *Store) scanSession(row row) (account.Session, error) {
	var session account.Session
	var scope, audience, amr string
	var created, used, expires, idle, access, revoked int64
	err := row.Scan(&session.ID, &session.AccountID, &session.ClientID, &scope, &audience, &amr,
		&created, &used, &expires, &idle, &access, &revoked, &session.RevokedReason, &session.ClientIP, &session.UserAgent)
	if errors.Is(err, sql.ErrNoRows) {
		return account.Session{}, account.ErrSessionNotFound
	}
	if err != nil {
		return account.Session{}, fmt.Errorf("reading a session: %w", s.explain(err))
	}
	for _, list := range []struct {
		text string
		into *[]string
	}{{scope, &session.Scope}, {audience, &session.Audience}, {amr, &session.AMR}} {
		if err := json.Unmarshal([]byte(list.text), list.into); err != nil {
			return account.Session{}, fmt.Errorf("decoding the session %s: %w", session.ID, err)
		}
	}
	session.CreatedAt, session.LastUsedAt, session.ExpiresAt = moment(created), moment(used), moment(expires)
	session.IdleExpiresAt, session.AccessExpiresAt, session.RevokedAt = moment(idle), moment(access), moment(revoked)
	return session, nil
}
