package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/stagedoor/stagedoor/server"
)

// serveCmd is server.Config as flags. What each option means is said here for
// users, and in server.Config for engineers.
type serveCmd struct {
	Listen string `help:"Address to listen on. Default: ${default}." default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"STAGEDOOR_LISTEN" group:"Serving"`
	Issuer string `help:"Public URL, named by every token; needed when listening beyond loopback. The state remembers it." placeholder:"URL" env:"STAGEDOOR_ISSUER" group:"Serving"`
	Demo   bool   `help:"Load the demo users and clients, and serve the demo routes." env:"STAGEDOOR_DEMO" group:"Serving"`

	Upstream string `help:"URL of a service behind: declared routes that the server does not serve itself go there." placeholder:"URL" env:"STAGEDOOR_UPSTREAM" group:"Serving"`

	OpenAPI string `name:"openapi" help:"OpenAPI document (3.x) of that service, to serve and watch: its paths and their security are the routes." placeholder:"FILE" env:"STAGEDOOR_OPENAPI" group:"Serving"`

	TLSCert         string        `name:"tls-cert" help:"PEM file of the certificate chain." placeholder:"FILE" env:"STAGEDOOR_TLS_CERT" group:"Serving"`
	TLSKey          string        `name:"tls-key" help:"PEM file of its private key." placeholder:"FILE" env:"STAGEDOOR_TLS_KEY" group:"Serving"`
	TrustedProxies  []string      `help:"Addresses or CIDR ranges of proxies whose X-Forwarded-* is believed, and which may ask at /forward-auth." placeholder:"CIDR" env:"STAGEDOOR_TRUSTED_PROXIES" group:"Serving"`
	CORSOrigins     []string      `name:"cors-origins" help:"Origins that browsers may call from." placeholder:"ORIGIN" env:"STAGEDOOR_CORS_ORIGINS" group:"Serving"`
	ShutdownTimeout time.Duration `help:"How long requests in flight may take after SIGTERM." default:"10s" env:"STAGEDOOR_SHUTDOWN_TIMEOUT" group:"Serving"`
	CPUProfile      string        `name:"cpu-profile" help:"Write a CPU profile of the process until it stops; for go tool pprof." placeholder:"FILE" env:"STAGEDOOR_CPU_PROFILE" group:"Serving"`

	Policies      string        `help:"Directory of Rego to serve and watch, instead of the embedded policies." placeholder:"DIR" env:"STAGEDOOR_POLICIES" group:"Policy"`
	Data          string        `help:"Directory of the policy's data, instead of the embedded data." placeholder:"DIR" env:"STAGEDOOR_DATA" group:"Policy"`
	PolicyHeaders []string      `help:"Request headers that the policy sees." placeholder:"NAME" env:"STAGEDOOR_POLICY_HEADERS" group:"Policy"`
	PolicyTimeout time.Duration `help:"Deadline of one decision; past it the answer is 503." default:"100ms" env:"STAGEDOOR_POLICY_TIMEOUT" group:"Policy"`
	PolicyNetwork bool          `help:"Let policies reach out: http.send, net.lookup_ip_addr, opa.runtime." env:"STAGEDOOR_POLICY_NETWORK" group:"Policy"`

	TokenCache    int `help:"Memory for tokens that were verified, in MiB; 0 verifies each request's anew." default:"32" placeholder:"MIB" env:"STAGEDOOR_TOKEN_CACHE" group:"Memory"`
	DecisionCache int `help:"Memory for decisions, in MiB; 0 asks the policy at each request." default:"32" placeholder:"MIB" env:"STAGEDOOR_DECISION_CACHE" group:"Memory"`
	SubjectCache  int `help:"Memory for who the subjects are now, in MiB; 0 looks each request's up in the state." default:"16" placeholder:"MIB" env:"STAGEDOOR_SUBJECT_CACHE" group:"Memory"`

	SigningAlgorithm string        `help:"What signs new tokens: EdDSA, ES256, RS256 or HS256. Default: ${default}." default:"EdDSA" placeholder:"ALG" env:"STAGEDOOR_SIGNING_ALGORITHM" group:"Tokens and login"`
	HS256SecretFile  string        `name:"hs256-secret-file" help:"File with the HS256 secret, at least 32 bytes; without it a random one is made and kept." placeholder:"FILE" env:"STAGEDOOR_HS256_SECRET_FILE" group:"Tokens and login"`
	KeyRotation      time.Duration `help:"How long a key signs before the server makes its successor; 0 leaves that to stagedoor key rotate." default:"2160h" env:"STAGEDOOR_KEY_ROTATION" group:"Tokens and login"`
	secretFlag
	trustedFlag
	Audience         string        `help:"What tokens are meant for. Default: the issuer." placeholder:"URL" env:"STAGEDOOR_AUDIENCE" group:"Tokens and login"`
	MaxTokenLifetime time.Duration `help:"Longest lifetime that the policy can give a token." default:"24h" env:"STAGEDOOR_MAX_TOKEN_LIFETIME" group:"Tokens and login"`
	MaxBcryptCost    int           `help:"Highest cost of imported bcrypt hashes; every failed login takes as long as the slowest." default:"12" env:"STAGEDOOR_MAX_BCRYPT_COST" group:"Tokens and login"`
	LoginThrottle    bool          `help:"Slow down repeated failed logins." default:"true" negatable:"" env:"STAGEDOOR_LOGIN_THROTTLE" group:"Tokens and login"`
	AuditRetention   time.Duration `help:"How long audit events are kept; 0 keeps them for ever." default:"2160h" env:"STAGEDOOR_AUDIT_RETENTION" group:"Tokens and login"`
}

