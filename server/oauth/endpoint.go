package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

// serveToken is POST /token (RFC 6749 section 3.2).
func (s *Service) serveToken(w http.ResponseWriter, r *http.Request) {
	caller := callerOf(r)
	result, subject, err := s.receive(w, r, caller)
	if err != nil {
		refusal := asError(err)
		s.logRefusal(r.Context(), caller, subject, refusal)
		s.observe(caller.grantType, refusal.Code)
		s.writeError(w, refusal)
		return
	}
	s.logIssued(r.Context(), caller, result)
	s.observe(caller.grantType, "success")
	writeJSON(w, http.StatusOK, result.answer)
}

// receive runs the pipeline from the HTTP request to the signed token.
func (s *Service) receive(w http.ResponseWriter, r *http.Request, caller *caller) (*issued, *authz.Subject, error) {
	f, client, err := readClientForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	request, err := s.parse(f, client)
	if err != nil {
		return nil, nil, err
	}
	caller.grantType = request.grantType
	request.clientIP, request.userAgent = caller.ip, r.UserAgent()
	return s.issue(actingCaller(r.Context(), caller), request)
}

// readClientForm reads what each of the endpoints begins with.
func readClientForm(w http.ResponseWriter, r *http.Request) (form, clientCredentials, error) {
	f, err := readForm(w, r)
	if err != nil {
		return nil, clientCredentials{}, err
	}
	client, err := readClient(r.Header, f)
	return f, client, err
}

// enter reads a request to one of the other endpoints and authenticates its
// client. The context names who acts.
func (s *Service) enter(w http.ResponseWriter, r *http.Request, caller *caller) (context.Context, form, *account.Client, error) {
	f, credentials, err := readClientForm(w, r)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx := actingCaller(r.Context(), caller)
	client, err := s.authenticateClient(ctx, credentials, r.URL.Path)
	if err != nil {
		return nil, nil, nil, err
	}
	return actingClient(ctx, client), f, client, nil
}

// asError makes any error one that can be answered.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return serverError("answering a request", err)
}

func (s *Service) logIssued(ctx context.Context, caller *caller, result *issued) {
	message := "login succeeded"
	switch {
	case caller.grantType == grantRefreshToken:
		message = "token refreshed"
	case result.subject.Kind == authz.KindClient:
		message = "token issued"
	}
	attrs := append(caller.attrs(), slog.String("subject", result.subject.ID))
	if result.subject.Kind == authz.KindAccount {
		attrs = append(attrs, slog.String("username", result.subject.Username))
	}
	attrs = append(attrs, slog.String("client_id", result.clientID), slog.String("scope", result.answer.Scope), slog.String("jti", result.id))
	if result.sessionID != "" {
		attrs = append(attrs, slog.String("sid", result.sessionID))
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, message, append(attrs, slog.Int64("expires_in", result.answer.ExpiresIn))...)
	if caller.grantType == grantPassword {
		s.cautioned.Do(func() {
			s.logger.Warn("a login used the password grant, which RFC 9700 section 2.4 forbids to new applications; see docs/security.md", "grant_type", grantPassword)
		})
	}
}

// logRefusal writes one line. What was typed as a username is not in it: people
// type their passwords there.
func (s *Service) logRefusal(ctx context.Context, caller *caller, subject *authz.Subject, e *Error) {
	attrs := append(caller.attrs(), slog.String("error", e.Code))
	if subject != nil {
		attrs = append(attrs, slog.String("subject", subject.ID))
	}
	if codes := reasonCodes(e); len(codes) > 0 {
		attrs = append(attrs, slog.Any("reasons", codes))
	}
	level, message := slog.LevelInfo, "token request refused"
	switch {
	case e.status() >= http.StatusInternalServerError:
		message = "token request failed"
		attrs = append(attrs, slog.Any("cause", e.Err))
		if ctx.Err() == nil { // else the client has gone
			level = slog.LevelError
			if e.Code == codeTemporarilyUnavailable {
				level = slog.LevelWarn
			}
		}
	case e.Code == codeInvalidGrant && caller.grantType == grantPassword:
		message = "login refused"
	default:
		attrs = append(attrs, slog.String("description", describable(e.Description)))
		if errors.Is(e, account.ErrRefreshReused) {
			level, message = slog.LevelWarn, "a refresh token was used a second time; its session is revoked"
		}
	}
	s.logger.LogAttrs(ctx, level, message, attrs...)
}

// caller is who sent a request, for the throttle and the log.
type caller struct {
	ip        netip.Addr
	requestID string
	endpoint  string // of those that are not /token
	grantType string // known once the form has been read
}

func (c *caller) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("client_ip", addrText(c.ip))}
	for _, attr := range []struct{ name, value string }{
		{"request_id", c.requestID}, {"endpoint", c.endpoint}, {"grant_type", c.grantType},
	} {
		if attr.value != "" {
			attrs = append(attrs, slog.String(attr.name, attr.value))
		}
	}
	return attrs
}

func addrText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// callerOf takes the address that the gate has seen, through trusted proxies
// only; where there is no gate, the connection's.
func callerOf(r *http.Request) *caller {
	if passage := gate.FromContext(r.Context()); passage != nil {
		return &caller{ip: passage.ClientIP, requestID: passage.RequestID}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return &caller{}
	}
	return &caller{ip: peer.Addr().Unmap()}
}
