package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// migrate brings the schema up to date, each step in a transaction.
func (s *Store) migrate(ctx context.Context, logger *slog.Logger) error {
	provider, err := goose.NewProvider(s.dialect.name, s.writer, s.dialect.migrations,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading the schema's version: %w", s.explain(err))
	}
	if current > target {
		return fmt.Errorf("its schema has version %d, and this stagedoor knows versions up to %d: a newer stagedoor has used it; use that one, or restore a backup from before", current, target)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrating the schema from version %d to %d: %w", current, target, s.explain(err))
	}
	for _, result := range results {
		logger.Info("database migrated", "version", result.Source.Version, "duration", result.Duration)
	}
	return nil
}
