package admin

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxBodyBytes bounds a body: an account's attributes may have 64 KiB.
	maxBodyBytes = 128 << 10
	// maxDepth bounds how deep its values are nested.
	maxDepth = 64

	defaultLimit, maxLimit = 50, 500
)

// readBody reads a JSON body into what it is to be: no member that is not known or
// comes twice, no other type, valid UTF-8, and nothing behind it.
func readBody(c *call, into any) error {
	text, err := readText(c, "application/json")
	if err != nil {
		return err
	}
	return decode(text, into)
}

// readPatch applies a JSON Merge Patch (RFC 7396) to an item.
func readPatch[T any](c *call) (func(item T) (T, error), error) {
	patch, err := readText(c, "application/merge-patch+json", "application/json")
	if err != nil {
		return nil, err
	}
	if patch.Kind() != '{' {
		return nil, fault(http.StatusBadRequest, "the body must be a JSON object: a merge patch (RFC 7396) with the members that change")
	}
	if err := knownNulls[T](patch); err != nil {
		return nil, err
	}
	return func(item T) (T, error) {
		var patched T
		before, err := json.Marshal(item)
		if err != nil {
			return patched, err
		}
		after, err := merge(before, patch)
		if err != nil {
			return patched, err
		}
		return patched, decode(after, &patched)
	}, nil
}

// knownNulls refuses a null for what an item does not have: to take that away changes
// nothing, but whoever asks for it is mistaken.
func knownNulls[T any](patch jsontext.Value) error {
	var changes map[string]jsontext.Value
	if err := json.Unmarshal(patch, &changes); err != nil {
		return malformed(err)
	}
	maps.DeleteFunc(changes, func(_ string, change jsontext.Value) bool { return change.Kind() != 'n' })
	nulls, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	return decode(nulls, new(T))
}

// merge is MergePatch of RFC 7396 section 2.
func merge(target, patch jsontext.Value) (jsontext.Value, error) {
	if patch.Kind() != '{' {
		return patch, nil
	}
	var members, changes map[string]jsontext.Value
	if target.Kind() == '{' {
		if err := json.Unmarshal(target, &members); err != nil {
			return nil, err
		}
	}
	if members == nil {
		members = map[string]jsontext.Value{}
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, err
	}
	for name, change := range changes {
		if change.Kind() == 'n' {
			delete(members, name)
			continue
		}
		merged, err := merge(members[name], change)
		if err != nil {
			return nil, err
		}
		members[name] = merged
	}
	return json.Marshal(members, json.Deterministic(true))
}

// readText reads a body that is one JSON value.
func readText(c *call, mediaTypes ...string) (jsontext.Value, error) {
	mediaType, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	known := false
	for _, want := range mediaTypes {
		known = known || err == nil && mediaType == want
	}
	if !known {
		return nil, fault(http.StatusUnsupportedMediaType, "send the body as Content-Type: %s", mediaTypes[0])
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBodyBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, fault(http.StatusRequestEntityTooLarge, "the body is larger than %d KiB", maxBodyBytes>>10)
		}
		return nil, fault(http.StatusBadRequest, "the body could not be read to its end")
	}
	var text jsontext.Value
	if err := json.Unmarshal(body, &text); err != nil {
		return nil, malformed(err)
	}
	if tooDeep(body) {
		return nil, fault(http.StatusBadRequest, "the body is nested deeper than %d levels", maxDepth)
	}
	return text, nil
}

// malformed says what is wrong with a body that can't be read as JSON.
func malformed(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic) {
		return fault(http.StatusBadRequest, "%q comes twice", where(syntactic.JSONPointer))
	}
	return fault(http.StatusBadRequest, "the body is not one JSON value in UTF-8")
}

// where names a member in a message.
func where(at jsontext.Pointer) string { return strings.TrimPrefix(string(at), "/") }

// errNoObject is the answer to a body that is another kind of value.
var errNoObject = &refusal{http.StatusBadRequest, "the body must be a JSON object of the members that the documentation names"}

// tooDeep looks at JSON that is valid.
func tooDeep(text []byte) bool {
	for decoder := jsontext.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := decoder.ReadToken(); err != nil {
			return false // the end
		}
		if decoder.StackDepth() > maxDepth {
			return true
		}
	}
}

func decode(text jsontext.Value, into any) error {
	if text.Kind() != '{' {
		return errNoObject // null, too, which json takes for an object without members
	}
	err := json.Unmarshal(text, into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		switch member := where(semantic.JSONPointer); {
		case errors.Is(err, json.ErrUnknownName):
			return fault(http.StatusBadRequest, "%q is no member that can be set here", member)
		case member != "":
			return fault(http.StatusBadRequest, "%q has a value of the wrong type", member)
		}
	}
	return errNoObject
}

// limitOf reads the parameter limit.
func limitOf(c *call) (int, error) {
	text, given, err := parameter(c, "limit")
	if err != nil || !given {
		return defaultLimit, err
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, fault(http.StatusBadRequest, "limit must be a number from 1 to %d", maxLimit)
	}
	return limit, nil
}

// parameter reads one of the query that may come once.
func parameter(c *call, name string) (text string, given bool, err error) {
	values := c.passage.Request.Query[name]
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	}
	return "", false, fault(http.StatusBadRequest, "%s was given more than once", name)
}

// known refuses parameters that mean nothing here: a filter that is misspelt must
// not list everything.
func known(c *call, names ...string) error {
	for name := range c.passage.Request.Query {
		if !slices.Contains(names, name) {
			return fault(http.StatusBadRequest, "%q is no parameter here; there are: %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// momentOf reads a time as RFC 3339 has it.
func momentOf(c *call, name string) (time.Time, error) {
	text, given, err := parameter(c, name)
	if err != nil || !given {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fault(http.StatusBadRequest, "%s must be a time such as 2026-11-01T12:00:00Z (RFC 3339)", name)
	}
	return at, nil
}
