package token

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// TrustedIssuer is another issuer whose tokens are good here.
type TrustedIssuer struct {
	// Issuer is what iss must be, compared byte by byte. Of a legacy issuer, whose
	// tokens have no iss, it is a name.
	Issuer string
	// Audience are the values of which aud must be or contain one. At least one is
	// needed, but for a legacy issuer.
	Audience []string
	// Algorithms are those that the issuer signs with, out of
	// [PublicKeyAlgorithms]. Default RS256, ES256, EdDSA and PS256.
	Algorithms []string
	// Types are the values of typ that are accepted, empty for a token without one.
	// Default: "at+jwt", "JWT" and none.
	Types []string

	// JWKSURL is where the issuer's public keys are: https, or http on loopback.
	// Default: where its discovery document (OpenID Connect Discovery 1.0) says.
	JWKSURL string
	// JWKSFile is a file with the keys, read again every few minutes.
	JWKSFile string
	// CAFile has the certificates, in PEM, that the issuer's TLS is verified with.
	// Default: those of the system.
	CAFile string
	// BearerFile has a token to present when the keys are fetched, as a Kubernetes API
	// server may ask for. It is read at each time.
	BearerFile string

	// Secret makes the issuer one that signs with HS256 and this secret, at least 32
	// bytes. At most one may.
	Secret []byte
	// Legacy has the issuer own the tokens without iss. It needs Secret.
	Legacy bool

	// Leeway is how far the issuer's clock may differ from ours. Default 0.
	Leeway time.Duration
	// Require are claims that a token must have beside iss, exp and the subject.
	Require []Requirement
	// Subject is the claim that says who the token is about, as in [ClaimMapping].
	// Default sub.
	Subject string
	// Roles and Scopes say what the subject has.
	Roles, Scopes ClaimMapping
}

// IssuerError says which member of a [TrustedIssuer], as the configuration file
// calls it, can't be used.
type IssuerError struct {
	Member string
	Err    error
}

func (e *IssuerError) Error() string { return e.Member + " " + e.Err.Error() }
func (e *IssuerError) Unwrap() error { return e.Err }

