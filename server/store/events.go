package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

const selectEvent = `SELECT id, at, action, outcome, reason, actor_kind, actor_id, client_id, account_id, target_kind, target_id, client_ip, request_id, details FROM events`

// InsertEvents implements [account.EventStore].
func (s *Store) InsertEvents(ctx context.Context, events []account.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.write(ctx, func(tx *sql.Tx) error { return s.insertEvents(ctx, tx, events) })
}

func (s *Store) insertEvents(ctx context.Context, tx *sql.Tx, events []account.Event) error {
	for _, e := range events {
		details, err := json.Marshal(e.Details)
		if err != nil {
			return fmt.Errorf("encoding an event's details: %w", err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO events (id, at, action, outcome, reason, actor_kind, actor_id, client_id, account_id, target_kind, target_id, client_ip, request_id, details)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			e.ID, micros(e.At), e.Action, e.Outcome, e.Reason, e.ActorKind, e.ActorID, e.ClientID, e.AccountID, e.TargetKind, e.TargetID, e.ClientIP, e.RequestID, string(details))
		if err != nil {
			return fmt.Errorf("writing the audit log: %w", s.explain(err))
		}
	}
	return nil
}

// Events implements [account.EventStore].
func (s *Store) Events(ctx context.Context, query account.EventQuery) (_ []account.Event, err error) {
	var conditions []string
	var args []any
	where := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if !query.Since.IsZero() {
		where("at >= $%d", micros(query.Since))
	}
	if !query.Until.IsZero() {
		where("at < $%d", micros(query.Until))
	}
	if query.ActorKind != "" {
		where("actor_kind = $%d", query.ActorKind)
	}
	if query.ActorID != "" {
		where("actor_id = $%d", query.ActorID)
	}
	if query.AccountID != "" {
		where("account_id = $%d", query.AccountID)
	}
	if query.ClientID != "" {
		where("client_id = $%d", query.ClientID)
	}
	if query.Outcome != "" {
		where("outcome = $%d", query.Outcome)
	}
	if query.Before != "" {
		where("(at, id) < (SELECT at, id FROM events WHERE id = $%d)", query.Before)
	}
	if len(query.Actions) > 0 {
		placeholders := make([]string, len(query.Actions))
		for i, action := range query.Actions {
			args = append(args, action)
			placeholders[i] = fmt.Sprintf("$%d", len(args))
		}
		conditions = append(conditions, "action IN ("+strings.Join(placeholders, ", ")+")")
	}
	text := selectEvent
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
	text += " ORDER BY at DESC, id DESC"
	if query.Limit > 0 {
		args = append(args, query.Limit)
		text += fmt.Sprintf(" LIMIT $%d", len(args))
	}
	rows, err := s.readers.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", s.explain(err))
	}
	defer func() { err = errors.Join(err, s.explain(rows.Close())) }()
	var events []account.Event
	for rows.Next() {
		var e account.Event
		var at int64
		var details string
		if err := rows.Scan(&e.ID, &at, &e.Action, &e.Outcome, &e.Reason, &e.ActorKind, &e.ActorID, &e.ClientID, &e.AccountID, &e.TargetKind, &e.TargetID, &e.ClientIP, &e.RequestID, &details); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", s.explain(err))
		}
		e.At = moment(at)
		if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
			return nil, fmt.Errorf("decoding the details of the event %s: %w", e.ID, err)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", s.explain(err))
	}
	return events, nil
}

// PurgeEvents implements [account.EventStore].
func (s *Store) PurgeEvents(ctx context.Context, before time.Time) (int, error) {
	var purged int64
	err := s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM events WHERE at < $1`, micros(before))
		if err != nil {
			return fmt.Errorf("purging the audit log: %w", s.explain(err))
		}
		purged, err = result.RowsAffected()
		return s.explain(err)
	})
	return int(purged), err
}
