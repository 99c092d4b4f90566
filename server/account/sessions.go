package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
)

const (
	// defaultGrace is how long a refresh token may be presented again.
	defaultGrace = 10 * time.Second
	// sessionKept is how long a session is kept after the last thing in it has
	// expired, so that a late reuse of its tokens is still told from a guess.
	sessionKept  = 24 * time.Hour
	maxUserAgent = 200
)

// SessionOptions configure [Sessions].
type SessionOptions struct {
	// Grace is how long after its first use a refresh token still gets the same
	// successor, for a client whose answer was lost. Default 10 s; negative: none.
	Grace time.Duration
	// Revocations is told of what was revoked. Default: nobody.
	Revocations *Revocations
	// Logger gets a line for each session that is revoked. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is where ids and tokens come from. Default crypto/rand.
	Rand io.Reader
}

// Sessions keeps logins and rotates their refresh tokens. It is safe for
// concurrent use, also by several processes on one store.
type Sessions struct {
	store       SessionStore
	grace       time.Duration
	revocations *Revocations
	logger      *slog.Logger
	stamp       stamp
}

// NewSessions makes one over a store.
func NewSessions(store SessionStore, opts SessionOptions) *Sessions {
	s := &Sessions{
		store: store, grace: opts.Grace, revocations: opts.Revocations,
		logger: orDiscard(opts.Logger), stamp: newStamp(opts.Now, opts.Rand),
	}
	switch {
	case s.grace == 0:
		s.grace = defaultGrace
	case s.grace < 0:
		s.grace = 0
	}
	return s
}

// NewID makes the id of a session that is about to begin: its first access token
// names it before it is stored.
func (s *Sessions) NewID() (string, error) { return s.stamp.id() }

// NewSession is a login that has succeeded.
type NewSession struct {
	// ID is one of [Sessions.NewID].
	ID, AccountID, ClientID string
	// Checked is the account when its password was checked, as in [Attempt].Account;
	// nil where another proof was given.
	Checked              *Account
	Scope, Audience, AMR []string
	// Idle and Absolute are how long the session lives without use and altogether,
	// where it has a refresh token. Without one it ends with its access token.
	Idle, Absolute time.Duration
	// AccessExpiry is when the access token expires that was made with it.
	AccessExpiry time.Time
	WithRefresh  bool
	// ClientIP and UserAgent tell the account's sessions apart for people.
	ClientIP, UserAgent string
	Events              []Event
}

// check wants the account and the client still to be those that the login was
// checked with: whatever ended their sessions meanwhile did not know of this one.
func (n *NewSession) check(a *Account, client *Client) error {
	// A hash that is another without an update is a rehash of the same password.
	another := n.Checked != nil && n.Checked.PasswordHash != a.PasswordHash && !n.Checked.UpdatedAt.Equal(a.UpdatedAt)
	switch {
	case a.Disabled, another:
		return ErrLoginOvertaken
	case n.ClientID == FirstPartyClient:
		return nil
	case client == nil, client.Disabled:
		return ErrLoginOvertaken
	}
	return nil
}

// Begin stores a session and, if it is to have one, makes its refresh token. On an
// error nothing is stored. [ErrNotFound] when the account is gone, and
// [ErrLoginOvertaken] when the login is no longer good for another reason.
func (s *Sessions) Begin(ctx context.Context, begun NewSession) (Session, string, error) {
	if begun.ID == "" {
		return Session{}, "", errors.New("beginning a session: it has no id; make one with NewID")
	}
	now := s.stamp.moment()
	session := Session{
		ID: begun.ID, AccountID: begun.AccountID, ClientID: begun.ClientID,
		Scope: append([]string{}, begun.Scope...), Audience: begun.Audience, AMR: begun.AMR,
		CreatedAt: now, LastUsedAt: now, AccessExpiresAt: storable(begun.AccessExpiry),
		ExpiresAt: storable(begun.AccessExpiry), IdleExpiresAt: storable(begun.AccessExpiry),
		ClientIP: begun.ClientIP, UserAgent: printable(begun.UserAgent),
	}
	var text string
	var first *RefreshToken
	if begun.WithRefresh {
		session.ExpiresAt, session.IdleExpiresAt = now.Add(begun.Absolute), now.Add(begun.Idle)
		var err error
		if text, err = newSecret(refreshPrefix, s.stamp.rand); err != nil {
			return Session{}, "", err
		}
		first = &RefreshToken{Hash: refreshHash(text), SessionID: session.ID, CreatedAt: now}
	}
	events, err := s.stamp.events(ctx, begun.Events)
	if err != nil {
		return Session{}, "", err
	}
	if err := s.store.BeginSession(ctx, session, first, begun.check, Effects{Events: events}); err != nil {
		return Session{}, "", fmt.Errorf("storing a session: %w", err)
	}
	return session, text, nil
}

