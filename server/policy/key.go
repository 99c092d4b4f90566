package policy

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/stagedoor/stagedoor/server/authz"
)

// The key of a cached decision is written straight from the request, without
// building the policy's input: each member that the policy can read, one after
// the other, in a form that no two different values share. Each value begins
// with its kind, so that absent, null, false and empty are four things, and a
// text with its length, so that none runs into the next.

// The kinds of values in a key.
const (
	kindAbsent byte = iota
	kindNull
	kindFalse
	kindTrue
	kindNumber
	kindText
	kindList
	kindObject
	kindOther // written as the policy engine would
	kindWhole // before a value that a path leads into
)

// memberKey says how to find one member of the input in a request.
type memberKey struct {
	name string // the first name of its path
	rest []string
}

// keyMembers are the members of a read set, as appendMember finds them.
func keyMembers(reads readSet) []memberKey {
	var list []memberKey
	for _, p := range reads {
		if len(p) == 0 {
			return allMembers()
		}
		list = append(list, memberKey{name: p[0], rest: p[1:]})
	}
	return list
}

// allMembers is the input as a whole.
func allMembers() []memberKey {
	var list []memberKey
	for _, k := range []*ast.Term{keyMethod, keyHost, keyPath, keySegments, keyRoute, keyParams, keyQuery, keyHeaders,
		keyPreflight, keySubject, keyClaims, keyResource, keyTokenError, keyClientIP, keyNow} {
		list = append(list, memberKey{name: string(k.Value.(ast.String))})
	}
	return list
}

// appendMember writes a member of the input that authzInput would build of the
// request. A member of a text or a list is written as the whole of it: that
// tells more requests apart than it must, never fewer. A name that the input
// never has is absent from every request.
func appendMember(key []byte, m memberKey, r *authz.Request) []byte {
	switch m.name {
	case "method":
		return appendText(key, r.Method)
	case "host":
		return appendText(key, r.Host)
	case "path":
		return appendText(key, r.Path)
	case "segments":
		return appendTexts(key, r.Segments)
	case "route":
		return appendText(key, r.Route)
	case "params":
		return appendMap(key, m.rest, r.Params, appendFullText)
	case "query":
		return appendMap(key, m.rest, r.Query, appendTexts)
	case "headers":
		return appendMap(key, m.rest, r.Headers, appendTexts)
	case "preflight":
		return appendText(key, r.Preflight)
	case "subject":
		return appendSubject(key, m.rest, r.Subject)
	case "claims":
		if r.Claims == nil {
			return append(key, kindAbsent)
		}
		return appendWithin(key, m.rest, r.Claims.Values)
	case "resource":
		if r.Resource == nil {
			return append(key, kindAbsent)
		}
		return appendWithin(key, m.rest, r.Resource)
	case "token_error":
		return appendText(key, string(r.TokenError))
	case "client_ip":
		return appendText(key, r.ClientIP)
	case "now":
		return appendText(key, timestamp(r.Now))
	}
	return key
}

func appendSubject(key []byte, rest []string, s *authz.Subject) []byte {
	if s == nil {
		return append(key, kindAbsent)
	}
	if len(rest) == 0 {
		key = append(key, kindObject)
		key = appendText(key, string(s.Kind))
		key = appendText(key, s.ID)
		key = appendText(key, s.Username)
		key = appendTexts(key, s.Roles)
		key = appendBoolean(key, s.Disabled)
		return appendObject(key, s.Attributes)
	}
	switch rest[0] {
	case "kind":
		return appendText(key, string(s.Kind))
	case "id":
		return appendText(key, s.ID)
	case "username":
		return appendText(key, s.Username)
	case "roles":
		return appendTexts(key, s.Roles)
	case "disabled":
		return appendBoolean(key, s.Disabled)
	case "attributes":
		return appendWithin(key, rest[1:], s.Attributes)
	}
	// A subject without the member and no subject are one to the policy here.
	return append(key, kindAbsent)
}

// appendWithin writes the value that a path leads to.
func appendWithin(key []byte, path []string, object map[string]any) []byte {
	if len(path) == 0 {
		return appendObject(key, object)
	}
	value, present := object[path[0]]
	if !present {
		return append(key, kindAbsent)
	}
	if len(path) == 1 {
		return appendValue(key, value)
	}
	switch v := value.(type) {
	case map[string]any:
		return appendWithin(key, path[1:], v)
	case nil, bool, string, json.Number, int, int64, []string, []any:
		return append(key, kindAbsent) // nothing has members but an object
	}
	// Written whole, and told from what the path may lead to.
	return appendValue(append(key, kindWhole), value)
}

// appendMap writes the member that a path leads to, or all of them.
func appendMap[V any](key []byte, path []string, object map[string]V, appendV func([]byte, V) []byte) []byte {
	if len(path) > 0 {
		value, present := object[path[0]]
		if !present {
			return append(key, kindAbsent)
		}
		return appendV(key, value)
	}
	key = appendLength(key, kindObject, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		key = appendFullText(key, name)
		key = appendV(key, object[name])
	}
	return key
}

// appendValue writes a value as encoding/json decodes it. Any other goes the
// way that it goes into the policy's input.
func appendValue(key []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(key, kindNull)
	case bool:
		return appendBoolean(key, v)
	case string:
		return appendFullText(key, v)
	case json.Number:
		return append(appendLength(key, kindNumber, len(v)), v...)
	case int:
		return appendInteger(key, int64(v))
	case int64:
		return appendInteger(key, v)
	case []string:
		if v != nil {
			return appendTexts(key, v)
		}
	case []any:
		if v != nil {
			key = appendLength(key, kindList, len(v))
			for _, element := range v {
				key = appendValue(key, element)
			}
			return key
		}
	case map[string]any:
		return appendObject(key, v)
	}
	converted, err := ast.InterfaceToValue(value)
	if err != nil {
		// The evaluation will fail for the same reason, and nothing be kept.
		return append(key, kindOther)
	}
	text := converted.String()
	return append(appendLength(key, kindOther, len(text)), text...)
}

func appendObject(key []byte, object map[string]any) []byte {
	if object == nil {
		return append(key, kindNull)
	}
	key = appendLength(key, kindObject, len(object))
	// So many names are sorted without allocating.
	var few [16]string
	names := few[:0]
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		key = appendFullText(key, name)
		key = appendValue(key, object[name])
	}
	return key
}

func appendTexts(key []byte, list []string) []byte {
	key = appendLength(key, kindList, len(list))
	for _, s := range list {
		key = appendFullText(key, s)
	}
	return key
}

// appendText writes a text that the input leaves out when it is empty.
func appendText(key []byte, s string) []byte {
	if s == "" {
		return append(key, kindAbsent)
	}
	return appendFullText(key, s)
}

func appendFullText(key []byte, s string) []byte {
	return append(appendLength(key, kindText, len(s)), s...)
}

func appendBoolean(key []byte, b bool) []byte {
	if b {
		return append(key, kindTrue)
	}
	return append(key, kindFalse)
}

func appendInteger(key []byte, n int64) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], n, 10)
	return append(appendLength(key, kindNumber, len(text)), text...)
}

func appendLength(key []byte, kind byte, n int) []byte {
	return binary.AppendUvarint(append(key, kind), uint64(n))
}
