package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxBodyBytes bounds a JSON body.
	maxBodyBytes = 16 << 10
	// maxTitle bounds an item's title, in characters.
	maxTitle = 200
	// defaultTitle is an item's when the body gives none.
	defaultTitle = "Untitled"
)

// badBody says what is wrong with a body, and with which status to answer.
type badBody struct {
	status int
	detail string
}

func (b *badBody) Error() string { return b.detail }

func malformed(format string, args ...any) error {
	return &badBody{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// readTitle reads the body of POST /items/: a JSON object whose member title is
// a string of 1 to 200 characters. Other members are ignored; without a body, or
// without a title in it, the item is untitled.
func readTitle(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", &badBody{http.StatusRequestEntityTooLarge, "the body is larger than 16 KiB"}
		}
		return "", malformed("the body could not be read to its end")
	}
	if len(body) == 0 {
		return defaultTitle, nil
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return "", &badBody{http.StatusUnsupportedMediaType, "send the item as Content-Type: application/json"}
	}
	members, err := readObject(body)
	if err != nil {
		return "", err
	}
	raw, given := members["title"]
	if !given {
		return defaultTitle, nil
	}
	var title *string
	if err := json.Unmarshal(raw, &title); err != nil || title == nil {
		return "", malformed("title must be a string")
	}
	*title = strings.TrimSpace(*title)
	if n := utf8.RuneCountInString(*title); n == 0 || n > maxTitle {
		return "", malformed("title must have 1 to %d characters", maxTitle)
	}
	if strings.ContainsFunc(*title, unicode.IsControl) {
		return "", malformed("title must not hold control characters")
	}
	return *title, nil
}

// readObject reads one JSON object (RFC 8259) where encoding/json is lenient:
// names are taken as they are spelt, none may come twice, nothing may follow,
// and the text must be UTF-8.
func readObject(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, malformed("the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	start, err := decoder.Token()
	if err != nil {
		return nil, malformed("the body is not JSON")
	}
	if start != json.Delim('{') {
		return nil, malformed("the body must be a JSON object")
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, malformed("the body is not JSON")
		}
		key := name.(string) // the decoder takes nothing else for a name
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, malformed("the body is not JSON")
		}
		if _, twice := members[key]; twice {
			return nil, malformed("the body names a member twice")
		}
		members[key] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, malformed("the body is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("the body goes on after the JSON object")
	}
	return members, nil
}
