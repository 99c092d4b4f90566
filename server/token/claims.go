package token

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

// maxNumericDate is the last second of the year 9999, in seconds since 1970.
// RFC 3339 has no later one.
const maxNumericDate = 253402300799

// check judges the claims of a token whose signature is good. A claim of the
// wrong type is never read as absent.
func (r *rules) check(claims map[string]any, issuer string, now time.Time) (*Verified, lifetime, error) {
	for _, name := range r.required {
		if _, present := claims[name]; !present {
			return nil, lifetime{}, refuse(authz.TokenInvalidClaims, name+" is missing")
		}
	}
	text := map[string]string{}
	for _, name := range []string{"iss", "sub", "jti", "client_id"} {
		value, present := claims[name]
		if !present {
			continue
		}
		s, ok := value.(string)
		if !ok || s == "" {
			return nil, lifetime{}, refuse(authz.TokenInvalidClaims, name+" is not a string, or empty")
		}
		text[name] = s
	}
	for _, name := range []string{"scope", "preferred_username"} {
		if value, present := claims[name]; present {
			if _, ok := value.(string); !ok {
				return nil, lifetime{}, refuse(authz.TokenInvalidClaims, name+" is not a string")
			}
		}
	}
	if value, present := claims["roles"]; present {
		if _, ok := texts(value); !ok {
			return nil, lifetime{}, refuse(authz.TokenInvalidClaims, "roles is not a list of strings")
		}
	}
	times := map[string]time.Time{}
	for _, name := range []string{"exp", "iat", "nbf"} {
		value, present := claims[name]
		if !present {
			continue
		}
		moment, ok := numericDate(value)
		if !ok {
			return nil, lifetime{}, refuse(authz.TokenInvalidClaims, name+" is not a number of seconds from 1970 to 9999")
		}
		times[name] = moment
	}
	if text["iss"] != issuer {
		return nil, lifetime{}, refuse(authz.TokenWrongIssuer, "iss is not the issuer that was looked up")
	}
	audience, ok := audiences(claims["aud"])
	if !ok {
		return nil, lifetime{}, refuse(authz.TokenInvalidClaims, "aud is neither a string nor a list of strings")
	}
	if r.audience == "" || !slices.Contains(audience, r.audience) {
		return nil, lifetime{}, refuse(authz.TokenWrongAudience, "aud does not contain this service")
	}
	life := lifetime{from: times["nbf"], until: times["exp"]}
	if iat := times["iat"]; iat.After(life.from) {
		life.from = iat
	}
	if err := life.check(now, r.leeway); err != nil {
		return nil, lifetime{}, err
	}
	return &Verified{Issuer: issuer, Subject: text["sub"], ID: text["jti"], Expiry: times["exp"]}, life, nil
}

// numericDate reads a NumericDate (RFC 7519 section 2): a JSON number, with or
// without a fraction.
func numericDate(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok || strings.HasPrefix(number.String(), "-") {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || seconds > maxNumericDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))).UTC(), true
}

// audiences reads aud: one string, or a list of them (RFC 7519 section 4.1.3).
func audiences(value any) ([]string, bool) {
	if one, ok := value.(string); ok {
		return []string{one}, true
	}
	return texts(value)
}

// texts reads a list of strings.
func texts(value any) ([]string, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	members := make([]string, len(list))
	for i, member := range list {
		if members[i], ok = member.(string); !ok {
			return nil, false
		}
	}
	return members, true
}
