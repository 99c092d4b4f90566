package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// parts is a service whose every step is a fake that keeps what it was asked.
type parts struct {
	service *Service
	log     bytes.Buffer

	opening   authz.Grant
	openErr   error
	grant     authz.Grant
	decideErr error
	mintErr   error
	loginErr  error
	settleErr error
	beginErr  error

	steps      []string
	outcome    string
	begun      account.NewSession
	asked      *authz.GrantRequest
	registered token.Registered
	extra      map[string]any
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newParts() *parts {
	p := &parts{grant: authz.Grant{Allow: true, Scope: []string{"a", "b"}}}
	p.service = &Service{
		decide: func(_ context.Context, r *authz.GrantRequest) (authz.Grant, error) {
			if r.Subject == nil {
				p.steps = append(p.steps, "open")
				return p.opening, p.openErr
			}
			p.steps = append(p.steps, "decide")
			p.asked = r
			return p.grant, p.decideErr
		},
		mint: func(r token.Registered, extra map[string]any) (string, string, time.Time, error) {
			p.steps = append(p.steps, "sign")
			p.registered, p.extra = r, extra
			return "the.signed.token", "the-id", noon.Add(r.Lifetime), p.mintErr
		},
		jwks:     func() []byte { return []byte(`{"keys":[]}`) },
		grants:   map[string]grant{grantPassword: p},
		sessions: p, events: noEvents{}, observe: func(_, outcome string) { p.outcome = outcome },
		issuer: "https://issuer.example", audience: "https://api.example",
		maxLifetime: defaultMaxLifetime, realm: "stagedoor",
		logger: slog.New(slog.NewTextHandler(&p.log, nil)),
		now:    func() time.Time { return noon },
	}
	return p
}

func (p *parts) check(f form) error { return passwordGrant{}.check(f) }

func (p *parts) authenticate(context.Context, *tokenRequest) (*login, error) {
	p.steps = append(p.steps, "authenticate")
	if p.loginErr != nil {
		return nil, p.loginErr
	}
	settle := func(step string) func(context.Context) error {
		return func(context.Context) error {
			p.steps = append(p.steps, step)
			return p.settleErr
		}
	}
	return &login{
		subject: authz.Subject{Kind: authz.KindAccount, ID: "01ACCOUNT", Username: "carol", Roles: []string{"r"}},
		amr:     []string{"pwd"}, accept: settle("accept"), reject: settle("reject"), refused: refusedLogin,
	}, nil
}

func (p *parts) NewID() (string, error) { return "the-session", nil }

func (p *parts) Begin(_ context.Context, begun account.NewSession) (account.Session, string, error) {
	p.steps = append(p.steps, "begin")
	p.begun = begun
	if !begun.WithRefresh {
		return account.Session{}, "", p.beginErr
	}
	return account.Session{}, "the-refresh-token", p.beginErr
}

func (p *parts) Present(context.Context, string) (*account.Presented, error) {
	return nil, account.ErrRefreshInvalid
}

func (p *parts) Peek(context.Context, string) (*account.Session, error) { return nil, nil }

func (p *parts) Revoke(context.Context, string, string) error { return nil }

// send posts a form, with headers as name, value pairs.
func (p *parts) send(body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", formType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.service.serveToken(w, r)
	return w
}

const goodForm = "grant_type=password&username=carol&password=hunter2hunter2"

func members(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return got
}

func TestSuccessIsAnsweredAsRFC6749Section5_1(t *testing.T) {
	p := newParts()
	w := p.send(goodForm)
	want := map[string]any{"access_token": "the.signed.token", "token_type": "Bearer", "expires_in": 1800.0, "scope": "a b"}
	if got := members(t, w); w.Code != 200 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d %v, want %v", w.Code, got, want)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "Pragma": "no-cache",
	} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if want := []string{"open", "authenticate", "decide", "sign", "accept", "begin"}; !reflect.DeepEqual(p.steps, want) {
		t.Errorf("steps %v, want %v", p.steps, want)
	}
	if log := p.log.String(); !strings.Contains(log, `msg="login succeeded"`) || !strings.Contains(log, "subject=01ACCOUNT") || !strings.Contains(log, "jti=the-id") {
		t.Errorf("log: %s", log)
	}
}