func (*serveCmd) Help() string {
	return `With no options at all it serves on http://127.0.0.1:8080, decides by the embedded policies, and keeps its state in ./stagedoor-state.

  stagedoor serve --demo                                  demo users and routes to try
  stagedoor init my && stagedoor serve --policies my/policies --data my/data
                                                          policies of your own, live as you save them
  stagedoor serve --upstream http://127.0.0.1:9000        in front of a service of yours
  stagedoor serve --upstream http://127.0.0.1:9000 --openapi openapi.yaml
                                                          its routes, as its own description has them
  stagedoor serve --config stagedoor.yaml                 the same options from a file

SIGHUP reloads the policy, SIGTERM shuts down gracefully.`
}

func (c *serveCmd) config(state string) server.Config {
	return server.Config{
		Listen: c.Listen, Issuer: c.Issuer, State: state, Demo: c.Demo, Upstream: c.Upstream, OpenAPI: c.OpenAPI,
		Policies: c.Policies, Data: c.Data,
		SigningAlgorithm: c.SigningAlgorithm, HS256SecretFile: c.HS256SecretFile, Audience: c.Audience,
		KeyRotation: c.KeyRotation, SecretKeyFile: c.SecretKeyFile, TrustedIssuersFile: c.TrustedIssuers,
		MaxTokenLifetime: c.MaxTokenLifetime, MaxBcryptCost: c.MaxBcryptCost, LoginThrottle: c.LoginThrottle,
		AuditRetention: c.AuditRetention,
		TrustedProxies: c.TrustedProxies, CORSOrigins: c.CORSOrigins,
		PolicyHeaders: c.PolicyHeaders, PolicyTimeout: c.PolicyTimeout, PolicyNetwork: c.PolicyNetwork,
		TokenCacheMiB: c.TokenCache, DecisionCacheMiB: c.DecisionCache, SubjectCacheMiB: c.SubjectCache,
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, ShutdownTimeout: c.ShutdownTimeout,
	}
}

// Run serves until SIGTERM or SIGINT.
func (c *serveCmd) Run(ctx context.Context, e *env) (err error) {
	stopProfile, err := startProfile(c.CPUProfile)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := stopProfile(); err == nil {
			err = stopErr
		}
	}()
	server.TuneMemory(e.logger)
	ctx = asServer(ctx)
	cfg := c.config(e.state)
	if err := c.fill(&cfg); err != nil {
		return err
	}
	s, err := server.New(ctx, cfg, e.logger)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	welcome, err := s.Welcome(ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(e.stdout, welcome); err != nil {
		return fmt.Errorf("printing what to try: %w", err)
	}

	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ctx, cancel := context.WithCancel(ctx)
	reloads := make(chan struct{})
	go func() {
		defer close(reloads)
		for {
			select {
			case <-hangups:
				// What was refused, and why, is logged by the engine.
				_ = s.Reload(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	err = s.Run(ctx)
	cancel()
	<-reloads
	return err
}
