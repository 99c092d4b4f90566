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
func (r *rules) check(claims map[string]any, now time.Time) (*Verified, lifetime, error) {
	for _, name := range r.required {
		if _, present := claims[name]; !present {
			return nil, lifetime{}, refuse(authz.TokenInvalidClaims, name+" is missing")
		}
	}
	verified := &Verified{Issuer: r.name}
	var err error
	if r.external == nil {
		err = verified.fill(claims)
	} else {
		err = r.external.fill(verified, claims)
	}
	if err != nil {
		return nil, lifetime{}, err
	}
	var expiry, issued, notBefore time.Time
	for _, c := range [...]struct {
		name string
		time *time.Time
	}{{"exp", &expiry}, {"iat", &issued}, {"nbf", &notBefore}} {
		value, present := claims[c.name]
		if !present {
			continue
		}
		var ok bool
		if *c.time, ok = numericDate(value); !ok {
			return nil, lifetime{}, refuse(authz.TokenInvalidClaims, c.name+" is not a number of seconds from 1970 to 9999")
		}
	}
	if err := r.checkAudience(claims); err != nil {
		return nil, lifetime{}, err
	}
	life := lifetime{from: notBefore, until: expiry}
	if issued.After(life.from) {
		life.from = issued
	}
	if err := life.check(now, r.leeway); err != nil {
		return nil, lifetime{}, err
	}
	verified.IssuedAt, verified.Expiry = issued, expiry
	return verified, life, nil
}

// fill takes the claims of one of our own tokens.
func (v *Verified) fill(claims map[string]any) error {
	for _, member := range []struct {
		name string
		into *string
	}{{"iss", new(string)}, {"sub", &v.Subject}, {"jti", &v.ID}, {"client_id", &v.ClientID}, {"sid", &v.SessionID}} {
		value, present := claims[member.name]
		if !present {
			continue
		}
		text, ok := value.(string)
		if !ok || text == "" {
			return refuse(authz.TokenInvalidClaims, member.name+" is not a string, or empty")
		}
		*member.into = text
	}
	for _, name := range []string{"scope", "preferred_username"} {
		if value, present := claims[name]; present {
			if _, ok := value.(string); !ok {
				return refuse(authz.TokenInvalidClaims, name+" is not a string")
			}
		}
	}
	if value, present := claims["roles"]; present {
		if _, ok := texts(value); !ok {
			return refuse(authz.TokenInvalidClaims, "roles is not a list of strings")
		}
	}
	return nil
}

// checkAudience wants one of the audiences in aud; where none is configured, there
// must be no aud either, which is only so for an issuer that knows of none.
func (r *rules) checkAudience(claims map[string]any) error {
	value, present := claims["aud"]
	if !present && r.external != nil && r.external.withoutAudience {
		return nil
	}
	audience, ok := audienceList(value)
	if !ok {
		return refuse(authz.TokenInvalidClaims, "aud is neither a string nor a list of strings")
	}
	if r.anyAudience {
		return nil
	}
	for _, ours := range r.audiences {
		if slices.Contains(audience, ours) {
			return nil
		}
	}
	return refuse(authz.TokenWrongAudience, "aud does not contain this service")
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

// audienceList reads aud: one string, or a list of them (RFC 7519 section 4.1.3).
func audienceList(value any) ([]string, bool) {
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
