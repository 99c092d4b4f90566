package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// Config is everything that can be said to a server. Its zero value is not
// usable; start from [DefaultConfig]. Each field is one option of
// `stagedoor serve`, under the name in the field's comment.
type Config struct {
	// Listen (listen) is the TCP address to serve on. Default 127.0.0.1:8080.
	Listen string
	// Issuer (issuer) is the public URL that tokens name as iss (RFC 8414
	// section 2). Empty: the one that the state remembers, or else the listening
	// address. It must be given when listening beyond loopback.
	Issuer string
	// State (state) is the directory of everything the server writes. Default
	// ./stagedoor-state. It is made if it is missing.
	State string
	// Policies and Data (policies, data) are directories to read and watch
	// instead of the embedded defaults. Empty: embedded.
	Policies, Data string
	// Upstream (upstream) is the URL of a service that gets the requests to every
	// declared route which neither the server itself serves nor an upstream of
	// data/upstreams.yaml. Empty: there is none.
	Upstream string
	// OpenAPI (openapi) is a file, an OpenAPI document whose routes are declared
	// beside those of Data, and go to an upstream. It is watched. Empty: there is none.
	OpenAPI string
	// Demo (demo) loads the demo accounts and the routes to protect.
	Demo bool

	// SigningAlgorithm (signing-algorithm) signs new tokens: EdDSA, ES256, RS256
	// or HS256. Default EdDSA.
	SigningAlgorithm string
	// HS256SecretFile (hs256-secret-file) names a file whose content is the
	// HS256 secret, at least 32 bytes. Empty: a random one, kept in the state.
	HS256SecretFile string
	// KeyRotation (key-rotation) is how long a key signs before the server makes its
	// successor; 0 leaves that to `stagedoor key rotate`. Default 2160 h (90 days).
	KeyRotation time.Duration
	// SecretKey (the variable STAGEDOOR_SECRET_KEY, and nothing else) encrypts the
	// signing keys at rest, at least 32 bytes. Empty: they are stored in clear.
	SecretKey string
	// SecretKeyFile (secret-key-file) names a file whose content is the same secret.
	SecretKeyFile string
	// TrustedIssuersFile (trusted-issuers) names a YAML file of other issuers whose
	// tokens are accepted. Empty: there are none.
	TrustedIssuersFile string
	// Audience (audience) is what tokens must be meant for. Default: the issuer.
	Audience string
	// MaxTokenLifetime (max-token-lifetime) caps what the policy may grant.
	// Default 24 h.
	MaxTokenLifetime time.Duration
	// MaxBcryptCost (max-bcrypt-cost) is the highest bcrypt cost that imported
	// hashes may have. Each step doubles the time that a failed login takes.
	// Default 12.
	MaxBcryptCost int
	// LoginThrottle (login-throttle) slows down repeated failures by account and
	// address. Default true.
	LoginThrottle bool

	// AuditRetention (audit-retention) is how long audit events are kept; 0 keeps them
	// all. Default 2160 h (90 days).
	AuditRetention time.Duration

	// TrustedProxies (trusted-proxies) lists addresses or CIDR ranges whose
	// X-Forwarded-* is believed, and which may ask at /forward-auth. Default none.
	TrustedProxies []string
	// CORSOrigins (cors-origins) lists origins that browsers may call from.
	// Default none.
	CORSOrigins []string
	// PolicyHeaders (policy-headers) lists the request headers that the policy
	// sees. Default none.
	PolicyHeaders []string
	// PolicyTimeout (policy-timeout) is the deadline of one decision, which may take
	// some 5,000 steps whatever the time. Default 100 ms.
	PolicyTimeout time.Duration
	// PolicyNetwork (policy-network) lets policies reach out (http.send,
	// net.lookup_ip_addr, opa.runtime). Default false.
	PolicyNetwork bool

	// TokenCacheMiB, DecisionCacheMiB and SubjectCacheMiB (token-cache,
	// decision-cache, subject-cache) bound the memory, in MiB, in which verified
	// tokens, decisions and subjects are kept. 0 keeps none. Default 32, 32 and 16.
	TokenCacheMiB, DecisionCacheMiB, SubjectCacheMiB int

	// TLSCert and TLSKey (tls-cert, tls-key) are PEM files. Both or neither.
	TLSCert, TLSKey string
	// ShutdownTimeout (shutdown-timeout) is how long requests in flight may take
	// to finish after SIGTERM. Default 10 s.
	ShutdownTimeout time.Duration
}

// DefaultConfig is what `stagedoor serve` starts from.
func DefaultConfig() Config {
	return Config{
		Listen:           "127.0.0.1:8080",
		State:            "stagedoor-state",
		SigningAlgorithm: "EdDSA",
		KeyRotation:      90 * 24 * time.Hour,
		MaxTokenLifetime: 24 * time.Hour,
		MaxBcryptCost:    12,
		LoginThrottle:    true,
		AuditRetention:   90 * 24 * time.Hour,
		PolicyTimeout:    100 * time.Millisecond,
		TokenCacheMiB:    32,
		DecisionCacheMiB: 32,
		SubjectCacheMiB:  16,
		ShutdownTimeout:  10 * time.Second,
	}
}

// ConfigError says which option is wrong, and why. The command line adds where
// the option was set.
type ConfigError struct {
	Option string
	// Value is the item that is wrong, where the option is a list.
	Value string
	Err   error
}

