package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/gateway"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// Limits against slow and greedy clients. They are constants until somebody
// needs another value.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	maxBodyBytes      = 1 << 20
)

// Server is one running Stagedoor. Make it with [New], run it with
// [Server.Run], and give it back with [Server.Close].
type Server struct {
	cfg           Config
	logger        *slog.Logger
	store         *store.Store
	accounts      *account.Directory
	clients       *account.Clients
	sessions      *account.Sessions
	revocations   *account.Revocations
	authenticator *account.Authenticator
	events        *account.Events
	engine        *policy.Engine
	keyring       *token.Keyring
	trusted       *token.TrustedIssuers // nil where none are configured
	listener      net.Listener
	issuer        string
	http          *http.Server
	draining      atomic.Bool
	metrics       *metrics
	gateway       *gateway.Gateway
	document      *apiDocument // nil where none is configured
}

// New validates the configuration, opens the state, loads the policy and binds
// the address; it answers no request yet. A bad option is a [*ConfigError]. A
// policy that does not load is refused here: there is no last good one to fall
// back on. A nil logger discards.
func New(ctx context.Context, cfg Config, logger *slog.Logger) (_ *Server, err error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, logger: logger, metrics: newMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()

	if err := makeState(cfg.State); err != nil {
		return nil, err
	}
	// First, so that a second server, started by mistake, ends before it changes
	// anything.
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, &ConfigError{Option: "listen", Err: err}
	}
	// Neither needs the other, and they are most of a start.
	loaded := make(chan error, 1)
	go func() { loaded <- s.loadPolicy(ctx) }()
	err = s.openStore(ctx)
	if err = errors.Join(err, <-loaded); err != nil {
		return nil, err
	}
	handler, err := s.build(ctx)
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is no canonical target either: the gate answers it.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	if cfg.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, &ConfigError{Option: "tls-cert", Err: err}
		}
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

// loadPolicy makes the engine.
func (s *Server) loadPolicy(ctx context.Context) error {
	var err error
	if s.document, err = newAPIDocument(&s.cfg); err != nil {
		return err
	}
	source, err := s.source()
	if err != nil {
		return err
	}
	if s.engine, err = policy.New(ctx, source, s.policyOptions()); err != nil {
		return fmt.Errorf("loading the policy: %w", err)
	}
	if s.document != nil && !s.document.hasUpstream(s.engine.Current()) {
		return errNoUpstream
	}
	return nil
}

// openStore opens the state, and reads what is needed of it before the first
// request.
func (s *Server) openStore(ctx context.Context) (err error) {
	if s.store, err = OpenState(ctx, s.cfg.State); err != nil {
		return err
	}
	if s.revocations, err = account.OpenRevocations(ctx, s.store, account.RevocationOptions{Logger: s.logger}); err != nil {
		return err
	}
	s.accounts = account.New(s.store, account.Options{
		MaxBcryptCost: s.cfg.MaxBcryptCost, CacheBytes: cacheBytes(s.cfg.SubjectCacheMiB), Prepare: policy.PrepareSubject,
		Revocations: s.revocations,
	})
	if s.clients, err = account.OpenClients(ctx, s.store, account.ClientOptions{
		Revocations: s.revocations, Logger: s.logger, Prepare: policy.PrepareSubject, CheckJWKS: token.CheckJWKS,
	}); err != nil {
		return err
	}
	s.sessions = account.NewSessions(s.store, account.SessionOptions{Revocations: s.revocations, Logger: s.logger})
	s.events = account.NewEvents(s.store, account.EventOptions{})
	if err := s.settleIssuer(ctx); err != nil {
		return err
	}
	if s.trusted, err = s.cfg.trustedIssuers(s.issuer, s.logger); err != nil {
		return err
	}
	return s.openKeys(ctx)
}

// Addr is the address that the server listens on; with port 0 in the
// configuration, the port that the system chose.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is where the server answers on this machine.
func (s *Server) URL() string {
	if s.cfg.TLSCert != "" {
		return "https://" + s.Addr().String()
	}
	return "http://" + s.Addr().String()
}

// Issuer is the iss of the tokens that the server mints.
func (s *Server) Issuer() string { return s.issuer }

// Run serves until ctx ends, then stops accepting, lets requests in flight
// finish within the shutdown timeout, and returns nil. Any other end is an
// error.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		releaseMemory(ctx)
		return nil
	})
	group.Go(func() error { return s.engine.Watch(ctx) })
	group.Go(func() error { return s.newPoll().run(ctx) })
	group.Go(func() error { return s.tendKeys(ctx) })
	if s.trusted != nil {
		group.Go(func() error { return s.trusted.Run(ctx) })
	}
	group.Go(func() error {
		s.doChores(ctx)
		return nil
	})
	group.Go(func() error {
		serve := s.http.Serve
		if s.http.TLSConfig != nil {
			serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
		}
		if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving on %s: %w", s.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return s.shutdown()
	})
	return group.Wait()
}

// shutdown is bounded by the shutdown timeout; what is not finished then is cut
// off.
func (s *Server) shutdown() error {
	s.draining.Store(true)
	s.logger.Info("shutting down", "timeout", s.cfg.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.logger.Warn("requests were cut off", "error", err)
		return s.http.Close()
	}
	return nil
}

// Reload reads the policy again now, as SIGHUP asks for. The error says why the
// running policy was kept.
func (s *Server) Reload(ctx context.Context) error { return s.engine.Reload(ctx) }

// Close gives back what New took. It is safe to call at any time, once Run has
// returned or was never called.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.gateway != nil {
		s.gateway.Close()
	}
	if s.trusted != nil {
		s.trusted.Close()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// issuerSetting is the name under which the state remembers the issuer.
const issuerSetting = "issuer"

// settleIssuer decides what tokens name as iss. One that was configured is
// remembered; one that was not is what the state remembers, so that tokens
// survive a restart on another port.
func (s *Server) settleIssuer(ctx context.Context) (err error) {
	if s.cfg.Issuer == "" {
		if s.issuer, err = s.store.EnsureSetting(ctx, issuerSetting, s.URL()); err != nil {
			return fmt.Errorf("reading the issuer from the state: %w", err)
		}
		return nil
	}
	s.issuer = s.cfg.Issuer
	before, err := s.store.EnsureSetting(ctx, issuerSetting, s.issuer)
	if err != nil {
		return fmt.Errorf("reading the issuer from the state: %w", err)
	}
	if before == s.issuer {
		return nil
	}
	s.logger.Warn("the issuer has changed; tokens of the former one are refused", "from", before, "to", s.issuer)
	if err := s.store.SetSetting(ctx, issuerSetting, s.issuer); err != nil {
		return fmt.Errorf("keeping the issuer in the state: %w", err)
	}
	return nil
}
