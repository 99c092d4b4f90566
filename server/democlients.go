package server

import (
	"context"
	"fmt"

	"github.com/stagedoor/stagedoor/server/demo"
)

// loadDemoClients adds the demo clients that are missing.
func (s *Server) loadDemoClients(ctx context.Context) error {
	for _, client := range demo.Clients() {
		if _, err := s.clients.EnsureClient(ctx, client, demo.ClientSecret); err != nil {
			return fmt.Errorf("%s: %w", client.ID, err)
		}
	}
	return nil
}

// refuseDemoSecret refuses a state that a demo has left behind: without --demo no
// client may authenticate with a published secret. Any client that has it counts,
// for the secret is nobody's choice but the demo's.
func (s *Server) refuseDemoSecret(ctx context.Context) error {
	clients, err := s.clients.List(ctx)
	if err != nil {
		return fmt.Errorf("looking for demo clients: %w", err)
	}
	for _, client := range clients {
		if !client.Disabled && s.clients.CheckSecret(&client, demo.ClientSecret) {
			return invalid("state", "%s holds the client %s, whose secret is published. Serve another directory, serve this one with --demo, or disable the client first, as with `stagedoor client disable %s%s`",
				s.cfg.State, client.ID, client.ID, s.stateFlag())
		}
	}
	return nil
}
