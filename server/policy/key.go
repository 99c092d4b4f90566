package policy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
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

// keyWriters write what a read set holds of a request.
func keyWriters(reads readSet) []keyWriter[*authz.Request] {
	var list []keyWriter[*authz.Request]
	var claims [][]string
	for _, path := range reads {
		switch {
		case len(path) == 0:
			return wholeKey(requestMembers)
		case path[0] == "claims":
			claims = append(claims, path[1:])
		default:
			list = append(list, keyOf(requestMembers, path))
		}
	}
	if len(claims) > 0 {
		list = append(list, claimsKey(claims...))
	}
	return list
}

// claimsKey writes what the paths lead to in the claims. Claims that were prepared
// keep it: looking them up is what most of a key costs, where many tokens are in
// use and their claims in no processor's cache.
func claimsKey(paths ...[]string) keyWriter[*authz.Request] {
	of := fmt.Sprintf("%q", paths)
	return func(key []byte, r *authz.Request) []byte {
		if r.Claims == nil {
			return append(key, kindAbsent)
		}
		prepared, _ := r.Claims.Prepared.(*preparedClaims)
		if kept := prepared.kept(of); kept != nil {
			return append(key, kept.text...)
		}
		start := len(key)
		key = append(key, kindObject)
		for _, path := range paths {
			key = appendWithin(key, path, r.Claims.Values)
		}
		prepared.keep(of, key[start:])
		return key
	}
}

// wholeKey writes all members that a table has.
func wholeKey[From any](table []*member[From]) []keyWriter[From] {
	list := make([]keyWriter[From], len(table))
	for i, row := range table {
		list[i] = row.key(nil)
	}
	return list
}

// subjectKey writes a subject, or what a path leads to below it.
func subjectKey(path []string) keyWriter[*authz.Subject] {
	if len(path) > 0 {
		// A subject without the member and no subject are one to the policy here.
		return keyOf(subjectMembers, path)
	}
	all := wholeKey(subjectMembers)
	return func(key []byte, s *authz.Subject) []byte {
		key = append(key, kindObject)
		for _, write := range all {
			key = write(key, s)
		}
		return key
	}
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
