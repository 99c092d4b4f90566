package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

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
		s.writeError(w, refusal)
		return
	}
	s.logger.LogAttrs(r.Context(), slog.LevelInfo, "login succeeded", append(caller.attrs(),
		slog.String("subject", result.subject.ID), slog.String("username", result.subject.Username),
		slog.String("client_id", result.clientID), slog.String("scope", result.answer.Scope),
		slog.String("jti", result.id), slog.Int64("expires_in", result.answer.ExpiresIn),
	)...)
	if caller.grantType == grantPassword {
		s.cautioned.Do(func() {
			s.logger.Warn("a login used the password grant, which RFC 9700 section 2.4 forbids to new applications; see docs/security.md", "grant_type", grantPassword)
		})
	}
	writeJSON(w, http.StatusOK, result.answer)
}

// receive runs the pipeline from the HTTP request to the signed token.
func (s *Service) receive(w http.ResponseWriter, r *http.Request, caller *caller) (*issued, *authz.Subject, error) {
	f, err := readForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	client, err := readClient(r.Header, f)
	if err != nil {
		return nil, nil, err
	}
	request, err := s.parse(f, client)
	if err != nil {
		return nil, nil, err
	}
	caller.grantType = request.grantType
	request.clientIP = caller.ip
	return s.issue(r.Context(), request)
}

// asError makes any error one that can be answered.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return serverError("issuing a token", err)
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
	case e.Code == codeInvalidGrant:
		message = "login refused"
	default:
		attrs = append(attrs, slog.String("description", describable(e.Description)))
	}
	s.logger.LogAttrs(ctx, level, message, attrs...)
}

// caller is who sent a request, for the throttle and the log.
type caller struct {
	ip        netip.Addr
	requestID string
	grantType string // known once the form has been read
}

func (c *caller) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("client_ip", addrText(c.ip))}
	if c.requestID != "" {
		attrs = append(attrs, slog.String("request_id", c.requestID))
	}
	if c.grantType != "" {
		attrs = append(attrs, slog.String("grant_type", c.grantType))
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