func TestScopeIsAnsweredEvenWhenEmpty(t *testing.T) {
	p := newParts()
	p.grant.Scope = nil
	if scope, there := members(t, p.send(goodForm))["scope"]; !there || scope != "" {
		t.Errorf("scope %v", scope)
	}
}

func TestThePolicyIsAskedWhatWasRequested(t *testing.T) {
	p := newParts()
	p.send(goodForm + "&scope=b+a&audience=x&resource=y&resource=z&client_id=stagedoor")
	want := &authz.GrantRequest{
		GrantType: "password", Client: &authz.GrantClient{
			ID: FirstPartyClient, Grants: []string{"password", "refresh_token"}, Scopes: []string{"*"}, Audiences: []string{"https://api.example"},
		}, Scope: []string{"b", "a"}, Audience: []string{"x", "y", "z"},
		Subject: &authz.Subject{Kind: authz.KindAccount, ID: "01ACCOUNT", Username: "carol", Roles: []string{"r"}},
		AMR:     []string{"pwd"}, ClientIP: "192.0.2.1", Now: noon,
	}
	if !reflect.DeepEqual(p.asked, want) {
		t.Errorf("asked %+v, want %+v", p.asked, want)
	}
}

func TestTheTokenSaysWhatWasDecided(t *testing.T) {
	tests := []struct {
		name     string
		decided  authz.Grant
		maximum  time.Duration
		lifetime time.Duration
		audience []string
	}{
		{"nothing said: 30 minutes, the configured audience", authz.Grant{}, 0, 30 * time.Minute, []string{"https://api.example"}},
		{"the policy's lifetime and audience", authz.Grant{AccessTokenLifetime: 5 * time.Minute, Audience: []string{"x", "y"}}, 0, 5 * time.Minute, []string{"x", "y"}},
		{"more than the default maximum", authz.Grant{AccessTokenLifetime: 48 * time.Hour}, 0, 24 * time.Hour, []string{"https://api.example"}},
		{"more than the configured maximum", authz.Grant{AccessTokenLifetime: time.Hour}, time.Minute, time.Minute, []string{"https://api.example"}},
		{"the default is capped, too", authz.Grant{}, time.Minute, time.Minute, []string{"https://api.example"}},
		{"less than a second", authz.Grant{AccessTokenLifetime: time.Millisecond}, 0, time.Second, []string{"https://api.example"}},
		{"whole seconds", authz.Grant{AccessTokenLifetime: 1500 * time.Millisecond}, 0, time.Second, []string{"https://api.example"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newParts()
			p.grant = tt.decided
			p.grant.Allow, p.grant.Scope, p.grant.Claims = true, []string{"s"}, map[string]any{"tenant": "acme"}
			if tt.maximum != 0 {
				p.service.maxLifetime = tt.maximum
			}
			w := p.send(goodForm)
			want := token.Registered{
				Issuer: "https://issuer.example", Subject: "01ACCOUNT", Audience: tt.audience, ClientID: FirstPartyClient,
				Scope: []string{"s"}, Roles: []string{"r"}, PreferredUsername: "carol", SessionID: "the-session", Lifetime: tt.lifetime,
			}
			if !reflect.DeepEqual(p.registered, want) {
				t.Errorf("minted %+v, want %+v", p.registered, want)
			}
			if !reflect.DeepEqual(p.extra, map[string]any{"tenant": "acme"}) {
				t.Errorf("extra claims %v", p.extra)
			}
			if got := members(t, w)["expires_in"]; got != tt.lifetime.Seconds() {
				t.Errorf("expires_in %v", got)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	deny := func(codes ...string) authz.Grant {
		grant := authz.Grant{}
		for _, code := range codes {
			grant.Reasons = append(grant.Reasons, authz.Reason{Code: code, Message: `the policy's "words" for ` + code})
		}
		return grant
	}
	fault := errors.New("disk on fire")
	open := []string{"open"}
	login := []string{"open", "authenticate"}
	decided := []string{"open", "authenticate", "decide"}
	tests := []struct {
		name    string
		body    string // goodForm when empty
		headers []string
		with    func(*parts)
		status  int
		code    string
		retry   string
		steps   []string
	}{
		{name: "no parameters", body: "x=1", status: 400, code: "invalid_request"},
		{name: "no grant_type and no password", body: "username=a", status: 400, code: "invalid_request"},
		{name: "no username", body: "grant_type=password&password=x", status: 400, code: "invalid_request"},
		{name: "no password", body: "grant_type=password&username=x", status: 400, code: "invalid_request"},
		{name: "an empty password", body: "grant_type=password&username=x&password=", status: 400, code: "invalid_request"},
		{name: "another grant_type", body: "grant_type=implicit&username=x&password=y", status: 400, code: "unsupported_grant_type"},
		{name: "grant_type in another case", body: "grant_type=Password&username=x&password=y", status: 400, code: "unsupported_grant_type"},
		{name: "a parameter twice", body: goodForm + "&username=carol", status: 400, code: "invalid_request"},
		{name: "a malformed scope", body: goodForm + "&scope=a++b", status: 400, code: "invalid_scope"},
		{name: "JSON", body: `{"username":"carol"}`, headers: []string{"Content-Type", "application/json"}, status: 400, code: "invalid_request"},
		{name: "an unknown client", body: goodForm + "&client_id=other", status: 400, code: "invalid_client"},
		{name: "an unknown client by header", headers: []string{"Authorization", basic("other:x")}, status: 401, code: "invalid_client"},
		{name: "two client methods", body: goodForm + "&client_secret=x", headers: []string{"Authorization", basic("other:x")}, status: 400, code: "invalid_request"},

		{name: "the grant type is closed", with: func(p *parts) { p.opening = deny("unsupported_grant_type", "unsupported_subject") }, status: 400, code: "unsupported_grant_type", steps: open},
		{name: "the grant type is not the client's", with: func(p *parts) { p.opening = deny("unauthorized_client", "unsupported_subject") }, status: 400, code: "unauthorized_client", steps: open},
		{name: "the client is disabled", with: func(p *parts) { p.opening = deny("invalid_client", "unsupported_subject") }, status: 400, code: "invalid_client", steps: open},
		{name: "the client is disabled, and used the header", headers: []string{"Authorization", basic("stagedoor:")}, with: func(p *parts) { p.opening = deny("invalid_client") }, status: 401, code: "invalid_client", steps: open},
		{name: "the policy fails at once", with: func(p *parts) { p.openErr = fault }, status: 503, code: "temporarily_unavailable", retry: "1", steps: open},

		{name: "wrong password", with: func(p *parts) { p.loginErr = refusedLogin(account.ErrBadCredentials) }, status: 400, code: "invalid_grant", steps: login},
		{name: "busy", with: func(p *parts) { p.loginErr = unavailable("busy", 2500*time.Millisecond, fault) }, status: 503, code: "temporarily_unavailable", retry: "3", steps: login},
		{name: "the store fails", with: func(p *parts) { p.loginErr = fault }, status: 500, code: "server_error", steps: login},

		{name: "the policy fails", with: func(p *parts) { p.decideErr = fault }, status: 503, code: "temporarily_unavailable", retry: "1", steps: decided},
		{name: "the policy is silent", with: func(p *parts) { p.grant = deny() }, status: 400, code: "invalid_grant", steps: append(decided, "reject")},
		{name: "the policy refuses the account", with: func(p *parts) { p.grant = deny("invalid_grant") }, status: 400, code: "invalid_grant", steps: append(decided, "reject")},
		{name: "the policy refuses the account in words of its own", with: func(p *parts) { p.grant = deny("account_disabled") }, status: 400, code: "invalid_grant", steps: append(decided, "reject")},
		{name: "the policy refuses the account and the scope", with: func(p *parts) { p.grant = deny("invalid_scope", "account_disabled") }, status: 400, code: "invalid_grant", steps: append(decided, "reject")},
		{name: "the policy refuses the scope", with: func(p *parts) { p.grant = deny("invalid_scope") }, status: 400, code: "invalid_scope", steps: append(decided, "accept")},
		{name: "the policy refuses the audience", with: func(p *parts) { p.grant = deny("invalid_target") }, status: 400, code: "invalid_target", steps: append(decided, "accept")},
		{name: "the policy refuses the grant", with: func(p *parts) { p.grant = deny("unauthorized_client", "invalid_scope") }, status: 400, code: "unauthorized_client", steps: append(decided, "accept")},
		{name: "the policy refuses the client", with: func(p *parts) { p.grant = deny("invalid_client") }, status: 400, code: "invalid_client", steps: append(decided, "accept")},
		{name: "the policy refuses the client, which used the header", headers: []string{"Authorization", basic("stagedoor:")}, with: func(p *parts) { p.grant = deny("invalid_client") }, status: 401, code: "invalid_client", steps: append(decided, "accept")},
		{name: "a refusal can't be recorded", with: func(p *parts) { p.grant, p.settleErr = deny(), fault }, status: 500, code: "server_error", steps: append(decided, "reject")},
		{name: "the policy grants a negative lifetime", with: func(p *parts) { p.grant.AccessTokenLifetime = -time.Second }, status: 500, code: "server_error", steps: decided},

		{name: "signing fails", with: func(p *parts) { p.mintErr = fault }, status: 500, code: "server_error", steps: append(decided, "sign")},
		{name: "the login can't be recorded", with: func(p *parts) { p.settleErr = fault }, status: 500, code: "server_error", steps: append(decided, "sign", "accept")},
		{name: "the session can't be stored", with: func(p *parts) { p.beginErr = fault }, status: 500, code: "server_error", steps: append(decided, "sign", "accept", "begin")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newParts()
			if tt.with != nil {
				tt.with(p)
			}
			body := tt.body
			if body == "" {
				body = goodForm
			}
			if len(tt.headers) > 0 && tt.headers[0] == "Content-Type" {
				r := httptest.NewRequest("POST", "/token", strings.NewReader(body))
				r.Header.Set("Content-Type", tt.headers[1])
				w := httptest.NewRecorder()
				p.service.serveToken(w, r)
				checkRefusal(t, w, tt.status, tt.code, tt.retry)
				return
			}
			w := p.send(body, tt.headers...)
			checkRefusal(t, w, tt.status, tt.code, tt.retry)
			if p.outcome != tt.code {
				t.Errorf("observed %q, want %q", p.outcome, tt.code)
			}
			if len(p.steps) != len(tt.steps) || len(tt.steps) > 0 && !reflect.DeepEqual(p.steps, tt.steps) {
				t.Errorf("steps %v, want %v", p.steps, tt.steps)
			}
			if strings.Contains(w.Body.String(), "on fire") {
				t.Errorf("the cause was answered: %s", w.Body)
			}
			if log := p.log.String(); strings.Count(log, "\n") != 1 || strings.Contains(log, "hunter2") || strings.Contains(log, "the.signed.token") {
				t.Errorf("log: %s", log)
			}
			if tt.code == "invalid_grant" {
				wrong := newParts()
				wrong.loginErr = refusedLogin(nil)
				want := wrong.send(goodForm)
				if w.Body.String() != want.Body.String() || !reflect.DeepEqual(w.Header(), want.Header()) {
					t.Errorf("%s %v can be told from a wrong password's %s %v", w.Body, w.Header(), want.Body, want.Header())
				}
			}
		})
	}
}

// checkRefusal holds an answer to RFC 6749 section 5.2.
func checkRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, code, retry string) {
	t.Helper()
	got := members(t, w)
	if w.Code != status || got["error"] != code {
		t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, code)
	}
	description, _ := got["error_description"].(string)
	if description == "" || description != describable(description) {
		t.Errorf("error_description %q", description)
	}
	if _, there := got["access_token"]; there {
		t.Errorf("a token was handed out: %s", w.Body)
	}
	h := w.Header()
	if h.Get("Content-Type") != "application/json;charset=UTF-8" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" {
		t.Errorf("headers %v", h)
	}
	if h.Get("Retry-After") != retry {
		t.Errorf("Retry-After %q, want %q", h.Get("Retry-After"), retry)
	}
	wantChallenge := ""
	if status == http.StatusUnauthorized {
		wantChallenge = `Basic realm="stagedoor", charset="UTF-8"`
	}
	if h.Get("WWW-Authenticate") != wantChallenge {
		t.Errorf("WWW-Authenticate %q, want %q", h.Get("WWW-Authenticate"), wantChallenge)
	}
}

