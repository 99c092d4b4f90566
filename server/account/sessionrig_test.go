package account_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/store"
)

const (
	grace    = 10 * time.Second
	idle     = 24 * time.Hour
	absolute = 30 * 24 * time.Hour
	access   = 15 * time.Minute
)

// node is one process of a token service, on the rig's database.
type node struct {
	r           *rig
	store       *store.Store
	revocations *account.Revocations
	sessions    *account.Sessions
	clients     *account.Clients
	directory   *account.Directory
	events      *account.Events
}

func (r *rig) node(change ...func(*account.SessionOptions)) *node {
	r.t.Helper()
	opened, err := store.Open(r.t.Context(), store.Options{Path: r.path})
	r.must(err)
	// A test may have closed it.
	r.t.Cleanup(func() { _ = opened.Close() })
	n := &node{r: r, store: opened}
	n.revocations, err = account.OpenRevocations(r.t.Context(), opened, account.RevocationOptions{Now: r.clock.Now})
	r.must(err)
	opts := account.SessionOptions{Revocations: n.revocations, Now: r.clock.Now}
	for _, change := range change {
		change(&opts)
	}
	n.sessions = account.NewSessions(opened, opts)
	n.clients, err = account.OpenClients(r.t.Context(), opened, account.ClientOptions{Revocations: n.revocations, Now: r.clock.Now})
	r.must(err)
	n.directory = account.New(opened, account.Options{Hasher: r.hasher, Now: r.clock.Now, Revocations: n.revocations})
	n.events = account.NewEvents(opened, account.EventOptions{Now: r.clock.Now})
	return n
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// begin logs an account in.
func (n *node) begin(accountID string, change ...func(*account.NewSession)) (account.Session, string) {
	n.r.t.Helper()
	id, err := n.sessions.NewID()
	n.r.must(err)
	begun := account.NewSession{
		ID: id, AccountID: accountID, ClientID: account.FirstPartyClient, Scope: []string{"a"}, AMR: []string{"pwd"},
		Idle: idle, Absolute: absolute, AccessExpiry: n.r.clock.Now().Add(access), WithRefresh: true,
		ClientIP: "192.0.2.1", UserAgent: "curl/8", Events: []account.Event{{Action: account.TokenIssued, TargetKind: "token", TargetID: "jti"}},
	}
	for _, change := range change {
		change(&begun)
	}
	session, token, err := n.sessions.Begin(n.r.t.Context(), begun)
	n.r.must(err)
	return session, token
}

// refresh is a whole refresh.
func (n *node) refresh(ctx context.Context, token string) (string, error) {
	presented, err := n.sessions.Present(ctx, token)
	if err != nil {
		return "", err
	}
	return presented.Rotate(ctx, n.rotation())
}

func (n *node) rotation() account.Rotation {
	return account.Rotation{Idle: idle, AccessExpiry: n.r.clock.Now().Add(access), Events: []account.Event{{Action: account.TokenRefreshed}}}
}

func (n *node) mustRefresh(token string) string {
	n.r.t.Helper()
	next, err := n.refresh(n.r.t.Context(), token)
	n.r.must(err)
	return next
}

// revoked asks the gate's question.
func (n *node) revoked(want bool, token, session, when string) {
	n.r.t.Helper()
	if got, err := n.revocations.Revoked(n.r.t.Context(), token, session); err != nil || got != want {
		n.r.t.Errorf("%s: token %q of session %q: revoked %v (%v), want %v", when, token, session, got, err, want)
	}
}

// actions lists what the audit log tells of, the latest first.
func (n *node) actions(query account.EventQuery) []string {
	n.r.t.Helper()
	events, err := n.events.List(n.r.t.Context(), query)
	n.r.must(err)
	var actions []string
	for _, e := range events {
		actions = append(actions, e.Action)
	}
	return actions
}

// sql runs a statement beside the store, as only a test or a fault would.
func (r *rig) sql(statement string, args ...any) {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.path)
	r.must(err)
	defer func() {
		if err := db.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	_, err = db.Exec(statement, args...)
	r.must(err)
}

// dump is the whole of what a service keeps, for comparison.
func (r *rig) dump(t *testing.T) map[string]string {
	t.Helper()
	db, err := sql.Open("sqlite", r.path)
	r.must(err)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	kept := map[string]string{}
	for _, table := range []string{"accounts", "clients", "sessions", "refresh_tokens", "revocations", "events", "login_marks", "used_assertions"} {
		rows, err := db.Query("SELECT * FROM " + table)
		r.must(err)
		columns, err := rows.Columns()
		r.must(err)
		for rows.Next() {
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			r.must(rows.Scan(into...))
			for i, v := range values {
				kept[table] += columns[i] + "=" + v.String + " "
			}
			kept[table] += "\n"
		}
		r.must(rows.Err())
		r.must(rows.Close())
	}
	return kept
}
