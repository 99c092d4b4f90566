package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// algorithmSetting is the name under which the state remembers what tokens are
// signed with, for the commands that change keys.
const algorithmSetting = "signing_algorithm"

// tendInterval is how often the keyring is asked whether it is time for something.
const tendInterval = time.Second

// openKeys opens the keyring that signs, and makes the first key.
func (s *Server) openKeys(ctx context.Context) error {
	secret, err := s.cfg.hs256Secret()
	if err != nil {
		return err
	}
	sealer, err := s.cfg.sealer()
	if err != nil {
		return err
	}
	s.keyring, err = token.OpenKeyring(ctx, s.store, token.KeyringOptions{
		Algorithm: s.cfg.SigningAlgorithm, HMACSecret: secret, Sealer: sealer,
		MaxLifetime: s.cfg.MaxTokenLifetime, RotateEvery: s.cfg.KeyRotation, Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("opening the signing keys: %w", err)
	}
	before, err := s.store.Setting(ctx, algorithmSetting)
	if err == nil && before != s.cfg.SigningAlgorithm {
		err = s.store.SetSetting(ctx, algorithmSetting, s.cfg.SigningAlgorithm)
	}
	if err != nil {
		return fmt.Errorf("keeping the signing algorithm in the state: %w", err)
	}
	return nil
}

// tendKeys has the keyring do what it is time for until ctx ends.
func (s *Server) tendKeys(ctx context.Context) error {
	ticker := time.NewTicker(tendInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.keyring.Tend(ctx); err != nil && ctx.Err() == nil {
				s.logger.Error("the signing keys can't be tended; tried again in a minute", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Keys are the signing keys of a state, for the command line. Close them.
type Keys struct {
	*token.KeyAdmin
	store *store.Store
}

// Close closes the state.
func (k *Keys) Close() error { return k.store.Close() }

// OpenKeys opens the keys of the state that the configuration names. Beside the
// state it is about the secret that they are encrypted with.
func OpenKeys(ctx context.Context, cfg Config) (_ *Keys, err error) {
	sealer, err := cfg.sealer()
	if err != nil {
		return nil, err
	}
	opened, err := OpenExistingState(ctx, cfg.State)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close())
		}
	}()
	algorithm, err := signingAlgorithm(ctx, opened)
	if err != nil {
		return nil, err
	}
	return &Keys{&token.KeyAdmin{Store: opened, Algorithm: algorithm, Sealer: sealer}, opened}, nil
}

// signingAlgorithm is what the server was last started with or, in a state of an
// older version, that of the youngest key.
func signingAlgorithm(ctx context.Context, opened *store.Store) (string, error) {
	algorithm, err := opened.Setting(ctx, algorithmSetting)
	if err != nil {
		return "", fmt.Errorf("reading the signing algorithm from the state: %w", err)
	}
	if algorithm != "" {
		return algorithm, nil
	}
	keys, err := opened.Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the signing keys: %w", err)
	}
	if len(keys) == 0 {
		return token.EdDSA, nil
	}
	return keys[len(keys)-1].Algorithm, nil
}

// sealer is what encrypts the keys at rest; nil where there is no secret.
func (c *Config) sealer() (*token.Sealer, error) {
	switch {
	case c.SecretKey != "" && c.SecretKeyFile != "":
		return nil, invalid("secret-key-file", "and STAGEDOOR_SECRET_KEY are both set; unset one of them")
	case c.SecretKey != "":
		sealer, err := token.NewSealer([]byte(c.SecretKey))
		if err != nil {
			return nil, fmt.Errorf("STAGEDOOR_SECRET_KEY: %w", err)
		}
		return sealer, nil
	case c.SecretKeyFile != "":
		return SealerFromFile("secret-key-file", c.SecretKeyFile)
	}
	return nil, nil
}

// SealerFromFile reads a secret from the file that an option names; white space
// around it, such as an editor's last newline, is no part of it.
func SealerFromFile(option, name string) (*token.Sealer, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, &ConfigError{Option: option, Err: err}
	}
	sealer, err := token.NewSealer(bytes.TrimSpace(text))
	if err != nil {
		return nil, &ConfigError{Option: option, Err: fmt.Errorf("%s: %w", name, err)}
	}
	return sealer, nil
}
