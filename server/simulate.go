package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/oauth"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// Question is a request that nobody sends, to see what the policy says of it.
type Question struct {
	// Method and Target are the request line's, such as "GET" and "/items/?q=x".
	// The target must be canonical. Default: GET, and no default for Target.
	Method, Target string
	// Host is the Host header. Default "localhost".
	Host string
	// ClientIP is the caller's address. Default 127.0.0.1.
	ClientIP string
	// Headers are the request's. The policy sees those of the configuration's
	// PolicyHeaders. Credentials are User's business and must not be among them.
	Headers http.Header
	// User is the account that asks: its id, username or e-mail address. Empty:
	// nobody, no token is presented.
	User string
	// Scope is what the user asks for at login, separated by spaces. Empty: what a
	// login without a scope gets.
	Scope string
	// Resource is what the route's loader would find; nil for nothing.
	Resource map[string]any
	// Now is the moment of the request. Default: the present.
	Now time.Time
}

// Simulation is what a [Question] becomes.
type Simulation struct {
	// Request is the policy's question about the request; nil when the Question
	// has no Target.
	Request *authz.Request
	// Grant is the policy's question about the login that came before; nil without
	// a user.
	Grant *authz.GrantRequest
	// NoToken lists why the policy would not issue the user's token now. Request
	// then carries the claims of one issued before.
	NoToken []authz.Reason
}

// Simulate builds the inputs that the policy would get, by the code that builds
// the real ones: the user's token is made by the token service (and signed with
// a key made for that moment), and the request goes through a gate. Nothing is
// changed. [ErrNoState] when there is a user, but no state to look them up in;
// a [*route.TargetError] when the target is not canonical.
func Simulate(ctx context.Context, cfg Config, snapshot *policy.Snapshot, q Question) (_ *Simulation, err error) {
	q.Now = cmp.Or(q.Now, time.Now())
	ip, err := netip.ParseAddr(cmp.Or(q.ClientIP, "127.0.0.1"))
	if err != nil {
		return nil, fmt.Errorf("the client's address %q is no IP address", q.ClientIP)
	}
	rehearsal := &rehearsal{cfg: cfg, policy: fixedPolicy{snapshot}, now: func() time.Time { return q.Now }}
	result := &Simulation{}
	if q.User != "" {
		opened, err := OpenExistingState(ctx, cfg.State)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, opened.Close()) }()
		if err := rehearsal.logIn(ctx, opened, q, ip, result); err != nil {
			return nil, err
		}
	}
	if q.Target == "" {
		return result, nil
	}
	result.Request, err = rehearsal.ask(ctx, q, ip)
	return result, err
}

// rehearsal is what of a server is needed to build a policy's input.
type rehearsal struct {
	cfg      Config
	policy   fixedPolicy
	now      func() time.Time
	accounts *account.Directory
	issuer   string
	verifier *token.Verifier
	token    string
}

// fixedPolicy is the one snapshot that is asked about.
type fixedPolicy struct{ snapshot *policy.Snapshot }

func (f fixedPolicy) Current() *policy.Snapshot { return f.snapshot }

// logIn makes the user's token.
func (r *rehearsal) logIn(ctx context.Context, opened *store.Store, q Question, ip netip.Addr, result *Simulation) error {
	r.accounts = account.New(opened, account.Options{})
	found, err := r.accounts.Find(ctx, q.User)
	if err != nil {
		return err
	}
	// Without a first start there is no issuer yet; then it is the default one.
	if r.issuer, err = rememberedIssuer(ctx, r.cfg, opened); err != nil {
		r.issuer = "http://" + r.cfg.Listen
	}
	audience := cmp.Or(r.cfg.Audience, r.issuer)
	keyring, err := token.OpenKeyring(ctx, &token.MemoryKeys{}, token.KeyringOptions{Now: r.now})
	if err != nil {
		return err
	}
	r.verifier = token.NewVerifier(keyring, token.VerifierOptions{
		Issuer: r.issuer, Audience: audience, Prepare: policy.PrepareClaims, CacheBytes: cacheOff, Now: r.now,
	})
	service := oauth.New(oauth.Options{
		Policy: r.policy, Keyring: keyring, Issuer: r.issuer, Audience: audience,
		MaxLifetime: r.cfg.MaxTokenLifetime, Now: r.now,
	})
	preview, err := service.Preview(ctx, *found.Subject(), q.Scope, ip)
	if err != nil {
		return err
	}
	result.Grant = preview.Request
	if preview.Grant.Allow {
		r.token = preview.Token
		return nil
	}
	result.NoToken = preview.Grant.Reasons
	if len(result.NoToken) == 0 {
		result.NoToken = []authz.Reason{{Code: "denied", Message: "the policy gives no reason"}}
	}
	before := *found.Subject()
	before.Disabled = false
	if preview, err = service.Preview(ctx, before, q.Scope, ip); err != nil {
		return err
	}
	r.token = preview.Token
	return nil
}

// ask sends the request through a gate and takes the policy's question.
func (r *rehearsal) ask(ctx context.Context, q Question, ip netip.Addr) (*authz.Request, error) {
	options := gate.Options{Policy: r.policy, Realm: realm, Headers: r.cfg.PolicyHeaders, Now: r.now}
	if r.verifier != nil {
		options.Tokens, options.Subjects, options.Issuer = r.verifier, r.accounts, r.issuer
	}
	door, err := gate.New(options)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, cmp.Or(q.Method, http.MethodGet), q.Target, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range q.Headers {
		if gate.CarriesCredentials(name) {
			return nil, fmt.Errorf("the header %s carries credentials; name the user instead", name)
		}
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	request.RequestURI = q.Target
	request.Host = cmp.Or(q.Host, "localhost")
	request.RemoteAddr = netip.AddrPortFrom(ip, 0).String()
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	asked, err := door.Question(request)
	if err != nil {
		return nil, err
	}
	// Shown even where the policy doesn't read it, and a server would not load it.
	if asked.Route != "" && asked.Preflight == "" {
		asked.Resource = q.Resource
	}
	return asked, nil
}
