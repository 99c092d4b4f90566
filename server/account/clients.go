package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// ClientOptions configure [Clients].
type ClientOptions struct {
	// Revocations is told of the sessions that end with a client. Default: nobody.
	Revocations *Revocations
	// Logger gets a line for every change. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is where secrets come from. Default crypto/rand.
	Rand io.Reader
	// Prepare makes the policy engine's own form of a subject; see [Options].
	Prepare func(*authz.Subject) any
	// CheckJWKS judges the public keys that a client is given: whether its assertions
	// can be verified with them. Default: they are looked at when one is.
	CheckJWKS func(jwks []byte) error
}

// Clients administers clients, and answers who one is. All of them are in memory:
// there are as many as there are programs. It is safe for concurrent use, also by
// several processes on one store.
//
// Errors: [ErrClientNotFound], [ErrClientExists], [*InvalidError] (several are
// joined); any other is the store's.
type Clients struct {
	store       ClientStore
	revocations *Revocations
	logger      *slog.Logger
	stamp       stamp
	prepare     func(*authz.Subject) any
	checkJWKS   func(jwks []byte) error

	reload sync.Mutex
	// changes is the store's count of them, or one of before, when the clients in
	// memory were read.
	changes int64
	known   atomic.Pointer[map[string]*knownClient]
	doubt   doubt // the store may hold something else
}

// knownClient is a client with its subject. It is never changed.
type knownClient struct {
	client  Client
	subject *authz.Subject
}

