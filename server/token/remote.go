package token

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fetchTimeout is how long fetching an issuer's keys may take, and so how long a
	// request may wait for them.
	fetchTimeout = 5 * time.Second
	// maxStale is how long keys are believed that could not be fetched again.
	maxStale = 24 * time.Hour
)

// remoteKeys are the keys of one trusted issuer, fetched when they are asked for
// and every few minutes. Each fetch replaces all of them.
type remoteKeys struct {
	issuer     string
	algorithms []string
	read       func(ctx context.Context) ([]byte, error)
	options    TrustedIssuersOptions
	owner      *TrustedIssuers
	logger     *slog.Logger

	current atomic.Pointer[fetched]

	mu      sync.Mutex
	running chan struct{} // closed when the fetch that is under way has ended; nil without one
	began   time.Time     // when the last fetch began
	failing bool
}

// fetched is a key set, and when it was true.
type fetched struct {
	keys keySet
	at   time.Time
}

func newRemoteKeys(issuer *TrustedIssuer, owner *TrustedIssuers, options TrustedIssuersOptions) (*remoteKeys, error) {
	r := &remoteKeys{
		issuer: issuer.Issuer, algorithms: issuer.Algorithms, options: options, owner: owner,
		logger: options.Logger.With("issuer", issuer.Issuer),
	}
	if r.algorithms == nil {
		r.algorithms = []string{RS256, ES256, EdDSA, "PS256"}
	}
	if issuer.JWKSFile != "" {
		r.read = func(context.Context) ([]byte, error) { return readBounded(issuer.JWKSFile) }
		return r, nil
	}
	client, err := newFetchClient(issuer.CAFile)
	if err != nil {
		return nil, &IssuerError{"ca-file", err}
	}
	source := &httpSource{client: client, issuer: issuer.Issuer, bearerFile: issuer.BearerFile}
	if issuer.JWKSURL != "" {
		if _, err := checkFetchURL(issuer.JWKSURL); err != nil {
			return nil, &IssuerError{"jwks", err}
		}
		source.jwks = issuer.JWKSURL
	} else if _, err := checkFetchURL(issuer.Issuer); err != nil {
		return nil, &IssuerError{"issuer", fmt.Errorf("can't be asked where its keys are: %w; name them with jwks or jwks-file", err)}
	}
	r.read = source.read
	return r, nil
}

// find implements keySource. A key that is not known is asked for, if the issuer
// was not asked a moment ago; requests that come meanwhile wait for the same answer.
func (r *remoteKeys) find(ctx context.Context, h header, now time.Time) (*verificationKey, bool) {
	if key, found := r.known(now).find(h); found {
		return key, true
	}
	r.fetch(ctx)
	return r.known(r.options.Now()).find(h)
}

// holds implements keySource.
func (r *remoteKeys) holds(key *verificationKey, now time.Time) bool {
	return slices.Contains(r.known(now), key)
}

// known are the keys, unless they are too old to be believed.
func (r *remoteKeys) known(now time.Time) keySet {
	f := r.current.Load()
	if f == nil || now.Sub(f.at) > maxStale {
		return nil
	}
	return f.keys
}

// fetch waits until the keys have been fetched, or ctx has ended. Where a fetch
// began less than the interval ago, and has ended, it does nothing.
func (r *remoteKeys) fetch(ctx context.Context) {
	r.mu.Lock()
	if r.running == nil {
		now := r.options.Now()
		if !r.began.IsZero() && now.Sub(r.began) < r.options.Interval && !now.Before(r.began) {
			r.mu.Unlock()
			return
		}
		if r.owner.ctx.Err() != nil {
			r.mu.Unlock()
			return
		}
		ended := make(chan struct{})
		r.began, r.running = now, ended
		// It belongs to no request: others wait for it too.
		r.owner.fetches.Go(func() {
			r.fetchOnce()
			r.mu.Lock()
			r.running = nil
			r.mu.Unlock()
			close(ended)
		})
	}
	running := r.running
	r.mu.Unlock()
	select {
	case <-running:
	case <-ctx.Done():
	}
}

