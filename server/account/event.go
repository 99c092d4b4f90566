package account

import (
	"context"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/oklog/ulid/v2"
)

// Event is one entry of the audit log: what happened, to whom, by whom. It is
// written in the transaction of the change that it tells of. No member holds a
// password, secret or token.
type Event struct {
	// ID is a ULID.
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Action is one of [Actions], such as "login.succeeded".
	Action  string `json:"action"`
	Outcome string `json:"outcome"`
	// Reason is a code that says why an action failed, or was taken; it may be
	// empty.
	Reason string `json:"reason,omitempty"`
	// ActorKind and ActorID say who did it: an account, a client, the subject of
	// another issuer, the operator at the command line, the server itself, or somebody
	// who has not authenticated.
	ActorKind string `json:"actor_kind"`
	ActorID   string `json:"actor_id,omitempty"`
	// ClientID is the client that it is about; where it is about none, the one by
	// which it was done.
	ClientID string `json:"client_id,omitempty"`
	// AccountID is the account that it is about.
	AccountID string `json:"account_id,omitempty"`
	// TargetKind and TargetID name what was changed: a token by its jti, a session,
	// a client, a key by its kid, an account.
	TargetKind string `json:"target_kind,omitempty"`
	TargetID   string `json:"target_id,omitempty"`
	ClientIP   string `json:"client_ip,omitempty"`
	RequestID  string `json:"request_id,omitempty"`
	// Details are what else is worth knowing.
	Details map[string]string `json:"details,omitempty"`
}

// The outcomes of events.
const (
	Success = "success"
	Failure = "failure"
)

// The kinds of actors.
const (
	ActorAccount   = "account"
	ActorClient    = "client"
	ActorExternal  = "external" // by the id and the name of its issuer
	ActorOperator  = "operator"
	ActorAnonymous = "anonymous"
	ActorServer    = "server"
)

// Actor is who does something, and from where.
type Actor struct {
	Kind, ID  string
	ClientID  string
	ClientIP  string
	RequestID string
}

type actorKey struct{}

// WithActor has the events of changes that are made with the context name the
// actor.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom is the context's actor; the server itself where there is none.
func ActorFrom(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Kind: ActorServer}
}

// Effects are what a change brings with it, in the same transaction.
type Effects struct {
	Events []Event
	// Revoke ends sessions; nil ends none.
	Revoke *SessionRevocation
}

// EventStore keeps the audit log.
type EventStore interface {
	// InsertEvents adds to the log; all of them or none.
	InsertEvents(ctx context.Context, events []Event) error
	// Events lists those that the query asks for, the latest first.
	Events(ctx context.Context, query EventQuery) ([]Event, error)
	// PurgeEvents removes those before a time, and returns how many.
	PurgeEvents(ctx context.Context, before time.Time) (int, error)
}

// EventQuery says which events to list. An empty member does not restrict.
type EventQuery struct {
	// Since and Until bound At: Since <= At < Until.
	Since, Until time.Time
	Actions      []string
	// ActorKind and ActorID are who did it: all of a kind, or one.
	ActorKind, ActorID string
	AccountID          string
	ClientID           string
	Outcome            string
	// Before is the id of an event; those that come after it in the list are
	// wanted.
	Before string
	// Limit is how many to list. Default 100.
	Limit int
}

// EventOptions configure [Events].
type EventOptions struct {
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is where ids come from. Default crypto/rand.
	Rand io.Reader
}

// Events is the audit log, for those who read it and for what happens without a
// change of anything else.
type Events struct {
	store   EventStore
	stamp   stamp
	sparing sparing
}

// NewEvents makes one over a store.
func NewEvents(store EventStore, opts EventOptions) *Events {
	return &Events{store: store, stamp: newStamp(opts.Now, opts.Rand)}
}

// Record adds events to the log. When it returns an error, none is in it.
func (e *Events) Record(ctx context.Context, events ...Event) error {
	stamped, err := e.stamp.events(ctx, events)
	if err != nil {
		return err
	}
	if err := e.store.InsertEvents(ctx, stamped); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}

// List lists events, the latest first.
func (e *Events) List(ctx context.Context, query EventQuery) ([]Event, error) {
	const limit = 100
	if query.Limit <= 0 {
		query.Limit = limit
	}
	events, err := e.store.Events(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return events, nil
}

// Purge removes events that are older than the retention.
func (e *Events) Purge(ctx context.Context, retention time.Duration) (int, error) {
	purged, err := e.store.PurgeEvents(ctx, e.stamp.now().Add(-retention))
	if err != nil {
		return 0, fmt.Errorf("purging the audit log: %w", err)
	}
	return purged, nil
}

// stamp gives events, and what else is new, its id and time.
type stamp struct {
	now  func() time.Time
	rand io.Reader
	// ordered makes the ids of events grow, also within a millisecond: those of one
	// change have one time, and are listed in the order in which they were made.
	ordered *ulid.LockedMonotonicReader
}

func newStamp(now func() time.Time, random io.Reader) stamp {
	s := stamp{now: orTimeNow(now), rand: orCryptoRand(random)}
	s.ordered = &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(s.rand, 0)}
	return s
}

// moment is now, as exactly as a store keeps it.
func (s stamp) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// id makes a ULID that nobody can guess from another.
func (s stamp) id() (string, error) { return s.newID(s.now(), s.rand) }

func (stamp) newID(at time.Time, random io.Reader) (string, error) {
	id, err := ulid.New(ulid.Timestamp(at), random)
	if err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return id.String(), nil
}

// events gives events their ids, their time, and the context's actor where they
// name none themselves.
func (s stamp) events(ctx context.Context, events []Event) ([]Event, error) {
	actor, now := ActorFrom(ctx), s.moment()
	stamped := make([]Event, len(events))
	for i, e := range events {
		id, err := s.newID(now, s.ordered)
		if err != nil {
			return nil, err
		}
		e.ID, e.At, e.Details = id, now, maps.Clone(e.Details)
		if e.Outcome == "" {
			e.Outcome = Success
		}
		if e.ActorKind == "" {
			e.ActorKind, e.ActorID = actor.Kind, actor.ID
		}
		for _, member := range []struct {
			to   *string
			from string
		}{{&e.ClientID, actor.ClientID}, {&e.ClientIP, actor.ClientIP}, {&e.RequestID, actor.RequestID}} {
			if *member.to == "" {
				*member.to = member.from
			}
		}
		stamped[i] = e
	}
	return stamped, nil
}
