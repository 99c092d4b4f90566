package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

// LoginMarks implements [account.LoginStore].
func (s *Store) LoginMarks(ctx context.Context, keys []string) (_ map[string]account.LoginMark, err error) {
	marks := make(map[string]account.LoginMark, len(keys))
	if len(keys) == 0 {
		return marks, nil
	}
	var query strings.Builder
	query.WriteString(`SELECT mark, failures, happened_at FROM login_marks WHERE mark IN (`)
	args := make([]any, len(keys))
	for i, key := range keys {
		if i > 0 {
			query.WriteString(", ")
		}
		fmt.Fprintf(&query, "$%d", i+1)
		args[i] = key
	}
	query.WriteString(")")
	rows, err := s.readers.QueryContext(ctx, query.String(), args...)
	if err != nil {
		return nil, fmt.Errorf("reading login marks: %w", s.explain(err))
	}
	defer func() { err = errors.Join(err, s.explain(rows.Close())) }()
	for rows.Next() {
		var key string
		var failures int
		var at int64
		if err := rows.Scan(&key, &failures, &at); err != nil {
			return nil, fmt.Errorf("reading login marks: %w", s.explain(err))
		}
		marks[key] = account.LoginMark{Failures: failures, At: time.UnixMicro(at).UTC()}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading login marks: %w", s.explain(err))
	}
	return marks, nil
}

// RecordFailure implements [account.LoginStore].
func (s *Store) RecordFailure(ctx context.Context, keys []string, at, forget time.Time, events ...account.Event) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, key := range keys {
			_, err := tx.ExecContext(ctx, `INSERT INTO login_marks (mark, failures, happened_at) VALUES ($1, 1, $2)
				ON CONFLICT (mark) DO UPDATE SET happened_at = $2,
				failures = CASE WHEN login_marks.happened_at < $3 THEN 1 ELSE login_marks.failures + 1 END`,
				key, at.UnixMicro(), forget.UnixMicro())
			if err != nil {
				return fmt.Errorf("counting a login failure: %w", s.explain(err))
			}
		}
		return s.insertEvents(ctx, tx, events)
	})
}

// RecordSuccess implements [account.LoginStore].
func (s *Store) RecordSuccess(ctx context.Context, clear, known string, at time.Time, events ...account.Event) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM login_marks WHERE mark = $1`, clear); err != nil {
			return fmt.Errorf("forgetting login failures: %w", s.explain(err))
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO login_marks (mark, failures, happened_at) VALUES ($1, 0, $2)
			ON CONFLICT (mark) DO UPDATE SET failures = 0, happened_at = $2`, known, at.UnixMicro())
		if err != nil {
			return fmt.Errorf("marking a login: %w", s.explain(err))
		}
		return s.insertEvents(ctx, tx, events)
	})
}

// PurgeLoginMarks implements [account.LoginStore].
func (s *Store) PurgeLoginMarks(ctx context.Context, failuresBefore, successesBefore time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM login_marks WHERE (failures > 0 AND happened_at < $1) OR (failures = 0 AND happened_at < $2)`,
			failuresBefore.UnixMicro(), successesBefore.UnixMicro())
		if err != nil {
			return fmt.Errorf("purging login marks: %w", s.explain(err))
		}
		return nil
	})
}
