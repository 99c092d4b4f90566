package account

import (
	"context"
	"errors"
	"time"
)

// Session is one login on one device. The access tokens that come from it name it
// as sid, and its refresh tokens are one family: what ends the session ends all of
// them.
type Session struct {
	// ID is a ULID.
	ID        string `json:"id"`
	AccountID string `json:"account_id"`
	ClientID  string `json:"client_id"`
	// Scope and Audience are what the login was granted; a refresh never gets more.
	Scope    []string `json:"scope"`
	Audience []string `json:"audience,omitempty"`
	// AMR lists how the account authenticated (RFC 8176).
	AMR        []string  `json:"amr,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	// ExpiresAt is when it ends however it is used, and IdleExpiresAt when it ends
	// if it is not used before.
	ExpiresAt     time.Time `json:"expires_at"`
	IdleExpiresAt time.Time `json:"idle_expires_at"`
	// AccessExpiresAt is when the last access token that came from it expires.
	AccessExpiresAt time.Time `json:"access_expires_at"`
	// RevokedAt is zero for one that was not revoked.
	RevokedAt     time.Time `json:"revoked_at,omitzero"`
	RevokedReason string    `json:"revoked_reason,omitempty"`
	ClientIP      string    `json:"client_ip,omitempty"`
	UserAgent     string    `json:"user_agent,omitempty"`
}

// Live reports whether the session can go on at a moment.
func (s *Session) Live(now time.Time) bool {
	return s.RevokedAt.IsZero() && now.Before(s.ExpiresAt) && now.Before(s.IdleExpiresAt)
}

// RefreshToken is a refresh token as it is kept: by the SHA-256 of its text.
type RefreshToken struct {
	Hash      []byte
	SessionID string
	CreatedAt time.Time
	// UsedAt is zero for the one of its session that has not been used yet.
	UsedAt time.Time
	// Successor is the token that it was exchanged for, encrypted under a key that
	// only who presents this token has; nil once the grace is over.
	Successor []byte
}

// SessionRevocation says which sessions to revoke. At least one of SessionID,
// AccountID and ClientID is given; each that is must match.
type SessionRevocation struct {
	SessionID, AccountID, ClientID string
	// Except is a session that goes on.
	Except string
	Reason string
	At     time.Time
}

// SessionQuery says which sessions to list. An empty member does not restrict.
type SessionQuery struct {
	AccountID, ClientID string
	// LiveAt lists only those that are live at that moment.
	LiveAt time.Time
}

// SessionStore keeps sessions. As with [Store], every method is one transaction.
type SessionStore interface {
	// BeginSession stores a session and its first refresh token, which may be nil, if
	// check agrees to its account and client as they are now; the client is nil when
	// there is none of that id. An error of check is returned as it is. check must not
	// call the store. [ErrNotFound] when the account is gone.
	BeginSession(ctx context.Context, session Session, token *RefreshToken, check func(*Account, *Client) error, effects Effects) error
	// RefreshToken finds a token by its hash, with its session; [ErrSessionNotFound]
	// when there is none.
	RefreshToken(ctx context.Context, hash []byte) (RefreshToken, Session, error)
	// RotateRefreshToken hands the token and its session, as they are now, to
	// change, writes both back, and stores the successor that it returns, which may
	// be nil. An error of change is returned as it is, and nothing is changed.
	// change must not call the store. [ErrSessionNotFound] when there is no such
	// token.
	RotateRefreshToken(ctx context.Context, hash []byte, change func(*RefreshToken, *Session, *Effects) (*RefreshToken, error)) error
	// RevokeSessions revokes those that are not revoked yet, and notes them where
	// [RevocationStore] finds them. It returns how many they were; where there were
	// none, nothing is changed and no effect had.
	RevokeSessions(ctx context.Context, revocation SessionRevocation, events []Event) (int, error)
	// Session finds by id; [ErrSessionNotFound] when there is none.
	Session(ctx context.Context, id string) (Session, error)
	// Sessions lists, the youngest first.
	Sessions(ctx context.Context, query SessionQuery) ([]Session, error)
	// EraseSuccessors forgets the successors of tokens that were used before a
	// time.
	EraseSuccessors(ctx context.Context, usedBefore time.Time) error
	// PurgeSessions removes sessions of which nothing has been good since a time,
	// with their tokens.
	PurgeSessions(ctx context.Context, endedBefore time.Time) error
}

var (
	// ErrSessionNotFound means that there is no session of that id or token.
	ErrSessionNotFound = errors.New("no such session")
	// ErrLoginOvertaken means that a login came to nothing, since the account or the
	// client was removed, disabled, or given another password while it was checked.
	ErrLoginOvertaken = errors.New("the account or the client was removed, disabled, or given another password during the login")
	// ErrRefreshInvalid means that a refresh token opens nothing: it is unknown, or
	// its session has ended.
	ErrRefreshInvalid = errors.New("the refresh token is unknown, or its session has ended")
	// ErrRefreshReused means that a refresh token was used before, so that two have
	// it; its session has been revoked.
	ErrRefreshReused = errors.New("the refresh token was used before; its session is revoked")
)