// Find returns a session; [ErrSessionNotFound] when there is none.
func (s *Sessions) Find(ctx context.Context, id string) (Session, error) {
	session, err := s.store.Session(ctx, id)
	if err != nil {
		return Session{}, fmt.Errorf("finding the session %q: %w", shorten(id), err)
	}
	return session, nil
}

// List lists an account's sessions that are live, the youngest first.
func (s *Sessions) List(ctx context.Context, accountID string) ([]Session, error) {
	sessions, err := s.store.Sessions(ctx, SessionQuery{AccountID: accountID, LiveAt: s.stamp.now()})
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	return sessions, nil
}

// Revoke ends a session: its refresh token, and the access tokens that came from
// it. [ErrSessionNotFound] when there is none, or it was revoked before.
func (s *Sessions) Revoke(ctx context.Context, id, reason string) error {
	session, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	revoked, err := s.revoke(ctx, SessionRevocation{SessionID: id, Reason: reason}, Event{
		Action: SessionRevoked, Reason: reason, AccountID: session.AccountID, ClientID: session.ClientID, TargetKind: "session", TargetID: id,
	})
	if err == nil && revoked == 0 {
		err = fmt.Errorf("revoking the session %q: %w", shorten(id), ErrSessionNotFound)
	}
	return err
}

// RevokeAccount ends all sessions of an account but one, which may be empty, and
// returns how many they were.
func (s *Sessions) RevokeAccount(ctx context.Context, accountID, except, reason string) (int, error) {
	return s.revoke(ctx, SessionRevocation{AccountID: accountID, Except: except, Reason: reason}, Event{
		Action: SessionRevoked, Reason: reason, AccountID: accountID, TargetKind: "account", TargetID: accountID,
	})
}

func (s *Sessions) revoke(ctx context.Context, revocation SessionRevocation, event Event) (int, error) {
	revocation.At = s.stamp.moment()
	events, err := s.stamp.events(ctx, []Event{event})
	if err != nil {
		return 0, err
	}
	revoked, err := s.store.RevokeSessions(ctx, revocation, events)
	// Even after an error: it may have been stored all the same.
	s.revocations.catchUp(ctx)
	if err != nil {
		return 0, fmt.Errorf("revoking sessions: %w", err)
	}
	return revoked, nil
}

// Erase forgets the successors whose grace is over.
func (s *Sessions) Erase(ctx context.Context) error {
	if err := s.store.EraseSuccessors(ctx, s.stamp.now().Add(-s.grace)); err != nil {
		return fmt.Errorf("erasing refresh tokens: %w", err)
	}
	return nil
}

// Purge removes sessions that ended more than a day ago.
func (s *Sessions) Purge(ctx context.Context) error {
	if err := s.store.PurgeSessions(ctx, s.stamp.now().Add(-sessionKept)); err != nil {
		return fmt.Errorf("purging sessions: %w", err)
	}
	return nil
}

// storable is a time as exactly as a store keeps it, never an earlier one.
func storable(t time.Time) time.Time {
	kept := t.UTC().Truncate(time.Microsecond)
	if kept.Before(t) {
		kept = kept.Add(time.Microsecond)
	}
	return kept
}

// printable shortens what a client says of itself to what a table can show.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	if len(text) > maxUserAgent {
		text = strings.ToValidUTF8(text[:maxUserAgent], "")
	}
	return text
}
