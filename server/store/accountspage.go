package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stagedoor/stagedoor/server/account"
)

// AccountsPage implements [account.Store].
func (s *Store) AccountsPage(ctx context.Context, query account.Query) ([]account.Account, error) {
	var f filter
	f.where("id > ?", query.After)
	if query.Disabled != nil {
		f.where("disabled = ?", *query.Disabled)
	}
	// What has a part replaced in it by nothing has the part: every database can do
	// that, and it knows no wildcards.
	if query.Role != "" {
		role, err := json.Marshal(query.Role)
		if err != nil {
			return nil, fmt.Errorf("encoding a role: %w", err)
		}
		f.where("replace(roles, ?, '') <> roles", string(role))
	}
	if query.Text != "" {
		// The database lowers both sides: SQLite knows the case of ASCII's letters only,
		// and what was lowered here would not be found there.
		f.where("(replace(lower(username), lower(?), '') <> lower(username) OR replace(lower(email), lower(?), '') <> lower(email) OR replace(lower(full_name), lower(?), '') <> lower(full_name))", query.Text)
	}
	text := selectAccount + f.clause() + ` ORDER BY id` + f.limit(query.Limit)
	return queryAll(ctx, s, "accounts", s.scanAccount, text, f.args...)
}
