package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// VerifyToken verifies a token as a server with this configuration and its state
// does for each request, and changes nothing. A refused token is an error that
// unwraps to an [authz.TokenError]; [ErrNoState] when there is no state to
// verify it with.
func VerifyToken(ctx context.Context, cfg Config, raw string) (err error) {
	opened, err := OpenExistingState(ctx, cfg.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()

	issuer, err := rememberedIssuer(ctx, cfg, opened)
	if err != nil {
		return err
	}
	keyring, err := existingKeys(ctx, opened, cfg)
	if err != nil {
		return err
	}
	trusted, err := cfg.trustedIssuers(issuer, nil)
	if err != nil {
		return err
	}
	if trusted != nil {
		defer trusted.Close()
	}
	revocations, err := account.OpenRevocations(ctx, opened, account.RevocationOptions{})
	if err != nil {
		return err
	}
	clients, err := account.OpenClients(ctx, opened, account.ClientOptions{})
	if err != nil {
		return err
	}
	verified, err := newVerifier(keyring, trusted, issuer, cmp.Or(cfg.Audience, issuer), cacheOff, revoked(clients, revocations)).Verify(ctx, raw)
	if err != nil || verified.External != nil {
		return err
	}
	_, err = account.Who{Accounts: account.New(opened, account.Options{}), Clients: clients}.Subject(ctx, verified.Subject)
	if errors.Is(err, account.ErrNotFound) {
		return fmt.Errorf("%w: there is no account or client with the id that it names", authz.TokenUnknownSubject)
	}
	return err
}

// newVerifier accepts the tokens of our own issuer, and of those that are trusted;
// trusted may be nil. The size of its cache is in bytes.
func newVerifier(keyring *token.Keyring, trusted *token.TrustedIssuers, issuer, audience string, cacheBytes int64, revoked func(context.Context, *token.Verified) (bool, error)) *token.Verifier {
	return token.NewVerifier(keyring, token.VerifierOptions{
		Issuer: issuer, Audience: audience, CacheBytes: cacheBytes, Trusted: trusted,
		Prepare: policy.PrepareClaims, PrepareSubject: policy.PrepareSubject, Revoked: revoked,
	})
}

// rememberedIssuer is the configured issuer or, without one, what the state
// remembers from the server's last start.
func rememberedIssuer(ctx context.Context, cfg Config, opened *store.Store) (string, error) {
	if cfg.Issuer != "" {
		return cfg.Issuer, nil
	}
	issuer, err := opened.Setting(ctx, issuerSetting)
	if err != nil {
		return "", fmt.Errorf("reading the issuer from the state: %w", err)
	}
	if issuer == "" {
		return "", errors.New("the state remembers no issuer, since no server has been started with it; name one with --issuer")
	}
	return issuer, nil
}

// existingKeys opens the keys of the state, and changes nothing there.
func existingKeys(ctx context.Context, opened *store.Store, cfg Config) (*token.Keyring, error) {
	secret, err := cfg.hs256Secret()
	if err != nil {
		return nil, err
	}
	options := token.KeyringOptions{HMACSecret: secret, Algorithm: token.HS256, ReadOnly: true}
	if secret == nil {
		stored, err := opened.Keys(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the signing keys: %w", err)
		}
		if len(stored) == 0 {
			return nil, errors.New("the state has no signing keys, since no server has been started with it; if the server is given an HS256 secret, name it with --hs256-secret-file")
		}
		options.Algorithm = stored[0].Algorithm
	}
	if options.Sealer, err = cfg.sealer(); err != nil {
		return nil, err
	}
	keyring, err := token.OpenKeyring(ctx, opened, options)
	if err != nil {
		return nil, fmt.Errorf("opening the signing keys: %w", err)
	}
	return keyring, nil
}
