package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// have does what a change brings with it, in the change's transaction.
func (s *Store) have(ctx context.Context, tx *sql.Tx, effects account.Effects) error {
	if effects.Revoke != nil {
		if _, err := s.revokeSessions(ctx, tx, *effects.Revoke); err != nil {
			return err
		}
	}
	return s.insertEvents(ctx, tx, effects.Events)
}

// revokeSessions marks sessions, and has the gate refuse the access tokens that came
// from them, until the last of those has expired.
func (s *Store) revokeSessions(ctx context.Context, tx *sql.Tx, r account.SessionRevocation) (int64, error) {
	f := filter{conditions: []string{"revoked_at = 0"}}
	f.is("id", r.SessionID)
	f.is("account_id", r.AccountID)
	f.is("client_id", r.ClientID)
	if r.Except != "" {
		f.where("id <> ?", r.Except)
	}
	if r.SessionID == "" && r.AccountID == "" && r.ClientID == "" {
		return 0, fmt.Errorf("revoking sessions: whose is not said")
	}
	where := f.clause()
	// Tokens that have expired need no revocation; one that is kept for a little
	// longer covers the leeway with which they are verified.
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO revocations (kind, id, expires_at)
		SELECT '%s', id, access_expires_at + %d FROM sessions%s ORDER BY id
		ON CONFLICT (kind, id) DO NOTHING`, account.RevokedSession, account.RevocationMargin.Microseconds(), where), f.args...)
	if err != nil {
		return 0, fmt.Errorf("revoking access tokens: %w", s.explain(err))
	}
	at, reason := f.placeholder(micros(r.At)), f.placeholder(r.Reason)
	result, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE sessions SET revoked_at = %s, revoked_reason = %s%s`, at, reason, where), f.args...)
	if err != nil {
		return 0, fmt.Errorf("revoking sessions: %w", s.explain(err))
	}
	revoked, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("revoking sessions: %w", s.explain(err))
	}
	return revoked, nil
}

// micros is how a time is stored; 0 for one that has not come.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment reads what micros has written.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
