package account

import (
	"context"
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// Query says which accounts to list. An empty member does not restrict.
type Query struct {
	// After is the id of an account; those that come after it are wanted.
	After string
	// Role is one that the accounts have.
	Role     string
	Disabled *bool
	// Text is a part of the username, e-mail address or full name. The case of ASCII's
	// letters does not count; whether that of others does is the database's business.
	Text string
	// Limit is how many to list; 0 for all.
	Limit int
}

// Page lists accounts by id, which is the order in which they were made, to the
// millisecond: accounts that are added meanwhile come last.
func (d *Directory) Page(ctx context.Context, query Query) ([]Account, error) {
	// As what is stored.
	query.Role, query.Text = norm.NFC.String(query.Role), norm.NFC.String(query.Text)
	accounts, err := d.store.AccountsPage(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	return accounts, nil
}
