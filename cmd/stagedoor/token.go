package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/token"
)

// longestTokenInput bounds what is read as a token, in bytes. It leaves room for
// the token endpoint's whole answer.
const longestTokenInput = 64 << 10

type tokenCmd struct {
	Inspect tokenInspectCmd `cmd:"" help:"Show what a token says, and with --verify whether it is good."`
}

type tokenInspectCmd struct {
	Token  string `arg:"" optional:"" help:"The token; without it, or with -, standard input is read, so that no other user of the machine sees it."`
	Verify bool   `help:"Verify it against the keys and the issuer in the state, as the server would."`
	issuerFlags
	HS256SecretFile string `name:"hs256-secret-file" help:"File with the HS256 secret, if the server was given one." placeholder:"FILE" env:"STAGEDOOR_HS256_SECRET_FILE"`
	secretFlag
	trustedFlag
	outputFlag
}

// trustedFlag names the file of other issuers whose tokens are accepted.
type trustedFlag struct {
	TrustedIssuers string `help:"YAML file of other issuers whose tokens are accepted." placeholder:"FILE" env:"STAGEDOOR_TRUSTED_ISSUERS" group:"Tokens and login"`
}

// issuerFlags are the options of serve that say whose tokens, and for whom.
type issuerFlags struct {
	Issuer   string `help:"Public URL that tokens name. Default: what the state remembers." placeholder:"URL" env:"STAGEDOOR_ISSUER"`
	Audience string `help:"What tokens are meant for. Default: the issuer." placeholder:"URL" env:"STAGEDOOR_AUDIENCE"`
}

func (*tokenInspectCmd) Help() string {
	return `It prints the header and the claims. Without --verify nothing is checked: anybody can write a token that says anything.

  curl -s -d username=carol -d password=… http://127.0.0.1:8080/token | stagedoor token inspect
  stagedoor token inspect --verify < token.txt     exit code 1, and why, if the server would refuse it

The input may be a token, "Bearer" and a token, or the token endpoint's JSON answer.`
}

// inspection is what --output json prints.
type inspection struct {
	Header   map[string]any     `json:"header"`
	Claims   map[string]any     `json:"claims"`
	Verified bool               `json:"verified"`
	Refusal  *inspectionRefusal `json:"refusal,omitempty"`
}

type inspectionRefusal struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Run prints what the token says. With --verify a refused token is exit code 1.
func (c *tokenInspectCmd) Run(ctx context.Context, e *env) error {
	raw := c.Token
	if raw == "" || raw == "-" {
		text, err := io.ReadAll(io.LimitReader(e.stdin, longestTokenInput))
		if err != nil {
			return fmt.Errorf("reading the token from standard input: %w", err)
		}
		raw = string(text)
	}
	if raw = bareToken(raw); raw == "" {
		return errors.New("there is no token; pipe one in, such as from `curl … /token`")
	}
	header, claims, err := token.Inspect(raw)
	if err != nil {
		return fmt.Errorf("this is no token of the kind that Stagedoor makes (RFC 9068): %w", err)
	}
	shown := inspection{Header: header, Claims: claims}
	if c.Verify {
		cfg := c.config(e.state)
		cfg.HS256SecretFile, cfg.TrustedIssuersFile = c.HS256SecretFile, c.TrustedIssuers
		if err := c.fill(&cfg); err != nil {
			return err
		}
		err := server.VerifyToken(ctx, cfg, raw)
		var code authz.TokenError
		switch {
		case errors.As(err, &code):
			shown.Refusal = &inspectionRefusal{Code: string(code), Detail: err.Error()}
		case err != nil:
			return err
		default:
			shown.Verified = true
		}
	}
	if err := c.print(e, shown); err != nil {
		return err
	}
	if shown.Refusal != nil {
		return exitCode(exitFailed)
	}
	return nil
}

func (f issuerFlags) config(state string) server.Config {
	cfg := server.DefaultConfig()
	cfg.State, cfg.Issuer, cfg.Audience = state, f.Issuer, f.Audience
	return cfg
}

func (c *tokenInspectCmd) print(e *env, shown inspection) error {
	if c.json() {
		return writeJSON(e.stdout, shown)
	}
	for _, part := range []struct {
		title string
		value map[string]any
	}{{"Header", shown.Header}, {"Claims", shown.Claims}} {
		fmt.Fprintln(e.stdout, part.title)
		if err := writeJSON(e.stdout, part.value); err != nil {
			return err
		}
	}
	times := newTable(e.stdout)
	for _, claim := range []struct{ name, meaning string }{
		{"iat", "issued"}, {"nbf", "valid from"}, {"exp", "expires"},
	} {
		if at, ok := claimTime(shown.Claims[claim.name]); ok {
			times.row(claim.meaning, at.UTC().Format(time.RFC3339), relative(at, e.now()))
		}
	}
	if err := times.flush(); err != nil {
		return err
	}
	switch {
	case shown.Verified:
		fmt.Fprintln(e.stdout, "\nVerified: the server accepts it now. What its bearer may do is for the policy to say.")
	case shown.Refusal != nil:
		fmt.Fprintf(e.stdout, "\nREFUSED: %s\n", shown.Refusal.Detail)
	default:
		fmt.Fprintln(e.stdout, "\nThe signature was NOT verified: anybody can write such a token. Verify it with --verify.")
	}
	return nil
}

// bareToken takes the token out of an Authorization value or of the token
// endpoint's answer.
func bareToken(text string) string {
	text = strings.TrimSpace(text)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &answer) == nil {
		return answer.AccessToken
	}
	if scheme, rest, found := strings.Cut(text, " "); found && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return text
}

// claimTime reads a NumericDate (RFC 7519 section 2); false for what is none or
// lies beyond the year 9999.
func claimTime(claim any) (time.Time, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	const lastOf9999 = 253402300799
	if err != nil || seconds < 0 || seconds > lastOf9999 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// relative says how far a moment is from now, in whole seconds.
func relative(at, now time.Time) string {
	switch away := at.Sub(now).Round(time.Second); {
	case away > 0:
		return "in " + away.String()
	case away < 0:
		return (-away).String() + " ago"
	}
	return "now"
}
