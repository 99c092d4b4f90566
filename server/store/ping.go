package store

import (
	"context"
	"fmt"
)

// Ping asks the database for an answer, for a readiness probe.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.readers.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("asking the database for an answer: %w", s.explain(err))
	}
	return nil
}
