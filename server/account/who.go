package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagedoor/stagedoor/server/authz"
)

// Who finds who a subject of our own issuer is now, an account or a client: what a
// token's sub means. Their ids never look alike.
type Who struct {
	Accounts *Directory
	Clients  *Clients
}

// Subject is [Directory.Subject] or [Clients.Subject], by the shape of the
// id; [ErrNotFound] where there is neither.
func (w Who) Subject(ctx context.Context, id string) (*authz.Subject, error) {
	if _, isAccount := parseID(id); isAccount {
		return w.Accounts.Subject(ctx, id)
	}
	subject, err := w.Clients.Subject(ctx, id)
	if errors.Is(err, ErrClientNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return subject, err
}
