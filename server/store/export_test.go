package store

import "context"

// Pragma reads a setting of the writer's connection.
func (s *Store) Pragma(ctx context.Context, name string) (string, error) {
	var value string
	err := s.writer.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}