func (e *ConfigError) Error() string { return e.Option + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

func invalid(option, format string, args ...any) error {
	return &ConfigError{Option: option, Err: fmt.Errorf(format, args...)}
}

// Validate reports the first option that can't be used as a [*ConfigError].
func (c *Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return invalid("listen", "%q is not HOST:PORT, such as 127.0.0.1:8080", c.Listen)
	}
	if c.Issuer != "" {
		if err := validIssuer(c.Issuer); err != nil {
			return &ConfigError{Option: "issuer", Err: err}
		}
	} else if !isLoopback(host) {
		return invalid("listen", "%s is beyond loopback, which needs the public URL that clients use: set the issuer, such as --issuer https://auth.example.com", c.Listen)
	}
	if err := validState(c.State); err != nil {
		return err
	}
	if err := validDir("policies", c.Policies); err != nil {
		return err
	}
	if err := validDir("data", c.Data); err != nil {
		return err
	}
	if !slices.Contains(token.Algorithms(), c.SigningAlgorithm) {
		return invalid("signing-algorithm", "%q is not one of %s", c.SigningAlgorithm, strings.Join(token.Algorithms(), ", "))
	}
	if c.HS256SecretFile != "" && c.SigningAlgorithm != "HS256" {
		return invalid("hs256-secret-file", "is only for --signing-algorithm HS256, not %s", c.SigningAlgorithm)
	}
	if c.KeyRotation != 0 && c.KeyRotation < minKeyRotation {
		return invalid("key-rotation", "%s is shorter than %s; 0 turns it off", c.KeyRotation, minKeyRotation)
	}
	if _, err := c.sealer(); err != nil {
		return err
	}
	if c.MaxTokenLifetime < time.Second {
		return invalid("max-token-lifetime", "%s is shorter than a second", c.MaxTokenLifetime)
	}
	if c.MaxBcryptCost < 4 || c.MaxBcryptCost > 16 {
		return invalid("max-bcrypt-cost", "%d is not between 4 and 16", c.MaxBcryptCost)
	}
	if c.AuditRetention != 0 && c.AuditRetention < minAuditRetention {
		return invalid("audit-retention", "%s is shorter than %s; 0 keeps events for ever", c.AuditRetention, minAuditRetention)
	}
	if _, err := c.trustedProxies(); err != nil {
		return err
	}
	if c.Upstream != "" {
		if err := policy.CheckUpstreamURL(c.Upstream); err != nil {
			return &ConfigError{Option: "upstream", Err: err}
		}
	}
	if err := c.validOpenAPI(); err != nil {
		return err
	}
	for _, origin := range c.CORSOrigins {
		if err := gate.CheckOrigin(origin); err != nil {
			return &ConfigError{Option: "cors-origins", Value: origin, Err: err}
		}
	}
	for _, name := range c.PolicyHeaders {
		if err := gate.CheckHeader(name); err != nil {
			return &ConfigError{Option: "policy-headers", Value: name, Err: err}
		}
	}
	if c.PolicyTimeout <= 0 {
		return invalid("policy-timeout", "%s is not a positive duration", c.PolicyTimeout)
	}
	for _, cache := range []struct {
		option string
		mib    int
	}{{"token-cache", c.TokenCacheMiB}, {"decision-cache", c.DecisionCacheMiB}, {"subject-cache", c.SubjectCacheMiB}} {
		if cache.mib < 0 || cache.mib > maxCacheMiB {
			return invalid(cache.option, "%d is not between 0 (off) and %d MiB", cache.mib, maxCacheMiB)
		}
	}
	if c.ShutdownTimeout < 0 {
		return invalid("shutdown-timeout", "%s is negative", c.ShutdownTimeout)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		option := "tls-key"
		if c.TLSCert == "" {
			option = "tls-cert"
		}
		return invalid(option, "a certificate and its key go together: set both tls-cert and tls-key")
	}
	return nil
}

// minKeyRotation leaves a key time to be published before it signs.
const minKeyRotation = time.Hour

// minAuditRetention catches a retention in the wrong unit before it empties the
// audit log.
const minAuditRetention = time.Hour

// maxCacheMiB is the largest size of a cache; it is there to catch a size that was
// meant in bytes.
const maxCacheMiB = 64 << 10

// cacheBytes turns the size of a cache, as the configuration has it, into what
// the packages' options take: bytes, where a negative number is off.
func cacheBytes(mib int) int64 {
	if mib == 0 {
		return cacheOff
	}
	return int64(mib) << 20
}

// cacheOff turns off a cache of token, policy or account.
const cacheOff = -1

// validIssuer holds the shape of RFC 8414 section 2: an absolute URL without
// query or fragment. http is for loopback and for tests in closed networks.
func validIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return fmt.Errorf("%q is not an absolute http or https URL", issuer)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return fmt.Errorf("%q must have no query and no fragment (RFC 8414 section 2)", issuer)
	case u.User != nil:
		return errors.New("must not contain a username or password")
	}
	return nil
}

func validState(dir string) error {
	if dir == "" {
		return invalid("state", "needs a directory, such as ./stagedoor-state")
	}
	return nil
}

// validDir accepts an existing directory, or none.
func validDir(option, dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return &ConfigError{Option: option, Err: err}
	}
	if !info.IsDir() {
		return invalid(option, "%s is not a directory", dir)
	}
	return nil
}

// trustedProxies parses addresses and CIDR ranges alike.
func (c *Config) trustedProxies() ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(c.TrustedProxies))
	for _, text := range c.TrustedProxies {
		if addr, err := netip.ParseAddr(text); err == nil {
			addr = addr.Unmap()
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &ConfigError{Option: "trusted-proxies", Value: text, Err: fmt.Errorf("%q is not an address or a CIDR range, such as 10.0.0.0/8", text)}
		}
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96) // addresses are compared so
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