func TestCredentialsInTheQueryAreNotRead(t *testing.T) {
	query := "?" + goodForm + "&scope=a&client_id=other&client_secret=x"
	for name, body := range map[string]string{"an empty body": "", "a body without the password": "grant_type=password&username=carol"} {
		t.Run(name, func(t *testing.T) {
			p := newParts()
			r := httptest.NewRequest("POST", "/token"+query, strings.NewReader(body))
			r.Header.Set("Content-Type", formType)
			w := httptest.NewRecorder()
			p.service.serveToken(w, r)
			checkRefusal(t, w, 400, "invalid_request", "")
			if len(p.steps) != 0 {
				t.Errorf("steps %v", p.steps)
			}
		})
	}
	t.Run("a good body", func(t *testing.T) {
		p := newParts()
		r := httptest.NewRequest("POST", "/token"+query, strings.NewReader(goodForm))
		r.Header.Set("Content-Type", formType)
		w := httptest.NewRecorder()
		p.service.serveToken(w, r)
		if w.Code != 200 || p.asked.Scope != nil || p.asked.Client.ID != FirstPartyClient {
			t.Errorf("%d %s, asked %+v", w.Code, w.Body, p.asked)
		}
	})
}

func TestRequestsThatAreFine(t *testing.T) {
	tests := []struct {
		name, body string
		headers    []string
	}{
		{name: "grant_type omitted (the article's clients)", body: "username=carol&password=x"},
		{name: "grant_type empty (FastAPI's form)", body: "grant_type=&username=carol&password=x&scope=&client_id=&client_secret="},
		{name: "Swagger UI's empty Basic pair", headers: []string{"Authorization", "Basic Og=="}},
		{name: "the built-in client named in the body", body: goodForm + "&client_id=stagedoor"},
		{name: "the built-in client named in the header", headers: []string{"Authorization", basic("stagedoor:")}},
		{name: "a stale Bearer token beside the form", headers: []string{"Authorization", "Bearer x.y.z"}},
		{name: "unknown parameters", body: goodForm + "&foo=bar&response_type=x"},
		{name: "resource and audience repeated", body: goodForm + "&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&audience=c&audience=d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newParts()
			body := tt.body
			if body == "" {
				body = goodForm
			}
			if w := p.send(body, tt.headers...); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestATypedUsernameIsNotLogged(t *testing.T) {
	p := newParts()
	p.loginErr = refusedLogin(account.ErrBadCredentials)
	p.send(url.Values{"username": {"my-password-in-the-wrong-field"}, "password": {"x"}}.Encode())
	log := p.log.String()
	if strings.Contains(log, "wrong-field") || !strings.Contains(log, `msg="login refused"`) || !strings.Contains(log, "client_ip=192.0.2.1") {
		t.Errorf("log: %s", log)
	}
}

func TestJWKSAnswer(t *testing.T) {
	p := newParts()
	w := httptest.NewRecorder()
	p.service.serveJWKS(w, httptest.NewRequest("GET", jwksPath, nil))
	if w.Code != 200 || w.Body.String() != `{"keys":[]}` || w.Header().Get("Content-Type") != "application/jwk-set+json" || w.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
