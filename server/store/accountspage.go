package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
)

// AccountsPage implements [account.Store].
func (s *Store) AccountsPage(ctx context.Context, query account.Query) (_ []account.Account, err error) {
	conditions, args := []string{"id > $1"}, []any{query.After}
	where := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(args))))
	}
	if query.Disabled != nil {
		where("disabled = ?", *query.Disabled)
	}
	// What has a part replaced in it by nothing has the part: every database can do
	// that, and it knows no wildcards.
	if query.Role != "" {
		role, err := json.Marshal(query.Role)
		if err != nil {
			return nil, fmt.Errorf("encoding a role: %w", err)
		}
		where("replace(roles, ?, '') <> roles", string(role))
	}
	if query.Text != "" {
		// The database lowers both sides: SQLite knows the case of ASCII's letters only,
		// and what was lowered here would not be found there.
		where("(replace(lower(username), lower(?), '') <> lower(username) OR replace(lower(email), lower(?), '') <> lower(email) OR replace(lower(full_name), lower(?), '') <> lower(full_name))", query.Text)
	}
	text := selectAccount + ` WHERE ` + strings.Join(conditions, " AND ") + ` ORDER BY id`
	if query.Limit > 0 {
		args = append(args, query.Limit)
		text += fmt.Sprintf(" LIMIT $%d", len(args))
	}
	rows, err := s.readers.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", s.explain(err))
	}
	defer func() { err = errors.Join(err, s.explain(rows.Close())) }()
	return s.scanAccounts(rows)
}
