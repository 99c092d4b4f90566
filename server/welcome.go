package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/stagedoor/stagedoor/server/demo"
)

// Welcome is what a person who has just started the server wants to read: where
// it answers, and what to do next.
func (s *Server) Welcome(ctx context.Context) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "Stagedoor answers on %s", s.URL())
	if s.issuer != s.URL() {
		fmt.Fprintf(&text, " (issuer %s)", s.issuer)
	}
	text.WriteString("\n")
	if s.cfg.Demo {
		text.WriteString("\n" + demo.TryThis(s.URL()))
	}
	if s.document != nil {
		text.WriteString("\n" + s.tryDocument())
	}
	if s.cfg.Demo {
		return text.String(), nil
	}
	count, err := s.accounts.Count(ctx)
	if err != nil {
		return "", fmt.Errorf("counting the accounts: %w", err)
	}
	if count == 0 {
		fmt.Fprintf(&text, "\nThere are no accounts yet. Create the first administrator with\n\n    stagedoor user add NAME --role %s%s\n",
			s.administratorRole(ctx), s.stateFlag())
	}
	return text.String(), nil
}

// stateFlag is what a command beside this server needs to find its state.
func (s *Server) stateFlag() string {
	if s.cfg.State == DefaultConfig().State {
		return ""
	}
	return " --state " + s.cfg.State
}

// administratorRole is the role that the policy's data proposes for the first
// administrator.
func (s *Server) administratorRole(ctx context.Context) string {
	role, err := s.engine.Current().Eval(ctx, "administrator_role", nil)
	if name, ok := role.(string); err == nil && ok {
		return name
	}
	return "ROLE"
}