// TrustedIssuersOptions is what trusted issuers share.
type TrustedIssuersOptions struct {
	// Interval is how often, at the most, an issuer's keys are fetched because a token
	// names one that is not known, or because the last time failed. Default 30 s.
	Interval time.Duration
	// Refresh is how often they are fetched anyway, so that what the issuer has taken
	// back is refused. Default 5 min.
	Refresh time.Duration
	// Logger tells of keys that could not be fetched or used. Default: discard.
	Logger *slog.Logger
	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

// TrustedIssuers are the other issuers of a [Verifier], each with its own rules and
// keys. Nothing is fetched before a token asks for it or Run is called, so an
// issuer that is down stops nobody but its own tokens. Without Run, a key that the
// issuer has taken back goes on verifying for up to a day. Close it.
type TrustedIssuers struct {
	issuers   map[string]*rules
	anonymous *rules
	remotes   []*remoteKeys
	ctx       context.Context //nolint:containedctx // that of fetches, which outlive the request that began them
	cancel    context.CancelFunc
	fetches   sync.WaitGroup
}

// NewTrustedIssuers checks the issuers; what is wrong with one is an
// [*IssuerError], wrapped with its place in the list.
func NewTrustedIssuers(list []TrustedIssuer, options TrustedIssuersOptions) (*TrustedIssuers, error) {
	options.Interval = cmp.Or(options.Interval, 30*time.Second)
	options.Refresh = cmp.Or(options.Refresh, 5*time.Minute)
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	if options.Now == nil {
		options.Now = time.Now
	}
	t := &TrustedIssuers{issuers: map[string]*rules{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	names, secrets := map[string]bool{}, 0
	for i := range list {
		issuer := &list[i]
		own, err := issuer.rules()
		if err == nil && names[issuer.Issuer] {
			err = &IssuerError{"issuer", fmt.Errorf("%q is there twice", issuer.Issuer)}
		}
		if issuer.Secret != nil {
			if secrets++; err == nil && secrets > 1 {
				err = &IssuerError{"hs256-secret-file", errors.New("is given for two issuers; only one may sign with HS256")}
			}
		}
		if err != nil {
			t.cancel()
			return nil, &IssuerPosition{Index: i, Err: err}
		}
		names[issuer.Issuer] = true
		if issuer.Secret != nil {
			own.keys = newFixedKey(issuer.Secret)
		} else {
			remote, err := newRemoteKeys(issuer, t, options)
			if err != nil {
				t.cancel()
				return nil, &IssuerPosition{Index: i, Err: err}
			}
			own.keys = remote
			t.remotes = append(t.remotes, remote)
		}
		if issuer.Legacy {
			t.anonymous = own
		} else {
			t.issuers[issuer.Issuer] = own
		}
	}
	return t, nil
}

// IssuerPosition says which issuer of the list an error is about.
type IssuerPosition struct {
	Index int
	Err   error
}

func (e *IssuerPosition) Error() string {
	return fmt.Sprintf("trusted issuer %d: %v", e.Index+1, e.Err)
}
func (e *IssuerPosition) Unwrap() error { return e.Err }

// Run fetches the issuers' keys, and goes on doing so until ctx ends.
func (t *TrustedIssuers) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, remote := range t.remotes {
		loops.Go(func() { remote.keep(ctx) })
	}
	loops.Wait()
	return nil
}

// Close ends the fetches that are under way.
func (t *TrustedIssuers) Close() {
	t.cancel()
	t.fetches.Wait()
}

// rules checks the issuer. The keys are added by the caller.
func (i *TrustedIssuer) rules() (*rules, error) {
	wrong := func(member, format string, args ...any) error {
		return &IssuerError{member, fmt.Errorf(format, args...)}
	}
	switch {
	case i.Issuer == "":
		return nil, wrong("issuer", "is missing: it is what iss is in the issuer's tokens")
	case i.Secret == nil && i.Legacy:
		return nil, wrong("legacy", "needs hs256-secret-file: only tokens that are signed with a shared secret may have no iss")
	case i.Secret == nil && i.JWKSURL != "" && i.JWKSFile != "":
		return nil, wrong("jwks-file", "and jwks are both given; an issuer has one source of keys")
	case i.Secret != nil && (i.JWKSURL != "" || i.JWKSFile != ""):
		return nil, wrong("hs256-secret-file", "and a JWK set are both given; an issuer has one source of keys")
	case i.Leeway < 0 || i.Leeway > 5*time.Minute:
		return nil, wrong("leeway", "%s is not between 0 and 5m", i.Leeway)
	case len(i.Audience) == 0 && !i.Legacy:
		return nil, wrong("audience", "is missing: it is what aud must be in tokens that are meant for this service")
	case slices.Contains(i.Audience, ""):
		return nil, wrong("audience", "has an empty value")
	}
	own := &rules{
		name: i.Issuer, external: &external{withoutAudience: len(i.Audience) == 0},
		audiences: i.Audience, required: []string{"iss", "exp"}, leeway: i.Leeway,
	}
	if i.Legacy {
		own.required = []string{"exp"}
	}
	if err := i.settleAlgorithms(own); err != nil {
		return nil, err
	}
	types := i.Types
	if types == nil {
		types = []string{accessTokenType, "JWT", ""}
	}
	for _, typ := range types {
		own.types = append(own.types, typ)
		if typ != "" && !strings.Contains(typ, "/") {
			own.types = append(own.types, "application/"+typ)
		}
	}
	var err error
	if own.external.subject, err = parseClaimPath(cmp.Or(i.Subject, "sub")); err != nil {
		return nil, &IssuerError{"subject", err}
	}
	for _, required := range i.Require {
		path, err := parseClaimPath(required.Claim)
		if err != nil {
			return nil, &IssuerError{"require", err}
		}
		own.external.require = append(own.external.require, requirement{path, required.AnyOf})
	}
	if own.external.roles, err = newNames("roles", i.Roles); err != nil {
		return nil, err
	}
	own.external.scopes, err = newNames("scopes", i.Scopes)
	return own, err
}

func (i *TrustedIssuer) settleAlgorithms(own *rules) error {
	if i.Secret != nil {
		switch {
		case i.Algorithms != nil && !slices.Equal(i.Algorithms, []string{HS256}):
			return &IssuerError{"algorithms", errors.New("must be HS256 where there is a hs256-secret-file")}
		case len(i.Secret) < minSecret:
			return &IssuerError{"hs256-secret-file", fmt.Errorf("holds %d bytes; HS256 needs at least %d (RFC 7518 section 3.2)", len(i.Secret), minSecret)}
		case bytes.Contains(i.Secret, []byte("-----BEGIN")):
			return &IssuerError{"hs256-secret-file", errors.New("is a PEM file: a key that others may have is no secret")}
		}
		own.algorithms = []string{HS256}
		return nil
	}
	own.algorithms = i.Algorithms
	if i.Algorithms == nil {
		own.algorithms = []string{RS256, ES256, EdDSA, "PS256"}
	}
	if len(own.algorithms) == 0 {
		return &IssuerError{"algorithms", errors.New("is empty")}
	}
	for _, algorithm := range own.algorithms {
		if !slices.Contains(PublicKeyAlgorithms(), algorithm) {
			return &IssuerError{"algorithms", fmt.Errorf("has %q, which is not one of %s", algorithm, strings.Join(PublicKeyAlgorithms(), ", "))}
		}
	}
	return nil
}

// checkFetchURL lets keys come only from where nobody on the way can replace them.
func checkFetchURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, err
	case u.User != nil:
		return nil, fmt.Errorf("must not contain a username or password")
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q is not an https URL", text)
	case u.Scheme == "https":
		return u, nil
	}
	host := u.Hostname()
	if address := net.ParseIP(host); strings.EqualFold(host, "localhost") || address != nil && address.IsLoopback() {
		return u, nil
	}
	return nil, fmt.Errorf("%q is not https; http is for loopback only, since whoever can change the keys on the way can make tokens", text)
}

// fixedKey is the one key of an issuer with a secret. Tokens need not name it.
type fixedKey struct{ key *verificationKey }

func newFixedKey(secret []byte) *fixedKey {
	return &fixedKey{newVerificationKey("", HS256, slices.Clone(secret))}
}

// find implements keySource.
func (f *fixedKey) find(context.Context, header, time.Time) (*verificationKey, bool) {
	return f.key, true
}

// holds implements keySource.
func (f *fixedKey) holds(key *verificationKey, _ time.Time) bool { return key == f.key }

// noRedirect has a redirect taken for an answer, which is then no JWK set.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