func (r *remoteKeys) fetchOnce() {
	ctx, cancel := context.WithTimeout(r.owner.ctx, fetchTimeout)
	defer cancel()
	text, err := r.read(ctx)
	var set keySet
	var skipped []string
	if err == nil {
		set, skipped, err = readKeySet(text, r.algorithms)
	}
	r.mu.Lock()
	wasFailing := r.failing
	r.failing = err != nil
	r.mu.Unlock()
	if err != nil {
		if r.owner.ctx.Err() == nil {
			r.logger.Warn("a trusted issuer's keys can't be fetched; those that are known go on verifying for a day", "error", err)
		}
		return
	}
	previous := r.current.Load()
	if previous != nil {
		for i, key := range set {
			if same := slices.IndexFunc(previous.keys, func(before *verificationKey) bool { return key.verifiesAs(before) }); same >= 0 {
				set[i] = previous.keys[same]
			}
		}
	}
	r.current.Store(&fetched{set, r.options.Now()})
	if previous == nil || wasFailing || !sameKeys(previous.keys, set) {
		r.logger.Info("a trusted issuer's keys were fetched", "keys", len(set), "passed_over", skipped)
	}
}

func sameKeys(a, b keySet) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(key *verificationKey) bool { return !slices.Contains(b, key) })
}

// keep fetches the keys again and again until ctx ends.
func (r *remoteKeys) keep(ctx context.Context) {
	for {
		r.fetch(ctx)
		r.mu.Lock()
		wait := r.options.Refresh
		if r.failing {
			wait = r.options.Interval
		}
		r.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// httpSource reads an issuer's JWK set over HTTP.
type httpSource struct {
	client             *http.Client
	issuer, bearerFile string
	jwks               string // where the set is; empty: the discovery document says
}

func newFetchClient(caFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}, nil
}

// read fetches the set. The discovery document is asked each time, so that an
// issuer may move its keys.
func (s *httpSource) read(ctx context.Context) ([]byte, error) {
	jwks := s.jwks
	if jwks == "" {
		text, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		if jwks, err = discovered(text, s.issuer); err != nil {
			return nil, fmt.Errorf("the issuer's discovery document: %w", err)
		}
	}
	return s.get(ctx, jwks)
}

// discovered takes the place of the keys from a discovery document, whose issuer
// must be the one that was asked (OpenID Connect Discovery 1.0 section 4.3).
func discovered(text []byte, issuer string) (string, error) {
	if err := scanObject(text, nil); err != nil {
		return "", fmt.Errorf("it can't be read: %v", err) //nolint:errorlint // it says nothing of any token
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(text, &document); err != nil {
		return "", fmt.Errorf("it can't be read: %w", err)
	}
	if named, _ := decodeText(document["issuer"]); named != issuer {
		return "", fmt.Errorf("it names another issuer, %q", named)
	}
	jwks, _ := decodeText(document["jwks_uri"])
	if jwks == "" {
		return "", errors.New("it has no jwks_uri")
	}
	if _, err := checkFetchURL(jwks); err != nil {
		return "", fmt.Errorf("its jwks_uri: %w", err)
	}
	return jwks, nil
}

func (s *httpSource) get(ctx context.Context, from string) (_ []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	if s.bearerFile != "" && sameOrigin(request.URL, cmp.Or(s.jwks, s.issuer)) {
		bearer, err := readBounded(s.bearerFile)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(bearer)))
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", from, response.Status)
	}
	return readAll(response.Body)
}

// sameOrigin reports whether a URL is where the configuration points: the issuer's
// discovery document may name another server, which must not get the credential.
func sameOrigin(u *url.URL, configured string) bool {
	other, err := url.Parse(configured)
	return err == nil && u.Scheme == other.Scheme && u.Host == other.Host
}

func readBounded(name string) (_ []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return readAll(file)
}

// readAll reads at most the longest JWK set; what is longer is an error.
func readAll(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("it is longer than %d KiB", maxKeySet>>10)
	}
	return text, nil
}
