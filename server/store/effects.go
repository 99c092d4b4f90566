package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
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
	conditions, args := []string{"revoked_at = 0"}, []any{}
	for _, c := range []struct{ condition, value string }{
		{"id =", r.SessionID}, {"account_id =", r.AccountID}, {"client_id =", r.ClientID}, {"id <>", r.Except},
	} {
		if c.value != "" {
			args = append(args, c.value)
			conditions = append(conditions, fmt.Sprintf("%s $%d", c.condition, len(args)))
		}
	}
	if r.SessionID == "" && r.AccountID == "" && r.ClientID == "" {
		return 0, fmt.Errorf("revoking sessions: whose is not said")
	}
	where := strings.Join(conditions, " AND ")
	// Tokens that have expired need no revocation; one that is kept for a little
	// longer covers the leeway with which they are verified.
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO revocations (kind, id, expires_at)
		SELECT '%s', id, access_expires_at + %d FROM sessions WHERE %s ORDER BY id
		ON CONFLICT (kind, id) DO NOTHING`, account.RevokedSession, account.RevocationMargin.Microseconds(), where), args...)
	if err != nil {
		return 0, fmt.Errorf("revoking access tokens: %w", s.explain(err))
	}
	args = append(args, micros(r.At), r.Reason)
	result, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE sessions SET revoked_at = $%d, revoked_reason = $%d WHERE %s`, len(args)-1, len(args), where), args...)
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
