package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// refreshPrefix marks refresh tokens for people, and for scanners of leaked secrets.
const refreshPrefix = "sdr_"

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
	if !strings.HasPrefix(refreshToken, refreshPrefix) || len(refreshToken) != len(refreshPrefix)+base64.RawURLEncoding.EncodedLen(secretBytes) {
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
	next, err := newSecret(refreshPrefix, s.stamp.rand)
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

// refreshHash is what a refresh token is kept as. It has 256 random bits: a slow
// hash would protect nothing.
func refreshHash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