// OpenClients reads the clients that there are.
func OpenClients(ctx context.Context, store ClientStore, opts ClientOptions) (*Clients, error) {
	c := &Clients{
		store: store, revocations: opts.Revocations, logger: orDiscard(opts.Logger),
		stamp: newStamp(opts.Now, opts.Rand), prepare: opts.Prepare, checkJWKS: opts.CheckJWKS,
	}
	if err := c.Reload(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads what has become of the clients, by whomever. After an error they are
// in doubt.
func (c *Clients) Reload(ctx context.Context) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	mark := c.doubt.mark()
	// Before the clients are: what changes in between is read at the next reload, too.
	changes, err := c.store.ClientChanges(ctx)
	if err == nil && c.known.Load() != nil && changes == c.changes {
		// The store changes with each login, its clients seldom do.
		c.doubt.settle(mark)
		return nil
	}
	var stored []Client
	if err == nil {
		stored, err = c.store.Clients(ctx)
	}
	if err != nil {
		c.doubt.raise()
		return fmt.Errorf("reading the clients: %w", err)
	}
	known := make(map[string]*knownClient, len(stored))
	for _, client := range stored {
		known[client.ID] = c.know(client)
	}
	c.known.Store(&known)
	c.changes = changes
	c.doubt.settle(mark)
	return nil
}

func (c *Clients) know(client Client) *knownClient {
	k := &knownClient{client: client, subject: client.Subject()}
	if c.prepare != nil {
		k.subject.Prepared = c.prepare(k.subject)
	}
	return k
}

// Doubt says that the clients may have been changed in a way that can't be read
// now: until the next [Clients.Reload] that succeeds, each question goes to the
// store.
func (c *Clients) Doubt() { c.doubt.raise() }

// look finds a client in memory or, in doubt, in the store.
func (c *Clients) look(ctx context.Context, id string) (*knownClient, error) {
	if !c.doubt.is() {
		if known := c.known.Load(); known != nil {
			if k, found := (*known)[id]; found {
				return k, nil
			}
		}
		return nil, ErrClientNotFound
	}
	client, err := c.store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.know(client), nil
}

// Find returns the client of that id, the built-in one, too. What it returns is
// shared, and must not be changed.
func (c *Clients) Find(ctx context.Context, id string) (Client, error) {
	if id == FirstPartyClient {
		return FirstParty(), nil
	}
	k, err := c.look(ctx, id)
	if err != nil {
		return Client{}, fmt.Errorf("finding the client %q: %w", shorten(id), err)
	}
	return k.client, nil
}

// Subject is who the client of that id is now; [ErrClientNotFound] when it is gone.
// It is shared, and must not be changed.
func (c *Clients) Subject(ctx context.Context, id string) (*authz.Subject, error) {
	k, err := c.look(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("looking up the client %q: %w", shorten(id), err)
	}
	return k.subject, nil
}

// Live reports whether a token that was issued by way of the client at a time is
// good: the client is there, not disabled, and was neither removed nor disabled
// since. An error is the store's.
func (c *Clients) Live(ctx context.Context, id string, issued time.Time) (bool, error) {
	if id == FirstPartyClient {
		return true, nil
	}
	k, err := c.look(ctx, id)
	switch {
	case errors.Is(err, ErrClientNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking up a token's client: %w", err)
	}
	// A token says when it was issued in whole seconds.
	return !k.client.Disabled && !issued.Before(k.client.TokensFrom.Truncate(time.Second)), nil
}

// List returns all stored clients, by id.
func (c *Clients) List(ctx context.Context) ([]Client, error) {
	clients, err := c.store.Clients(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing clients: %w", err)
	}
	return clients, nil
}

// Create adds a client and returns it as stored, with the secret that was made for
// it: empty unless it authenticates by one. The secret can't be had again.
func (c *Clients) Create(ctx context.Context, client Client) (Client, string, error) {
	secret, err := newSecret(secretPrefix, c.stamp.rand)
	if err != nil {
		return Client{}, "", err
	}
	created, err := c.insert(ctx, client, secret)
	if err != nil || created.AuthMethod != AuthSecret {
		secret = ""
	}
	return created, secret, err
}

// CreateWithSecret is Create with a secret from outside; see [CheckClientSecret].
func (c *Clients) CreateWithSecret(ctx context.Context, client Client, secret string) (Client, error) {
	if err := CheckClientSecret(secret); err != nil {
		return Client{}, err
	}
	if err := client.checkAuthentication(); err == nil && client.AuthMethod != AuthSecret {
		return Client{}, invalid("client_secret", "is for %s, and the client authenticates by %s", AuthSecret, client.AuthMethod)
	}
	return c.insert(ctx, client, secret)
}

func (c *Clients) insert(ctx context.Context, client Client, secret string) (Client, error) {
	if err := client.normalize(); err != nil {
		return Client{}, err
	}
	if err := c.checkKeys(nil, client.JWKS); err != nil {
		return Client{}, err
	}
	now := c.stamp.moment()
	client.CreatedAt, client.UpdatedAt, client.TokensFrom, client.Secrets = now, now, now, nil
	if client.AuthMethod == AuthSecret {
		if err := CheckClientSecret(secret); err != nil {
			return Client{}, err
		}
		client.replaceSecret(secret, now, now)
	}
	events, err := c.stamp.events(ctx, []Event{clientEvent(ClientCreated, client.ID)})
	if err != nil {
		return Client{}, err
	}
	err = c.store.InsertClient(ctx, client, Effects{Events: events})
	c.catchUp(ctx)
	if err != nil {
		return Client{}, fmt.Errorf("adding the client %s: %w", client.ID, err)
	}
	c.logger.Info("client created", "client_id", client.ID)
	return client, nil
}

// Update hands the client to change and stores what becomes of it, in one
// transaction; an error of change leaves everything as it was. change must be quick
// and must not use Clients. It can't change ID, CreatedAt and Secrets. One that is
// disabled loses its sessions.
func (c *Clients) Update(ctx context.Context, id string, change func(*Client) error) (Client, error) {
	return c.update(ctx, id, func(client *Client) (string, error) {
		secrets := slices.Clone(client.Secrets)
		if err := change(client); err != nil {
			return "", err
		}
		client.Secrets = secrets
		return ClientChanged, nil
	})
}

// RotateSecret gives the client a new secret. Its former ones are good for the
// overlap yet; not at all where that is 0.
func (c *Clients) RotateSecret(ctx context.Context, id string, overlap time.Duration) (string, error) {
	secret, err := newSecret(secretPrefix, c.stamp.rand)
	if err != nil {
		return "", err
	}
	now := c.stamp.moment()
	_, err = c.update(ctx, id, func(client *Client) (string, error) {
		if client.AuthMethod != AuthSecret {
			return "", invalid("token_endpoint_auth_method", "is %s: the client has no secret", client.AuthMethod)
		}
		client.replaceSecret(secret, now, now.Add(max(overlap, 0)))
		return ClientSecretRotated, nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// update is every change: change says which it was.
func (c *Clients) update(ctx context.Context, id string, change func(*Client) (action string, err error)) (Client, error) {
	if id == FirstPartyClient {
		return Client{}, invalid("client_id", "%q is the built-in client, which can't be changed; add one of your own", id)
	}
	updated, err := c.store.UpdateClient(ctx, id, func(client *Client, effects *Effects) error {
		// A whole copy: change may write into the lists.
		before := client.clone()
		action, err := change(client)
		if err != nil {
			return err
		}
		client.ID, client.CreatedAt, client.UpdatedAt, client.TokensFrom = before.ID, before.CreatedAt, c.stamp.moment(), before.TokensFrom
		if before.Disabled && !client.Disabled {
			client.TokensFrom = client.UpdatedAt
		}
		if err := client.normalize(); err != nil {
			return err
		}
		if err := c.checkKeys(before.JWKS, client.JWKS); err != nil {
			return err
		}
		if client.AuthMethod == AuthSecret && len(client.Secrets) == 0 && before.AuthMethod != AuthSecret {
			return invalid("token_endpoint_auth_method", "can't become %s, since the client has no secret: remove it and add it again", AuthSecret)
		}
		*effects, err = c.effects(ctx, action, &before, client)
		return err
	})
	c.catchUp(ctx)
	c.revocations.catchUp(ctx)
	if err != nil {
		return Client{}, fmt.Errorf("changing the client %s: %w", shorten(id), err)
	}
	c.logger.Info("client changed", "client_id", updated.ID)
	return updated, nil
}

// Remove removes the client, and ends its sessions. An error of a check, which is
// handed what is stored in the same transaction, leaves everything as it was.
func (c *Clients) Remove(ctx context.Context, id string, checks ...func(*Client) error) error {
	if id == FirstPartyClient {
		return invalid("client_id", "%q is the built-in client, which can't be removed; data/tokens.yaml says which grants are open", id)
	}
	events, err := c.stamp.events(ctx, []Event{clientEvent(ClientRemoved, id)})
	if err != nil {
		return err
	}
	err = c.store.RemoveClient(ctx, id, Effects{
		Events: events,
		Revoke: &SessionRevocation{ClientID: id, Reason: "the client was removed", At: c.stamp.moment()},
	}, checks...)
	c.catchUp(ctx)
	c.revocations.catchUp(ctx)
	if err != nil {
		return fmt.Errorf("removing the client %s: %w", shorten(id), err)
	}
	c.logger.Info("client removed", "client_id", id)
	return nil
}

// EnsureClient adds a client, with a secret where it authenticates by one, unless
// there is one of its id. It reports whether it did.
func (c *Clients) EnsureClient(ctx context.Context, client Client, secret string) (bool, error) {
	_, err := c.insert(ctx, client, secret)
	if errors.Is(err, ErrClientExists) {
		return false, nil
	}
	return err == nil, err
}

// UseAssertion notes that a client has used the assertion of that jti;
// [ErrAssertionUsed] when it had before, in whatever process.
func (c *Clients) UseAssertion(ctx context.Context, clientID, jti string, expiry time.Time) error {
	// A verifier's leeway lets one pass that has expired, which is then to be known
	// still.
	if err := c.store.UseAssertion(ctx, clientID, jti, expiry.Add(RevocationMargin), c.stamp.now()); err != nil {
		return fmt.Errorf("noting an assertion: %w", err)
	}
	return nil
}

// catchUp reads what this process has just stored; where that fails the clients are
// in doubt, so that what was stored holds all the same.
func (c *Clients) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := c.Reload(ctx); err != nil {
		c.logger.Error("the clients could not be read back; until they can, the store is asked at each request", "error", err)
	}
}
