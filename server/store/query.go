package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// row is what a query answers with.
type row interface{ Scan(...any) error }

// queryAll reads all rows of a query with scan. what they are is for errors.
func queryAll[T any](ctx context.Context, s *Store, what string, scan func(row) (T, error), query string, args ...any) (_ []T, err error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, s.explain(err))
	}
	defer func() { err = errors.Join(err, s.explain(rows.Close())) }()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, s.explain(err))
	}
	return all, nil
}

// filter gathers what the rows of a query have to meet. The zero value takes all.
type filter struct {
	conditions []string
	args       []any
}

// where adds a condition, in which each ? stands for the value.
func (f *filter) where(condition string, value any) {
	f.conditions = append(f.conditions, strings.ReplaceAll(condition, "?", f.placeholder(value)))
}

// is is where for a column that has to equal a text; an empty one does not matter.
func (f *filter) is(column, text string) {
	if text != "" {
		f.where(column+" = ?", text)
	}
}

// placeholder is what stands for a value in the query.
func (f *filter) placeholder(value any) string {
	f.args = append(f.args, value)
	return fmt.Sprintf("$%d", len(f.args))
}

// clause is the WHERE of a query.
func (f *filter) clause() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}

// limit is the LIMIT of a query; 0 is none.
func (f *filter) limit(n int) string {
	if n <= 0 {
		return ""
	}
	return " LIMIT " + f.placeholder(n)
}
