package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/demo"
)

// demoSetting remembers the ids of the accounts that --demo has made in this
// state. Accounts that somebody imports, the article's own for instance, are
// their choice and not among them.
const demoSetting = "demo_accounts"

// loadDemoAccounts adds the demo accounts that are missing.
func (s *Server) loadDemoAccounts(ctx context.Context) error {
	ids, err := s.demoAccountIDs(ctx)
	if err != nil {
		return err
	}
	added, err := s.accounts.EnsureAccounts(ctx, demo.Accounts())
	if err != nil || len(added) == 0 {
		return err
	}
	for _, username := range added {
		found, err := s.accounts.Find(ctx, username)
		if err != nil {
			return err
		}
		ids = append(ids, found.ID)
	}
	return s.store.SetSetting(ctx, demoSetting, strings.Join(ids, " "))
}

// refuseDemoPasswords refuses a state that a demo has left behind: without
// --demo nobody may log in with a published password. A demo account that has
// been given another password is an account like any other.
func (s *Server) refuseDemoPasswords(ctx context.Context) error {
	ids, err := s.demoAccountIDs(ctx)
	if err != nil {
		return err
	}
	passwords := demo.Passwords()
	var published []string
	for _, id := range ids {
		found, err := s.accounts.Find(ctx, id)
		if errors.Is(err, account.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for demo accounts: %w", err)
		}
		if same, err := s.accounts.Hasher().Verify(found.PasswordHash, passwords[found.Username]); err == nil && same {
			published = append(published, found.Username)
		}
	}
	if len(published) == 0 {
		return nil
	}
	slices.Sort(published)
	return invalid("state", "%s holds demo accounts, whose passwords are published: %s. Serve another directory, serve this one with --demo, or remove them first, as with `stagedoor user remove %s%s`",
		s.cfg.State, strings.Join(published, ", "), published[0], s.stateFlag())
}

func (s *Server) demoAccountIDs(ctx context.Context) ([]string, error) {
	text, err := s.store.EnsureSetting(ctx, demoSetting, "")
	if err != nil {
		return nil, fmt.Errorf("reading which accounts are the demo's: %w", err)
	}
	return strings.Fields(text), nil
}
