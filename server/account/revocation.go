package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of revocations.
const (
	RevokedToken   = "token"   // by its jti
	RevokedSession = "session" // by its id, the sid of its tokens
)

// RevocationMargin is how long a revocation is kept after the last token that it
// is about has expired: longer than any leeway with which one is verified.
const RevocationMargin = 5 * time.Minute

const (
	// revocationKept is how long the store keeps a revocation that is over, for the
	// case that the clock by which it is over is ahead.
	revocationKept = 24 * time.Hour
	// sweepInterval is how often what is over is cleared out of memory while nothing
	// is revoked.
	sweepInterval = time.Minute
)

// Revocation takes back an access token, or all that came from a session, before
// they expire.
type Revocation struct {
	// Seq grows with each revocation that is stored.
	Seq       int64
	Kind, ID  string
	ExpiresAt time.Time
}

// RevocationStore keeps revocations. Those of sessions are stored by
// [SessionStore.RevokeSessions] and by whatever else has [Effects].
type RevocationStore interface {
	// Revoke stores a revocation; one that is there already stays.
	Revoke(ctx context.Context, revocation Revocation, events []Event) error
	// Revocations lists those after a seq that expire after a time, by seq.
	Revocations(ctx context.Context, after int64, expireAfter time.Time) ([]Revocation, error)
	// Revoked asks for a single token: whether its id or its session's, which may be
	// empty, is revoked.
	Revoked(ctx context.Context, tokenID, sessionID string) (bool, error)
	// PurgeRevocations removes those that expired before a time.
	PurgeRevocations(ctx context.Context, expiredBefore time.Time) error
}

// RevocationOptions configure [Revocations].
type RevocationOptions struct {
	// Logger gets a line when the store can't be read. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is where the ids of events come from. Default crypto/rand.
	Rand io.Reader
}

// Revocations is what the gate asks about every token. All that are in force are in
// memory, which the lifetime of tokens bounds. It is safe for concurrent use.
type Revocations struct {
	store  RevocationStore
	logger *slog.Logger
	stamp  stamp

	reload sync.Mutex
	known  atomic.Pointer[revoked]
	doubt  doubt // the store may know of more
}

// revoked is one state of the set. It is never changed.
type revoked struct {
	seq int64
	// at is when it was made.
	at               time.Time
	tokens, sessions map[string]time.Time // until when they are kept
}

// OpenRevocations reads what is in force.
func OpenRevocations(ctx context.Context, store RevocationStore, opts RevocationOptions) (*Revocations, error) {
	r := &Revocations{store: store, logger: orDiscard(opts.Logger), stamp: newStamp(opts.Now, opts.Rand)}
	r.known.Store(&revoked{})
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads what was revoked since the last time, by whomever. After an error
// the set is in doubt.
func (r *Revocations) Reload(ctx context.Context) error {
	r.reload.Lock()
	defer r.reload.Unlock()
	before, now, mark := r.known.Load(), r.stamp.now(), r.doubt.mark()
	if now.Before(before.at) {
		// The clock was set back: what was over by it may be in force again.
		before = &revoked{}
	}
	news, err := r.store.Revocations(ctx, before.seq, now)
	if err != nil {
		r.doubt.raise()
		return fmt.Errorf("reading what was revoked: %w", err)
	}
	if len(news) == 0 && !before.at.IsZero() && now.Sub(before.at) < sweepInterval {
		// The store changes with each login: this is not worth a copy of the sets.
		r.doubt.settle(mark)
		return nil
	}
	next := &revoked{seq: before.seq, at: now, tokens: unexpired(before.tokens, now, len(news)), sessions: unexpired(before.sessions, now, len(news))}
	for _, revocation := range news {
		next.seq = max(next.seq, revocation.Seq)
		switch revocation.Kind {
		case RevokedToken:
			next.tokens[revocation.ID] = revocation.ExpiresAt
		case RevokedSession:
			next.sessions[revocation.ID] = revocation.ExpiresAt
		}
	}
	r.known.Store(next)
	r.doubt.settle(mark)
	return nil
}

// unexpired copies what is still in force.
func unexpired(set map[string]time.Time, now time.Time, more int) map[string]time.Time {
	kept := maps.Clone(set)
	if kept == nil {
		kept = make(map[string]time.Time, more)
	}
	maps.DeleteFunc(kept, func(_ string, until time.Time) bool { return !now.Before(until) })
	return kept
}

// Doubt says that the store may hold revocations that can't be read now: until the
// next [Revocations.Reload] that succeeds, each question goes to the store.
func (r *Revocations) Doubt() { r.doubt.raise() }

// Revoked reports whether a token is revoked, by its jti or by its session, which
// may be empty. It answers from memory; an error is the store's, and comes only
// while the set is in doubt.
func (r *Revocations) Revoked(ctx context.Context, tokenID, sessionID string) (bool, error) {
	doubted := r.doubt.is()
	known := r.known.Load()
	if len(known.tokens) > 0 {
		if _, found := known.tokens[tokenID]; found {
			return true, nil
		}
	}
	if len(known.sessions) > 0 && sessionID != "" {
		if _, found := known.sessions[sessionID]; found {
			return true, nil
		}
	}
	if !doubted {
		return false, nil
	}
	found, err := r.store.Revoked(ctx, tokenID, sessionID)
	if err != nil {
		return false, fmt.Errorf("asking whether a token is revoked: %w", err)
	}
	return found, nil
}

// RevokeToken takes back one access token. When it returns nil, that is stored and
// [Revocations.Revoked] knows it. A token without a jti can't be taken back.
func (r *Revocations) RevokeToken(ctx context.Context, tokenID string, expiry time.Time, events ...Event) error {
	if tokenID == "" {
		return errors.New("revoking a token: it has no jti, by which it could be known")
	}
	stamped, err := r.stamp.events(ctx, events)
	if err != nil {
		return err
	}
	err = r.store.Revoke(ctx, Revocation{Kind: RevokedToken, ID: tokenID, ExpiresAt: storable(expiry.Add(RevocationMargin))}, stamped)
	// Even after an error: it may have been stored all the same.
	r.catchUp(ctx)
	if err != nil {
		return fmt.Errorf("revoking a token: %w", err)
	}
	return nil
}

// catchUp reads what this process has just stored. Where that fails the set is in
// doubt, so that what was stored holds all the same. r may be nil.
func (r *Revocations) catchUp(ctx context.Context) {
	if r == nil {
		return
	}
	// Whoever asked may have gone; what they asked for has been stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := r.Reload(ctx); err != nil {
		r.logger.Error("what was revoked could not be read back; until it can, the store is asked at each request", "error", err)
	}
}

// Purge removes those from the store that have been over for a day.
func (r *Revocations) Purge(ctx context.Context) error {
	if err := r.store.PurgeRevocations(ctx, r.stamp.now().Add(-revocationKept)); err != nil {
		return fmt.Errorf("purging revocations: %w", err)
	}
	return nil
}

// Count is how many are in force, as far as is known.
func (r *Revocations) Count() int {
	known := r.known.Load()
	return len(known.tokens) + len(known.sessions)
}
