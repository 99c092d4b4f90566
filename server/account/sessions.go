package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
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
	sessionKept = 24 * time.Hour
	// refreshPrefix marks refresh tokens for people, and for scanners of leaked
	// secrets.
	refreshPrefix = "sdr_"
	// refreshBytes is the randomness of a refresh token (RFC 6749 section 10.10 asks
	// for 160 bits).
	refreshBytes = 32
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
		if text, err = s.newToken(); err != nil {
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

// Presented is a refresh token that somebody has presented and that may be
// exchanged.
type Presented struct {
	Session Session
	// Retry says that it was exchanged before, so short a time ago that the client
	// may have missed the answer.
	Retry bool

	sessions *Sessions
	text     string
}

// Present finds the session of a refresh token. [ErrRefreshInvalid]: it opens
// nothing. [ErrRefreshReused]: it was used before, longer ago than the grace; the
// session is revoked when it returns. Any other error is the store's.
func (s *Sessions) Present(ctx context.Context, refreshToken string) (*Presented, error) {
	token, session, err := s.find(ctx, refreshToken)
	if err != nil {
		return nil, err
	}
	if s.reused(&token) {
		return nil, s.punish(ctx, &session)
	}
	return &Presented{Session: session, Retry: !token.UsedAt.IsZero(), sessions: s, text: refreshToken}, nil
}

// Peek is the session of a refresh token that is good and was not used yet; nil for
// any other. Nothing is changed.
func (s *Sessions) Peek(ctx context.Context, refreshToken string) (*Session, error) {
	token, session, err := s.find(ctx, refreshToken)
	switch {
	case errors.Is(err, ErrRefreshInvalid):
		return nil, nil
	case err != nil:
		return nil, err
	case !token.UsedAt.IsZero():
		return nil, nil
	}
	return &session, nil
}

// find finds a token whose session is live.
func (s *Sessions) find(ctx context.Context, refreshToken string) (RefreshToken, Session, error) {
	if !strings.HasPrefix(refreshToken, refreshPrefix) || len(refreshToken) != len(refreshPrefix)+base64.RawURLEncoding.EncodedLen(refreshBytes) {
		return RefreshToken{}, Session{}, ErrRefreshInvalid
	}
	token, session, err := s.store.RefreshToken(ctx, refreshHash(refreshToken))
	switch {
	case errors.Is(err, ErrSessionNotFound):
		return RefreshToken{}, Session{}, ErrRefreshInvalid
	case err != nil:
		return RefreshToken{}, Session{}, fmt.Errorf("looking up a refresh token: %w", err)
	case !session.Live(s.stamp.now()):
		return RefreshToken{}, Session{}, ErrRefreshInvalid
	}
	return token, session, nil
}

// reused reports whether a token was used before, and a lost answer can't be why it
// is presented again.
func (s *Sessions) reused(token *RefreshToken) bool {
	if token.UsedAt.IsZero() {
		return false
	}
	// Long before its use: the clock was set back, and that must not lengthen the
	// grace.
	ago := s.stamp.now().Sub(token.UsedAt)
	return token.Successor == nil || ago >= s.grace || ago < -clockSkew
}

// punish revokes the session of a token that two have. It does not stop when the
// client goes away: a thief would get around it.
func (s *Sessions) punish(ctx context.Context, session *Session) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	const reason = "a refresh token was used again"
	_, err := s.revoke(ctx, SessionRevocation{SessionID: session.ID, Reason: reason}, Event{
		Action: TokenRefreshReused, Outcome: Failure, AccountID: session.AccountID, ClientID: session.ClientID,
		TargetKind: "session", TargetID: session.ID,
	})
	if err != nil {
		return err
	}
	s.logger.Warn("a refresh token was used again; its session is revoked", "session", session.ID, "account", session.AccountID, "client_id", session.ClientID)
	return ErrRefreshReused
}

// Rotation is what a refresh has led to.
type Rotation struct {
	// Idle is how long the session lives without use from now on.
	Idle time.Duration
	// Absolute, when positive, is how long the session may live from its beginning;
	// it can only be shortened.
	Absolute time.Duration
	// AccessExpiry is when the access token expires that is about to be handed out.
	AccessExpiry time.Time
	Events       []Event
}

// Rotate exchanges the token for its successor. Of several calls for one token, in
// whatever processes, all within the grace get the same. On an error the client
// gets nothing and the token is as it was; [ErrRefreshInvalid] and
// [ErrRefreshReused] are as with [Sessions.Present].
func (p *Presented) Rotate(ctx context.Context, rotation Rotation) (string, error) {
	s := p.sessions
	next, err := s.newToken()
	if err != nil {
		return "", err
	}
	var sealed []byte // without a grace nobody is to read it
	if s.grace > 0 {
		if sealed, err = seal(p.text, next, s.stamp.rand); err != nil {
			return "", err
		}
	}
	events, err := s.stamp.events(ctx, rotation.Events)
	if err != nil {
		return "", err
	}
	hash := refreshHash(p.text)
	var kept []byte // the successor that is there already
	reused := false
	err = s.store.RotateRefreshToken(ctx, hash, func(token *RefreshToken, session *Session, effects *Effects) (*RefreshToken, error) {
		now := s.stamp.moment()
		kept, reused = nil, false
		switch {
		case !session.Live(now):
			return nil, ErrRefreshInvalid
		case s.reused(token):
			reused = true
			return nil, ErrRefreshReused
		}
		effects.Events = events
		session.LastUsedAt = now
		if rotation.AccessExpiry.After(session.AccessExpiresAt) {
			session.AccessExpiresAt = storable(rotation.AccessExpiry)
		}
		if !token.UsedAt.IsZero() {
			// The access token is a new one all the same: the session has to know when
			// its last one expires.
			kept = token.Successor
			return nil, nil
		}
		session.IdleExpiresAt = now.Add(rotation.Idle)
		if ends := session.CreatedAt.Add(rotation.Absolute); rotation.Absolute > 0 && ends.Before(session.ExpiresAt) {
			session.ExpiresAt = ends
		}
		token.UsedAt, token.Successor = now, sealed
		return &RefreshToken{Hash: refreshHash(next), SessionID: session.ID, CreatedAt: now}, nil
	})
	switch {
	case reused:
		return "", s.punish(ctx, &p.Session)
	case errors.Is(err, ErrSessionNotFound), errors.Is(err, ErrRefreshInvalid):
		return "", ErrRefreshInvalid
	case err != nil:
		return "", fmt.Errorf("rotating a refresh token: %w", err)
	case kept != nil:
		return open(p.text, kept)
	}
	return next, nil
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

// newToken makes the text of a refresh token.
func (s *Sessions) newToken() (string, error) {
	secret := make([]byte, refreshBytes)
	if _, err := io.ReadFull(s.stamp.rand, secret); err != nil {
		return "", fmt.Errorf("making a refresh token: %w", err)
	}
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(secret), nil
}

// refreshHash is what a refresh token is kept as. It has 256 random bits: a slow
// hash would protect nothing.
func refreshHash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
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
