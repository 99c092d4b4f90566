package store

import (
	"context"
	"database/sql"
	"encoding/json"
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
func (s *Store) Events(ctx context.Context, query account.EventQuery) ([]account.Event, error) {
	var f filter
	if !query.Since.IsZero() {
		f.where("at >= ?", micros(query.Since))
	}
	if !query.Until.IsZero() {
		f.where("at < ?", micros(query.Until))
	}
	f.is("actor_kind", query.ActorKind)
	f.is("actor_id", query.ActorID)
	f.is("account_id", query.AccountID)
	f.is("client_id", query.ClientID)
	f.is("outcome", query.Outcome)
	if query.Before != "" {
		f.where("(at, id) < (SELECT at, id FROM events WHERE id = ?)", query.Before)
	}
	if len(query.Actions) > 0 {
		placeholders := make([]string, len(query.Actions))
		for i, action := range query.Actions {
			placeholders[i] = f.placeholder(action)
		}
		f.conditions = append(f.conditions, "action IN ("+strings.Join(placeholders, ", ")+")")
	}
	text := selectEvent + f.clause() + " ORDER BY at DESC, id DESC" + f.limit(query.Limit)
	return queryAll(ctx, s, "the audit log", s.scanEvent, text, f.args...)
}

// scanEvent reads a row of selectEvent.
func (s *Store) scanEvent(row row) (account.Event, error) {
	var e account.Event
	var at int64
	var details string
	err := row.Scan(&e.ID, &at, &e.Action, &e.Outcome, &e.Reason, &e.ActorKind, &e.ActorID, &e.ClientID, &e.AccountID, &e.TargetKind, &e.TargetID, &e.ClientIP, &e.RequestID, &details)
	if err != nil {
		return account.Event{}, fmt.Errorf("reading the audit log: %w", s.explain(err))
	}
	e.At = moment(at)
	if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
		return account.Event{}, fmt.Errorf("decoding the details of the event %s: %w", e.ID, err)
	}
	return e, nil
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
